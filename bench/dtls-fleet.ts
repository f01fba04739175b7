// Four servers behind a balancer that knows nothing of DTLS, clients whose ports change all the time, and each server
// replaced by another process in turn: what was lost, who had to shake hands again, and what forwarding costs.
//
//   npx tsx bench/dtls-fleet.ts [rolling] [cost] [--clients 1000] [--rate 5000] [--move 10] [--seconds 4] [--rounds 3]
//       [--namespaces]
//
// All traffic stays on the loopback, or with --namespaces (as root) on a bridge: each node in a network namespace, with a
// separate address. In a network namespace (unshare -n, then ip link set lo up) what the kernel counts as lost in full
// buffers is this program's alone, without that of other namespaces. docs/FLEET.md has figures.

import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Namespace, Namespaces } from './lib/namespaces.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '5000' },
    move: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    namespaces: { type: 'boolean', default: false },
  },
})
const NODES = 4
const seconds = Math.min(20, Number(values.seconds))
const key = randomBytes(32).toString('hex')
const idKey = randomBytes(16).toString('hex')
const namespaces = values.namespaces ? new Namespaces(2 * NODES) : undefined
const host = namespaces?.address ?? '127.0.0.1'
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

class Part {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, (result: never) => void>()
  #last = 0

  constructor(where: Namespace | undefined, ...args: readonly (string | number)[]) {
    const file = fileURLToPath(new URL('./lib/fleet-part.ts', import.meta.url))
    const node = ['--import', 'tsx']
    const inside = where && ['netns', 'exec', where.name, process.execPath]
    this.child = fork(file, args.map(String), {
      ...(inside && { execPath: 'ip' }),
      execArgv: [...(inside ?? []), ...node],
      serialization: 'advanced',
    })
    running.add(this.child)
    this.child.once('exit', () => running.delete(this.child))
    this.child.on('message', ({ id, result }: { id: number; result: never }) => {
      this.#waiting.get(id)?.(result)
      this.#waiting.delete(id)
    })
  }

  call<Result = undefined>(call: string, given?: unknown): Promise<Result> {
    this.#last += 1
    const id = this.#last
    this.child.send({ id, call, given })
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve as (result: never) => void)
    })
  }

  end(): void {
    this.child.kill('SIGKILL')
  }
}

interface Node {
  readonly part: Part
  readonly id: number
  readonly host: string
  readonly port: number
  readonly fleetPort: number
}
interface Stats {
  readonly handshakesStarted: number
  readonly forwarded: number
  readonly receivedForwarded: number
  readonly sessions: number
  readonly dropped: Readonly<Record<string, number>>
  readonly processor: NodeJS.CpuUsage
}

interface Report {
  readonly sent: number
  readonly heard: number
  readonly twice: number
  readonly ended: number
  /** Seconds after the start. */
  readonly missing: readonly number[]
}

async function node(id: number): Promise<Node> {
  const where = namespaces?.all[id]
  const at = where?.address ?? host
  const part = new Part(where, 'node', at, id, key, idKey)
  const ports = await part.call<{ port: number; fleetPort: number }>('ports')
  return { part, id, host: at, ...ports }
}

const listening = ({ host, port }: Node) => ({ host, port })

async function acquaint(nodes: readonly Node[]): Promise<void> {
  for (const { part } of nodes) {
    await part.call(
      'members',
      nodes.map(({ host, fleetPort }) => ({ host, port: fleetPort })),
    )
  }
  await sleep(300)
}

async function set(how: 'hash' | 'stay', rate: number) {
  const nodes = await Promise.all(Array.from({ length: NODES }, (_, id) => node(id)))
  await acquaint(nodes)
  const balancer = new Part(undefined, 'balancer', host, values.move, how)
  const clients = new Part(undefined, 'clients', host, values.clients, rate)
  await balancer.call('nodes', nodes.map(listening))
  await clients.call('open', await balancer.call<number>('port'))
  return { nodes, balancer, clients }
}

/** Datagrams that found a full buffer, of all programs of the network namespace. */
function overrun(): number {
  const [names = [], figures = []] = readFileSync('/proc/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Udp:'))
    .map((line) => line.split(' '))
  return Number(figures[names.indexOf('RcvbufErrors')])
}

const total = (stats: readonly Stats[], of: (each: Stats) => number): number =>
  stats.reduce((sum, each) => sum + of(each), 0)

