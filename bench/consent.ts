// What one participant can do: shares released with real RSA verification, challenges given, memory held
// while somebody floods it.

import { cpSync, readFileSync, rmSync } from 'node:fs'
import { createLocalVerifier } from '../src/consent/attestation/local/verifier.js'
import { audience, releaseNonce } from '../src/consent/release/nonce.js'
import { moveToPostgres } from '../src/consent/store/postgres/move.js'
import { postgresBinaries, startPostgres } from '../test/support/postgres.js'
import { type Child, familyCpuSeconds, script } from './lib/child.js'
import { AT_ONCE, Poster, type PreparedEvidence, Stage, timed } from './lib/consent-rounds.js'
import type { Measurement, Sample } from './lib/measurement.js'

/** Fewer than a participant's table holds; prepared anew until the time is over. */
const BATCH = 800
/** Not counted: what is compiled at first use. */
const WARM = 100
const FLOOD = 10_000
/** Of a process that none ends. */
const LIFETIME_MS = 240_000

let made: Promise<Stage> | undefined
/** One for all turns: keys, folder and issuer cost nothing that is measured. */
function stage(): Promise<Stage> {
  made ??= Stage.make().then((fresh) => {
    process.once('exit', () => fresh[Symbol.dispose]())
    return fresh
  })
  return made
}

async function participant(audit: 'disk' | 'none'): Promise<Child> {
  const { folder, keyFile } = await stage()
  return script('consent-peer.ts', folder, keyFile, audit)
}

async function prepared(poster: Poster, count: number): Promise<PreparedEvidence[]> {
  const platform = await stage()
  const batch: PreparedEvidence[] = []
  await timed(Array.from({ length: count }), async () => {
    const request = await platform.request()
    const { c } = await poster.post('/v1/request', request)
    const token = await platform.token(request, String(c))
    batch.push({ c: String(c), request, evidence: { kind: 'local', token } })
  })
  return batch
}

/** Evidence over HTTP, each answered by a sealed and signed share. */
async function releases(audit: 'disk' | 'none', seconds: number): Promise<Sample> {
  await using serving = await participant(audit)
  const { count, spent, cpu } = await releasesOf(serving, seconds)
  return { value: count / spent, costs: { participant: (cpu / count) * 1e6 } }
}

/** The same messages to a server that does the cryptography and writes a line, and nothing else. */
async function floor(seconds: number): Promise<Sample> {
  const { folder, issuer } = await stage()
  await using serving = script('consent-floor.ts', folder, JSON.stringify(issuer.jwks()))
  const { count, spent, cpu } = await releasesOf(serving, seconds)
  return { value: count / spent, costs: { participant: (cpu / count) * 1e6 } }
}

/** The same out of a database on this machine, one process of a participant that could have several. */
async function releasesOfPostgres(seconds: number): Promise<Sample> {
  const bin = postgresBinaries()
  if (bin === undefined) throw new Error('expected PostgreSQL, see docs/DEPENDENCIES.md')
  const { folder, keyFile } = await stage()
  const copy = `${folder}-moved`
  const postgres = await startPostgres(bin)
  try {
    cpSync(folder, copy, { recursive: true })
    await moveToPostgres(copy, postgres.url, { keyFile: readFileSync(keyFile) })
    const about = [postgres.url, 'alice', keyFile, 0, LIFETIME_MS]
    await using serving = script('consent-replica.ts', ...about)
    const database = () => familyCpuSeconds(postgres.pid)
    const { count, spent, cpu, beside } = await releasesOf(serving, seconds, database)
    const costs = { participant: (cpu / count) * 1e6, database: (beside / count) * 1e6 }
    return { value: count / spent, costs }
  } finally {
    await postgres.stop()
    rmSync(copy, { recursive: true, force: true })
  }
}

