// `kill -9` of a DTLS server under load, with its sessions in a session store: what was lost, used twice or
// accepted twice, how long until the first echo, and what the store costs.
//
//   npx tsx bench/dtls-crash.ts [cost] [crash] [--sessions 1000] [--rate 50000] [--seconds 4] [--rounds 3]
//                               [--version DTLSv1.2]
//
// With DTLSv1.3 what the store costs; the checker of `crash` reads records of DTLS 1.2 alone.
// The checker reads what dumpcap has recorded on the loopback, and sends every datagram of the clients once
// more, so this needs root. All traffic stays on the loopback.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { numbersUsedTwice } from '../test/support/record-numbers.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sessions: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '50000' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    version: { type: 'string', default: 'DTLSv1.2' },
  },
})
const sessions = Number(values.sessions)
const rate = Number(values.rate)
const seconds = Math.min(20, Number(values.seconds))
const rounds = Math.min(10, Number(values.rounds))
const LIFETIME_MS = 200_000
const PCAP_HEADER = 24
const PACKET_HEADER = 16
/** Ethernet, IPv4 without options, UDP. */
const BEFORE_PAYLOAD = 14 + 20 + 8

/**
 * Nobody else's: while the server is dead its port is free, and another program on 127.0.0.1 could be given it,
 * and answer.
 */
const HOST = `127.91.${(process.pid >> 8) & 255}.${process.pid & 255 || 1}`
const sealingKey = randomBytes(32).toString('hex')
const folder = mkdtempSync(join(tmpdir(), 'mcbn-crash-'))
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/** A process, and the lines that it prints: a word, then a number. */
class Part {
  readonly child: ChildProcess
  readonly #lines: string[] = []
  #wake: () => void = () => {}

  constructor(command: string, args: readonly string[]) {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    running.add(this.child)
    setTimeout(() => this.child.kill('SIGKILL'), LIFETIME_MS).unref()
    let rest = ''
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      this.#lines.push(...lines)
      this.#wake()
    })
    this.child.once('exit', () => running.delete(this.child))
  }

  /** The number of the next line that begins with the word; what was before it is passed over. */
  async next(word: string): Promise<number> {
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        if (line.startsWith(`${word} `)) return Number(line.slice(word.length + 1))
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  say(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.kill(signal)
    await once(this.child, 'exit')
  }
}

function peer(...args: readonly (string | number)[]): Part {
  const file = fileURLToPath(new URL('./lib/crash-peer.ts', import.meta.url))
  const all = [HOST, values.version, ...args].map(String)
  return new Part(process.execPath, ['--import', 'tsx', file, ...all])
}

interface Throughput {
  /** Echoes a second. */
  readonly rate: number
  /** Microseconds of the server's processor time for each. */
  readonly processor: number
}

/** With as many messages under way as the sessions may have. */
async function throughput(store: string): Promise<Throughput> {
  const server = peer('serve', 0, sealingKey, store)
  const load = peer('flood', await server.next('port'), sessions, seconds)
  const processor = (): Promise<number> => {
    server.say('report')
    return server.next('processor')
  }
  await load.next('began')
  const before = await processor()
  const rate = await load.next('result')
  const spent = (await processor()) - before
  await load.end('SIGKILL')
  await server.end('SIGKILL')
  return { rate, processor: spent / (rate * seconds) }
}

async function cost(): Promise<void> {
  const found: Record<'none' | 'folder', Throughput[]> = { none: [], folder: [] }
  for (let round = 0; round < rounds; round += 1) {
    found.none.push(await throughput(''))
    found.folder.push(await throughput(join(folder, `cost-${round}`)))
  }
  const middle = (all: readonly number[]): number =>
    [...all].sort((a, b) => a - b)[all.length >> 1] as number
  for (const [store, each] of Object.entries(found)) {
    const rates = each.map(({ rate }) => Math.round(rate))
    const processor = each.map((one) => one.processor.toFixed(2))
    console.log(
      `${values.version}, ${sessions} sessions, ${store}: echoes/s ${rates}; us each ${processor}`,
    )
  }
  const medians = (of: keyof Throughput): readonly [number, number] => [
    middle(found.none.map((each) => each[of])),
    middle(found.folder.map((each) => each[of])),
  ]
  const [rate, stored] = medians('rate')
  const [processor, more] = medians('processor')
  console.log(`the store costs ${(100 * (1 - stored / rate)).toFixed(1)} % of throughput,`)
  console.log(
    `and ${(100 * (more / processor - 1)).toFixed(1)} % more processor time of the server`,
  )
}

