// Many workloads at once. No measurements of bench/main.ts: they take minutes, and the second one a PostgreSQL server.
//
//   npx tsx bench/consent-fleet.ts burst [rounds]                         rounds of one participant, all at once
//   npx tsx bench/consent-fleet.ts fleet [workloads] [lease s] [watched s]   workloads that renew against three
//                                                  participants of two processes each, on PostgreSQL

import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join as joined } from 'node:path'
import { confidentialSpaceClaims } from '../src/consent/attestation/local/claims.js'
import { createLocalIssuer } from '../src/consent/attestation/local/issuer.js'
import { type Attester, join, type Network } from '../src/consent/index.js'
import { createPostgresStore } from '../src/consent/store/postgres/postgres.js'
import { CLIENT_IMAGE, need, testNetwork } from '../test/consent/network.js'
import { postgresBinaries, startPostgres } from '../test/support/postgres.js'
import { type Child, lastingScript, script } from './lib/child.js'
import { Poster, type PreparedEvidence, Stage } from './lib/consent-rounds.js'
import { HOST } from './lib/credentials.js'

const LABELS = ['alice', 'bob', 'carol']
const REPLICAS = 2
/** Workloads that join at the same time: what starts a fleet does not start all of it in one moment. */
const JOINING = 16
const LIFETIME_MS = 900_000

const [what, ...numbers] = process.argv.slice(2)
if (what === 'burst') await burst(Number(numbers[0] ?? 160))
else if (what === 'fleet') {
  await fleet(Number(numbers[0] ?? 2_000), Number(numbers[1] ?? 600), Number(numbers[2] ?? 400))
} else throw new Error('expected burst or fleet')

/** A round is a request and its evidence; the tokens are signed between the two, outside of the time. */
async function burst(rounds: number): Promise<void> {
  using stage = await Stage.make()
  await using alice = script('consent-peer.ts', stage.folder, stage.keyFile, 'disk')
  using poster = new Poster(await alice.value('port'), rounds)
  for (let turn = 0; turn <= 5; turn++) {
    const before = alice.cpuSeconds
    const requests = await Promise.all(Array.from({ length: rounds }, () => stage.request()))
    const asked = await Promise.all(requests.map((each) => timed(poster.post('/v1/request', each))))
    const shown: PreparedEvidence[] = []
    for (const [at, request] of requests.entries()) {
      const c = String(asked[at]?.answer['c'])
      shown.push({ c, request, evidence: { kind: 'local', token: await stage.token(request, c) } })
    }
    const given = await Promise.all(shown.map((each) => timed(poster.post('/v1/evidence', each))))
    const took = given.map(({ ms }, at) => ms + (asked[at]?.ms ?? 0))
    const refused = given.filter(({ answer }) => answer['ciphertext'] === undefined).length
    // The first turn compiles what is used.
    const name = turn === 0 ? 'first turn, not counted' : `turn ${turn}`
    // What it would take where the participant has a processor for itself.
    const cpu = Math.round(1000 * (alice.cpuSeconds - before))
    console.log(
      `${name}: ${rounds} rounds at once, ${refused} refused, ${told(took)}; its processor time: ${cpu} ms`,
    )
  }
}

async function timed(answer: Promise<Record<string, unknown>>) {
  const began = performance.now()
  return { answer: await answer, ms: performance.now() - began }
}