/** @param others - processor time of what works for the participant besides, in seconds so far. */
async function releasesOf(serving: Child, seconds: number, others = () => 0) {
  using poster = new Poster(await serving.value('port'))
  const show = async (evidence: PreparedEvidence): Promise<void> => {
    const answer = await poster.post('/v1/evidence', evidence)
    if (answer['ciphertext'] === undefined) throw new Error(`no release: ${answer['code']}`)
  }
  await timed(await prepared(poster, WARM), show)
  let spent = 0
  let cpu = 0
  let beside = 0
  let count = 0
  while (spent < seconds) {
    const batch = await prepared(poster, BATCH)
    const before = [serving.cpuSeconds, others()] as const
    spent += await timed(batch, show)
    cpu += serving.cpuSeconds - before[0]
    beside += others() - before[1]
    count += batch.length
  }
  return { count, spent, cpu, beside }
}

/** The verifier alone, in this process, no HTTP: what RSA, the parsing and the checks of a token take. */
async function verifications(seconds: number): Promise<Sample> {
  const platform = await stage()
  const { issuer, jwks } = platform.issuer
  const verifier = createLocalVerifier({ issuers: [{ issuer, jwks: jwks() }] })
  const c = Buffer.alloc(32, 1)
  const request = await platform.request()
  const token = await platform.token(request, c.toString('base64url'))
  const { role, r, suite, pk } = request
  const nonce = releaseNonce({
    dh: platform.descriptor.hash,
    role,
    label: 'alice',
    c,
    r,
    suite,
    pk,
  })
  const expected = { audience: audience('bench', 'alice'), nonce, now: Date.now() }
  const verify = () => verifier.verify({ kind: 'local', token }, expected)
  await timed(Array.from({ length: WARM }), verify)
  const before = process.cpuUsage()
  let spent = 0
  let count = 0
  while (spent < seconds) {
    spent += await timed(Array.from({ length: BATCH }), verify)
    count += BATCH
  }
  const { user, system } = process.cpuUsage(before)
  return { value: count / spent, costs: { verifier: (user + system) / count } }
}

async function challenges(seconds: number): Promise<Sample> {
  await using serving = await participant('disk')
  using poster = new Poster(await serving.value('port'))
  const request = await (await stage()).request()
  const ask = () => poster.post('/v1/request', request)
  await timed(Array.from({ length: WARM }), ask)
  const before = serving.cpuSeconds
  let spent = 0
  let count = 0
  while (spent < seconds) {
    spent += await timed(Array.from({ length: BATCH }), ask)
    count += BATCH
  }
  const costs = { participant: ((serving.cpuSeconds - before) / count) * 1e6 }
  return { value: count / spent, costs }
}

/** Resident memory that ten thousand requests without evidence leave behind, over HTTP. */
async function flood(): Promise<Sample> {
  await using serving = await participant('disk')
  using poster = new Poster(await serving.value('port'))
  const request = await (await stage()).request()
  const ask = () => poster.post('/v1/request', request)
  await timed(Array.from({ length: FLOOD }), ask)
  const before = serving.residentBytes
  await timed(Array.from({ length: FLOOD }), ask)
  return { value: (serving.residentBytes - before) / 1024 }
}

export function consentMeasurements(): Measurement[] {
  const common = { bars: [], skipped: [] }
  return [
    {
      ...common,
      name: 'consent-release',
      title: `shares released over HTTP, RSA-2048 evidence, ${AT_ONCE} at a time`,
      unit: '/s',
      better: 'higher',
      skipped: postgresBinaries() === undefined ? ['mcbn, PostgreSQL: there is none here'] : [],
      subjects: [
        { name: 'mcbn', run: (seconds) => releases('disk', seconds) },
        { name: 'mcbn, no audit', run: (seconds) => releases('none', seconds) },
        ...(postgresBinaries() === undefined
          ? []
          : [{ name: 'mcbn, PostgreSQL', run: releasesOfPostgres }]),
        { name: 'HTTP, cryptography and a line alone', run: floor },
        { name: 'its verifier alone', run: verifications },
      ],
    },
    {
      ...common,
      name: 'consent-challenge',
      title: `challenges given over HTTP, or busy, ${AT_ONCE} at a time`,
      unit: '/s',
      better: 'higher',
      subjects: [{ name: 'mcbn', run: challenges }],
    },
    {
      ...common,
      name: 'consent-flood',
      title: `memory that ${FLOOD} bogus requests over HTTP leave in a participant that has had as many`,
      unit: 'KB',
      better: 'lower',
      subjects: [{ name: 'mcbn', run: flood }],
    },
  ]
}
