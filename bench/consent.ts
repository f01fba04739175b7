// What one participant can do: shares released with real RSA verification, challenges given, memory held
// while somebody floods it.

import { cpSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createLocalVerifier } from '../src/consent/attestation/local/verifier.js'
import { audience, releaseNonce } from '../src/consent/release/nonce.js'
import { moveToPostgres } from '../src/consent/store/postgres/move.js'
import { postgresBinaries, startPostgres } from '../test/support/postgres.js'
import { type Child, familyCpuSeconds, script, scriptOf } from './lib/child.js'
import { type Answer, Load, written } from './lib/consent-load.js'
import { AT_ONCE, Poster, type PreparedEvidence, Stage, timed } from './lib/consent-rounds.js'
import type { Measurement, Sample } from './lib/measurement.js'

/** Fewer than a participant's table holds; prepared anew until the time is over. */
const BATCH = 800
/** More than are worked on at once, so that a participant never waits for a message. */
const CONNECTIONS = 32
/** Not counted: what is compiled at first use. */
const WARM = 800
const FLOOD = 10_000
const ELSEWHERE = 'the other checkout'
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

let copies = 0
/** Alice's folder as it was made: each turn has a fresh one, since builds write their audits differently. */
async function freshFolder(): Promise<string> {
  const { folder } = await stage()
  copies += 1
  const copy = `${folder}-${copies}`
  cpSync(folder, copy, { recursive: true })
  return copy
}

async function participant(audit: 'disk' | 'none'): Promise<Child> {
  const { keyFile } = await stage()
  return script('consent-peer.ts', await freshFolder(), keyFile, audit)
}

/** Requests with their challenges and signed tokens, as a participant is to be told them. */
async function prepared(load: Load, count: number): Promise<PreparedEvidence[]> {
  const platform = await stage()
  const requests = await Promise.all(Array.from({ length: count }, () => platform.request()))
  const asked = await load.post(requests.map((request) => written('/v1/request', request)))
  return await Promise.all(
    requests.map(async (request, at) => {
      const { status, body } = asked[at] as Answer
      if (status !== 200) throw new Error(`no challenge: ${body}`)
      const { c } = JSON.parse(body.toString()) as { readonly c: string }
      const token = await platform.token(request, c)
      return { c, request, evidence: { kind: 'local', token } }
    }),
  )
}

/** Evidence over HTTP, each answered by a sealed and signed share. */
async function releases(audit: 'disk' | 'none', seconds: number): Promise<Sample> {
  await using serving = await participant(audit)
  return sampleOf(await releasesOf(serving, seconds))
}

/** The same of another checkout's participant, out of the same folder. */
async function releasesElsewhere(checkout: string, seconds: number): Promise<Sample> {
  const { keyFile } = await stage()
  await using serving = scriptOf(checkout, 'consent-peer.ts', await freshFolder(), keyFile, 'disk')
  return sampleOf(await releasesOf(serving, seconds))
}

/** The same messages to a server that does the cryptography and writes a line, and nothing else. */
async function floor(seconds: number): Promise<Sample> {
  const { issuer } = await stage()
  await using serving = script(
    'consent-floor.ts',
    await freshFolder(),
    JSON.stringify(issuer.jwks()),
  )
  return sampleOf(await releasesOf(serving, seconds))
}

/** The same out of a database on this machine, one process of a participant that could have several. */
async function releasesOfPostgres(seconds: number): Promise<Sample> {
  const bin = postgresBinaries()
  if (bin === undefined) throw new Error('expected PostgreSQL, see docs/DEPENDENCIES.md')
  const { keyFile } = await stage()
  const copy = await freshFolder()
  const postgres = await startPostgres(bin)
  try {
    await moveToPostgres(copy, postgres.url, { keyFile: readFileSync(keyFile) })
    const about = [postgres.url, 'alice', keyFile, 0, LIFETIME_MS]
    await using serving = script('consent-replica.ts', ...about)
    const database = () => familyCpuSeconds(postgres.pid)
    const measured = await releasesOf(serving, seconds, database)
    const { costs, ...sample } = sampleOf(measured)
    const { count, beside } = measured
    return { ...sample, costs: { ...costs, database: (beside / count) * 1e6 } }
  } finally {
    await postgres.stop()
  }
}