async function rolling(): Promise<void> {
  const { nodes, balancer, clients } = await set('hash', Number(values.rate))
  const last: Stats[] = []
  const before = overrun()
  await clients.call('start')
  const started = performance.now()
  const steps: string[] = []
  const step = (name: string): void => {
    steps.push(`${name} ${((performance.now() - started) / 1_000).toFixed(3)}`)
  }
  await sleep(1_000)
  const sealingKey = randomBytes(32)
  const times: number[] = []
  for (let index = 0; index < NODES; index += 1) {
    const old = nodes[index] as Node
    const next = await node(NODES + index)
    await acquaint([...nodes, next])
    step(`node ${old.id}: taken over`)
    await next.part.call('takeOver', old.id)
    await sleep(200)
    step('export')
    const began = performance.now()
    const sealed = await old.part.call<Uint8Array[]>('export', sealingKey)
    await next.part.call('import', { sealed, sealingKey })
    times.push(performance.now() - began)
    step('imported')
    nodes[index] = next
    await balancer.call('nodes', nodes.map(listening))
    await sleep(1_000)
    last.push(await old.part.call<Stats>('stats'))
    step('closed')
    await old.part.call('close')
    old.part.end()
  }
  await sleep(1_000)
  await clients.call('stop')
  await sleep(2_000)
  const { sent, heard, twice, ended, missing } = await clients.call<Report>('report')
  for (const { part } of nodes) last.push(await part.call<Stats>('stats'))
  const handshakes = total(last, (each) => each.handshakesStarted)
  const dropped: Record<string, number> = {}
  for (const stats of last) {
    for (const [reason, count] of Object.entries(stats.dropped)) {
      if (count > 0) dropped[reason] = (dropped[reason] ?? 0) + count
    }
  }
  console.log(`${values.clients} clients, ${await balancer.call<number>('moves')} changes of port`)
  console.log(`messages ${sent}, echoes ${heard}, lost ${sent - heard}, twice ${twice}`)
  if (missing.length > 0) {
    console.log(`sent at s: ${missing.map((at) => at.toFixed(3))}; steps at s: ${steps.join(', ')}`)
  }
  console.log(`found a full buffer: ${overrun() - before}`)
  console.log(`handshakes ${handshakes}, sessions that ended ${ended}`)
  console.log(
    `forwarded ${total(last, (each) => each.forwarded)}, dropped ${JSON.stringify(dropped)}`,
  )
  console.log(`out and in again, ms: ${times.map(Math.round)}`)
  for (const part of [balancer, clients, ...nodes.map((each) => each.part)]) part.end()
}

async function throughput(how: 'hash' | 'stay'): Promise<{ rate: number; processor: number }> {
  const { nodes, balancer, clients } = await set(how, 0)
  const used = async (): Promise<number> => {
    const all = await Promise.all(nodes.map(({ part }) => part.call<Stats>('stats')))
    return total(all, ({ processor }) => processor.user + processor.system)
  }
  await clients.call('start')
  await sleep(1_000)
  const before = await clients.call<{ heard: number }>('report')
  const [processor, began] = [await used(), performance.now()]
  await sleep(seconds * 1_000)
  const after = await clients.call<{ heard: number }>('report')
  const echoes = after.heard - before.heard
  const result = {
    rate: (echoes / (performance.now() - began)) * 1_000,
    processor: ((await used()) - processor) / echoes,
  }
  for (const part of [balancer, clients, ...nodes.map((each) => each.part)]) part.end()
  return result
}

async function cost(): Promise<void> {
  const found = { stay: [] as number[], hash: [] as number[] }
  const spent = { stay: [] as number[], hash: [] as number[] }
  for (let round = 0; round < Math.min(10, Number(values.rounds)); round += 1) {
    for (const how of ['stay', 'hash'] as const) {
      const { rate, processor } = await throughput(how)
      found[how].push(rate)
      spent[how].push(processor)
    }
  }
  const middle = (all: readonly number[]): number =>
    [...all].sort((a, b) => a - b)[all.length >> 1] as number
  for (const how of ['stay', 'hash'] as const) {
    const said = how === 'stay' ? 'the right node' : 'any node'
    const microseconds = middle(spent[how]).toFixed(1)
    console.log(`${said}: echoes/s ${found[how].map(Math.round)}; nodes ${microseconds} us each`)
  }
  const loss = 100 * (1 - middle(found.hash) / middle(found.stay))
  console.log(`forwarding costs ${loss.toFixed(1)} % of throughput`)
}

const all = { rolling, cost }
for (const name of positionals.length > 0 ? positionals : Object.keys(all)) {
  await all[name as keyof typeof all]()
}