interface Captured {
  readonly toServer: Buffer[]
  readonly toClient: Map<number, { readonly bytes: Buffer }[]>
}

function captured(file: string, port: number): Captured {
  const all = readFileSync(file)
  const toServer: Buffer[] = []
  const toClient: Captured['toClient'] = new Map()
  for (let at = PCAP_HEADER; at + PACKET_HEADER <= all.length; ) {
    const length = all.readUInt32LE(at + 8)
    const packet = all.subarray(at + PACKET_HEADER, at + PACKET_HEADER + length)
    at += PACKET_HEADER + length
    if (packet.length < BEFORE_PAYLOAD) continue
    const [from, to] = [packet.readUInt16BE(34), packet.readUInt16BE(36)]
    const bytes = packet.subarray(BEFORE_PAYLOAD)
    if (to === port) {
      toServer.push(bytes)
    } else if (from === port) {
      const list = toClient.get(to) ?? []
      if (list.length === 0) toClient.set(to, list)
      list.push({ bytes })
    }
  }
  return { toServer, toClient }
}

async function replay(datagrams: readonly Buffer[], port: number): Promise<void> {
  const socket = createSocket('udp4')
  for (const [index, bytes] of datagrams.entries()) {
    socket.send(bytes, port, HOST)
    if (index % 100 === 99) await sleep(5)
  }
  socket.close()
}

async function crash(): Promise<void> {
  const store = join(folder, 'crash')
  let server = peer('serve', 0, sealingKey, store)
  const port = await server.next('port')
  const file = join(folder, 'capture.pcap')
  const filter = [
    '-P',
    '-q',
    '-i',
    'lo',
    '-B',
    '64',
    '-f',
    `udp port ${port} and host ${HOST}`,
    '-w',
    file,
  ]
  const capture = new Part('dumpcap', filter)
  while (statSync(file, { throwIfNoEntry: false }) === undefined) await sleep(50)
  const load = peer('rate', port, sessions, rate)
  await load.next('open')
  await sleep(seconds * 1_000)
  load.say('report')
  const before = await load.next('heard')
  const per = await load.next('rate')
  const began = performance.now()
  await server.end('SIGKILL')
  load.say('mark')
  server = peer('serve', port, sealingKey, store)
  const restored = await server.next('restored')
  const up = performance.now() - began
  await load.next('echo')
  const first = performance.now() - began
  await load.next('all')
  const everybody = performance.now() - began
  await sleep(1_000)
  load.say('stop')
  await load.next('stopped')
  const { toServer } = captured(file, port)
  await replay(toServer, port)
  await sleep(1_000)
  load.say('report')
  const after = await load.next('heard')
  await load.next('rate')
  const twice = await load.next('twice')
  server.say('report')
  const handshakes = await server.next('handshakes')
  const replayed = await server.next('replayed')
  await capture.end('SIGTERM')
  const { toClient } = captured(file, port)
  let reused = 0
  let records = 0
  for (const sent of toClient.values()) {
    records += sent.length
    reused += numbersUsedTwice(sent).length
  }
  await load.end('SIGKILL')
  await server.end('SIGKILL')
  console.log(
    [
      `${sessions} sessions, ${Math.round(per)} messages/s each way before the kill (${before} echoes)`,
      `sessions lost: ${sessions - restored}; handshakes after the kill: ${handshakes}`,
      `record numbers used twice: ${reused}, in ${records} captured records of the server`,
      `datagrams of clients sent once more: ${toServer.length}; dropped as replayed: ${replayed}; accepted: ${twice}`,
      `after the kill: sessions restored ${Math.round(up)} ms, first echo ${Math.round(first)} ms, an echo on every session ${Math.round(everybody)} ms`,
      `echoes after the kill: ${after - before}`,
    ].join('\n'),
  )
}

if (positionals.length === 0 || positionals.includes('cost')) await cost()
const crashes = positionals.length === 0 || positionals.includes('crash')
if (crashes && values.version === 'DTLSv1.2') await crash()
process.exit(0)
