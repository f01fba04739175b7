// Many workloads at once. No measurements of bench/main.ts: they take minutes, and the last two a PostgreSQL server.
//
//   npx tsx bench/consent-fleet.ts burst [rounds]                         rounds of one participant, all at once
//   npx tsx bench/consent-fleet.ts fleet [workloads] [lease s] [watched s]   workloads that renew against three
//                                                  participants of two processes each, on PostgreSQL
//   npx tsx bench/consent-fleet.ts churn [workloads] [lease s] [minutes] [seed]   the same, but workloads go and
//                                                  others come, processes are killed, policies are replaced

import { cpus } from 'node:os'
import type { Network } from '../src/consent/index.js'
import { script } from './lib/child.js'
import { churn } from './lib/consent-churn.js'
import { FleetStage, LABELS, REPLICAS, told } from './lib/consent-fleet-stage.js'
import { Poster, type PreparedEvidence, Stage } from './lib/consent-rounds.js'

/** Workloads that join at the same time: what starts a fleet does not start all of it in one moment. */
const JOINING = 16
const LIFETIME_MS = 900_000

const [what, ...numbers] = process.argv.slice(2)
if (what === 'burst') await burst(Number(numbers[0] ?? 160))
else if (what === 'fleet') {
  await fleet(Number(numbers[0] ?? 2_000), Number(numbers[1] ?? 600), Number(numbers[2] ?? 400))
} else if (what === 'churn') {
  const [workloads = 150, leaseSeconds = 300, minutes = 60, seed = Date.now() % 1_000_000] =
    numbers.map(Number)
  console.log(`seed ${seed}`)
  await churn({ workloads, leaseSeconds, minutes, seed })
} else throw new Error('expected burst, fleet or churn')

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
  const lifetimeMs = LIFETIME_MS
  await using stage = await FleetStage.make({ leaseSeconds, instances: workloads, lifetimeMs })
  const networks: Network[] = []
  try {
    const took: number[] = []
    const said = new Map<string, number>()
    const ended: string[] = []
    const start = async (at: number): Promise<void> => {
      const asked = new Map<string, number>()
      // A load balancer's part: each process of a participant is asked by half of them.
      const urls = LABELS.map((label) => [label, stage.urls(label)[at % REPLICAS] ?? ''])
      const made = await stage.join(`${1_000_000 + at}`, {
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
    const before = spentBy(stage)
    const from = process.cpuUsage()
    await new Promise((resolve) => setTimeout(resolve, watched * 1000))
    const own = process.cpuUsage(from)
    const after = spentBy(stage)
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
  }
}

function spentBy({ processes }: FleetStage): number {
  return processes.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
}
