// An hour of ordinary trouble, and whether anything grows: TLS and DTLS clients that come and go behind a relay
// that loses datagrams and changes their ports, keys revoked and given again, networks of consent that are
// joined, used and withdrawn from.
//
//   npx tsx bench/soak.ts [minutes, 60] [folder, .]     writes soak.csv and soak.svg into the folder
//
// Each part is a process. Exit code 1: something grew. docs/RELIABILITY.md has a run. All traffic stays in 127.0.0.0/8.

import { appendFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Child } from './lib/child.js'
import { type Curve, soakChart } from './soak/chart.js'
import { growth } from './soak/growth.js'

const minutes = Math.min(Number(process.argv[2] ?? 60), 240)
const folder = process.argv[3] ?? '.'
const SAMPLE_SECONDS = 10
/** Of the run: caches fill, the heap finds its size. Not judged. */
const WARM_UP = 1 / 6
/** What memory may gain from there to the end, as a part of it: noise of the garbage collector. */
const ALLOWED_GROWTH = 0.08

const PROCESSES = ['server', 'clients', 'consent'] as const
type Name = (typeof PROCESSES)[number]

const milliseconds = minutes * 60_000
const tsx = pathToFileURL(new URL(import.meta.resolve('tsx')).pathname).href

function start(name: Name, ...args: readonly number[]): Child {
  const file = new URL(`./soak/${name}.ts`, import.meta.url).pathname
  const all = ['--import', tsx, file, minutes, ...args]
  return new Child(process.execPath, all, milliseconds + 60_000)
}

await using server = start('server')
const [tlsPort, dtlsPort] = [await server.value('tls'), await server.value('dtls')]
await using clients = start('clients', tlsPort, dtlsPort)
await using consent = start('consent')
const children: Record<Name, Child> = { server, clients, consent }
for (const name of PROCESSES) await children[name].value('ready')

const samples: Record<string, number>[] = []
const csv = join(folder, 'soak.csv')
const began = performance.now()
for (let due = 0; due <= milliseconds; due += SAMPLE_SECONDS * 1_000) {
  await sleep(Math.max(0, began + due - performance.now()))
  const sample: Record<string, number> = { seconds: Math.round(due / 1_000) }
  for (const name of PROCESSES) {
    const child = children[name]
    sample[`${name} MB`] = Number((child.residentBytes / 1e6).toFixed(1))
    sample[`${name} fds`] = readdirSync(`/proc/${child.pid}/fd`).length
    sample[`${name} threads`] = readdirSync(`/proc/${child.pid}/task`).length
  }
  for (const figure of ['dtls-median-us', 'dtls-p99-us', 'tls-median-us', 'tls-p99-us'])
    sample[figure] = await clients.value(figure)
  sample['heap MB'] = await server.value('heap-mb')
  if (samples.length === 0) writeFileSync(csv, `${Object.keys(sample).join(',')}\n`)
  appendFileSync(csv, `${Object.values(sample).join(',')}\n`)
  samples.push(sample)
}

const judged = samples.slice(Math.floor(samples.length * WARM_UP))
const curves: Curve[] = Object.keys(samples[0] ?? {})
  .filter((name) => name !== 'seconds')
  .map((name) => ({ name, values: samples.map((sample) => sample[name] ?? 0) }))
writeFileSync(join(folder, 'soak.svg'), soakChart(curves, minutes))

let grown = 0
const rows = curves.map(({ name }) => {
  const values = judged.map((sample) => sample[name] ?? 0)
  const gained = growth(values)
  const counts = !name.endsWith('us')
  const grows = counts && gained > ALLOWED_GROWTH
  if (grows) grown += 1
  return {
    figure: name,
    first: values[0],
    last: values.at(-1),
    most: Math.max(...values),
    'gain %': (gained * 100).toFixed(1),
    grows: counts ? grows : '',
  }
})
console.table(rows)
const done: Record<string, number> = {}
for (const [child, figures] of [
  [
    clients,
    [
      'dtls-opened',
      'dtls-failed',
      'dtls-echoes',
      'dtls-moves',
      'tls-opened',
      'tls-failed',
      'tls-echoes',
    ],
  ],
  [server, ['revocations', 'address-changes']],
  [consent, ['networks', 'withdrawals', 'renewals', 'consent-failed']],
] as const)
  for (const figure of figures) done[figure] = await child.value(figure)
console.table([done])
process.exitCode = grown > 0 ? 1 : 0