async function fleet(workloads: number, leaseSeconds: number, watched: number): Promise<void> {
  const bin = postgresBinaries()
  if (bin === undefined) throw new Error('expected PostgreSQL, see docs/DEPENDENCIES.md')
  const folder = mkdtempSync(joined(tmpdir(), 'mcbn-fleet-'))
  const postgres = await startPostgres(bin)
  const replicas = new Map<string, Child[]>()
  const networks: Network[] = []
  try {
    const network = testNetwork({ labels: LABELS })
    const issuer = await createLocalIssuer({ issuer: 'https://issuer.test' })
    const keyFile = joined(folder, 'key')
    writeFileSync(keyFile, randomBytes(32), { mode: 0o600 })
    const lock = { keyFile: readFileSync(keyFile) }
    const rules = {
      ...{ images: [CLIENT_IMAGE], attestation: ['local'], projects: ['local-project'], args: [] },
      instances: workloads,
    }
    const policy = {
      ...{ version: 'mcbn/1', network: network.descriptor.network, leaseSeconds },
      ...{ descriptorHash: network.verified.hashHex, roles: { client: rules } },
      localIssuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }],
    }
    const participants = new Map<string, string[]>()
    for (const label of LABELS) {
      const keys = need(network.keys, label)
      const store = await createPostgresStore(postgres.url, lock, { label, keys })
      const share = need(network.shares, label)
      await store.installEpoch({ descriptor: network.signed, share, policy }, lock)
      await store.close()
      const peers: Child[] = []
      for (let at = 0; at < REPLICAS; at++) {
        const args = [postgres.url, label, keyFile]
        peers.push(lastingScript(LIFETIME_MS, 'consent-replica.ts', ...args))
      }
      replicas.set(label, peers)
      const ports = await Promise.all(peers.map((peer) => peer.value('port')))
      participants.set(
        label,
        ports.map((port) => `http://${HOST}:${port}`),
      )
    }
    const attester = (instance: string): Attester => ({
      kind: 'local',
      async evidence({ audience, nonce }) {
        const env = { MCBN_DESCRIPTOR_HASH: network.verified.hashHex }
        const workload = { imageDigest: CLIENT_IMAGE, env, instance }
        const claims = { audience, nonces: [nonce], workload, now: Date.now() }
        return { kind: 'local', token: await issuer.mint(confidentialSpaceClaims(claims)) }
      },
    })
    const took: number[] = []
    const said = new Map<string, number>()
    const ended: string[] = []
    const start = async (at: number): Promise<void> => {
      const asked = new Map<string, number>()
      // A load balancer's part: each process of a participant is asked by half of them.
      const urls = [...participants].map(([label, all]) => [label, all[at % REPLICAS] ?? ''])
      const made = await join({
        descriptor: network.signed,
        descriptorHash: network.verified.hash,
        role: 'client',
        attester: attester(`${1_000_000 + at}`),
        participants: Object.fromEntries(urls),
        deadline: 120_000,
        onProgress({ label, state, code }) {
          if (state === 'asking') asked.set(label, performance.now())
          if (state === 'released') took.push(performance.now() - (asked.get(label) ?? 0))
          if (['asking', 'attesting', 'released'].includes(state)) return
          const key = `${state} ${code ?? ''}`.trim()
          said.set(key, (said.get(key) ?? 0) + 1)
        },
      })
      void made.ended.then(({ code }) => ended.push(code))
      networks.push(made)
    }
    const began = performance.now()
    const queue = Array.from({ length: workloads }, (_, at) => at).values()
    await Promise.all(
      Array.from({ length: JOINING }, async () => {
        for (const at of queue) await start(at)
      }),
    )
    const seconds = (performance.now() - began) / 1000
    const rate = Math.round((workloads * LABELS.length) / seconds)
    console.log(
      `${workloads} workloads joined in ${seconds.toFixed(1)} s, ${rate} rounds/s, ${told(took)}`,
    )
    took.length = 0
    const before = spentBy(replicas)
    const from = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, watched * 1000))
    const own = process.cpuUsage(from)
    const after = spentBy(replicas)
    console.log(
      `${watched} s of renewals, lease ${leaseSeconds} s: ${(took.length / watched).toFixed(1)} rounds/s, ${told(took)}; ` +
        `networks ended: ${ended.length}; else: ${JSON.stringify(Object.fromEntries(said))}`,
    )
    const share = (spent: number) => `${((100 * spent) / watched).toFixed(0)} %`
    console.log(
      `of ${cpus().length} processors: the six processes ${share(after - before)}, all workloads and their tokens ` +
        `${share((own.user + own.system) / 1e6)}; the rest PostgreSQL and others`,
    )
  } finally {
    await Promise.all(networks.map((each) => each.close()))
    for (const peers of replicas.values())
      for (const peer of peers) await peer[Symbol.asyncDispose]()
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function spentBy(replicas: ReadonlyMap<string, readonly Child[]>): number {
  return [...replicas.values()].flat().reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
}

function told(took: readonly number[]): string {
  const sorted = [...took].sort((left, right) => left - right)
  const at = (part: number) => Math.round(sorted[Math.ceil(sorted.length * part) - 1] ?? Number.NaN)
  return `ms: median ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, most ${at(1)}`
}