interface Measured {
  readonly count: number
  /** Seconds. */
  readonly spent: number
  /** Seconds of processor time: the participant's, its main thread's, the generator's, that of others. */
  readonly cpu: number
  readonly ran: number
  readonly generator: number
  readonly beside: number
  /** Seconds that the participant's main thread was ready while others had the processor. */
  readonly waited: number
}

/** Of a participant whose main thread stands still for more of the time, something else was measured. */
const SATURATED = 0.95

function sampleOf({ count, spent, cpu, ran, waited, generator }: Measured): Sample {
  const each = (seconds: number) => (seconds / count) * 1e6
  const busy = (ran + waited) / spent
  const name = busy < SATURATED ? 'NOT SATURATED: main thread busy, %' : 'main thread busy, %'
  const facts = {
    [name]: Math.round(busy * 100),
    'kept waiting, %': Math.round((waited / spent) * 100),
  }
  const costs = { participant: each(cpu), 'its main thread': each(ran), generator: each(generator) }
  return { value: count / spent, costs, facts }
}

/** @param others - processor time of what works for the participant besides, in seconds so far. */
async function releasesOf(serving: Child, seconds: number, others = () => 0): Promise<Measured> {
  using load = await Load.open(await serving.value('port'), CONNECTIONS)
  const words = await wordsOf(load)
  const show = async (batch: readonly Buffer[]): Promise<void> => {
    const failed = (await load.post(batch)).find(({ status }) => status !== 200)
    if (failed !== undefined) throw new Error(`no release: ${failed.body}`)
  }
  await show((await prepared(load, WARM)).map(words))
  const total = { count: 0, spent: 0, cpu: 0, ran: 0, waited: 0, generator: 0, beside: 0 }
  while (total.spent < seconds) {
    const batch = (await prepared(load, BATCH)).map(words)
    const [cpu, thread, beside, own] = [
      serving.cpuSeconds,
      serving.mainThread,
      others(),
      process.cpuUsage(),
    ]
    const began = performance.now()
    await show(batch)
    total.spent += (performance.now() - began) / 1000
    const now = serving.mainThread
    const { user, system } = process.cpuUsage(own)
    total.count += batch.length
    total.cpu += serving.cpuSeconds - cpu
    total.ran += now.ran - thread.ran
    total.waited += now.waited - thread.waited
    total.generator += (user + system) / 1e6
    total.beside += others() - beside
  }
  return total
}

/** Evidence as a participant reads it: before challenges took no memory, it had no request with it. */
async function wordsOf(load: Load): Promise<(evidence: PreparedEvidence) => Buffer> {
  const words = (evidence: PreparedEvidence) => written('/v1/evidence', evidence)
  const [first] = await prepared(load, 1)
  const [answer] = first === undefined ? [] : await load.post([words(first)])
  if (answer?.status !== 400) return words
  return ({ c, evidence }) => written('/v1/evidence', { c, evidence })
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

/** @param against - the folder of another checkout whose participant is measured beside. */
export function consentMeasurements(against?: string): Measurement[] {
  const common = { bars: [], skipped: [] }
  return [
    {
      ...common,
      name: 'consent-release',
      title: `shares released over HTTP, RSA-2048 evidence, ${CONNECTIONS} at a time`,
      unit: '/s',
      better: 'higher',
      skipped: postgresBinaries() === undefined ? ['mcbn, PostgreSQL: there is none here'] : [],
      bars: against === undefined ? [] : [{ against: ELSEWHERE, ratio: 3 }],
      subjects: [
        { name: 'mcbn', run: (seconds) => releases('disk', seconds) },
        ...(against === undefined
          ? []
          : [
              {
                name: ELSEWHERE,
                run: (seconds: number) => releasesElsewhere(resolve(against), seconds),
              },
            ]),
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
