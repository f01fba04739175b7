// mcbn/tls beside node:tls with a pskCallback: throughput and handshakes per second.
//
//   node --import tsx bench/tls.ts [--seconds 2] [--rounds 5] [--json]
//
// Server and client are two processes on loopback, both in JavaScript, both TLS 1.3 with
// TLS_AES_128_GCM_SHA256. The two libraries take turns in one run, so that whatever else the machine
// does hits both; the ratio is that of the medians.

import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import type { Duplex } from 'node:stream'
import * as nodeTls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import * as mcbn from '../src/tls/index.js'
import { median } from './lib/measurement.js'

type Library = 'mcbn' | 'node'
type Work = 'handshakes' | 'throughput'
interface Task {
  readonly library: Library
  readonly work: Work
  readonly port: number
  readonly key: string
  readonly milliseconds: number
}

/** What the client's process has to say at its end. */
interface Report {
  /** Handshakes or bytes per second. */
  readonly rate: number
  /** Seconds of processor time, and handshakes or bytes done for it. */
  readonly cpu: number
  readonly done: number
}

export interface TlsResult {
  readonly rate: number
  /** Microseconds of processor time for each handshake or megabyte. */
  readonly costs: { readonly server: number; readonly client: number }
}

const identity = 'bench'
const suite = 'TLS_AES_128_GCM_SHA256'
const CONCURRENT = 16
const BLOCK = randomBytes(256 * 1024)

function serve(library: Library, key: Buffer, onSocket: (socket: Duplex) => void): Server {
  if (library === 'mcbn')
    return mcbn.createServer({ psk: { [identity]: key }, ciphers: suite }, onSocket)
  const pskCallback = () => key
  return nodeTls.createServer({ pskCallback, ciphers: suite, minVersion: 'TLSv1.3' }, onSocket)
}

function connect(library: Library, port: number, key: Buffer): Duplex {
  const place = { host: '127.0.0.1', port, ciphers: suite }
  if (library === 'mcbn') return mcbn.connect({ ...place, psk: { identity, key } })
  return nodeTls.connect({
    ...place,
    minVersion: 'TLSv1.3',
    pskCallback: () => ({ psk: key, identity }),
    checkServerIdentity: () => undefined,
  })
}

async function perform({ library, work, port, key, milliseconds }: Task): Promise<Report> {
  const psk = Buffer.from(key, 'hex')
  const cpuBefore = cpuSeconds()
  const started = performance.now()
  const deadline = started + milliseconds
  let done = 0
  if (work === 'handshakes') {
    const lane = async (): Promise<void> => {
      while (performance.now() < deadline) {
        const socket = connect(library, port, psk)
        await once(socket, 'secureConnect')
        socket.destroy()
        done += 1
      }
    }
    await Promise.all(Array.from({ length: CONCURRENT }, lane))
  } else {
    const socket = connect(library, port, psk)
    await once(socket, 'secureConnect')
    while (performance.now() < deadline) {
      done += BLOCK.length
      if (!socket.write(BLOCK)) await once(socket, 'drain')
    }
    socket.destroy()
  }
  const rate = done / ((performance.now() - started) / 1000)
  return { rate, done, cpu: cpuSeconds() - cpuBefore }
}

/** Of this process, all its threads. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Handshakes per second, or bytes per second as the receiver's listener saw them. */
export async function measureTls(
  library: Library,
  work: Work,
  milliseconds: number,
): Promise<TlsResult> {
  const key = randomBytes(32)
  let received = 0
  const server = serve(library, key, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = fork(fileURLToPath(import.meta.url), ['client'])
  // It has started: what comes now is the work.
  await once(client, 'message')
  const cpuBefore = cpuSeconds()
  client.send({ library, work, port, key: key.toString('hex'), milliseconds } satisfies Task)
  const [report] = (await once(client, 'message')) as [Report]
  const cpu = cpuSeconds() - cpuBefore
  client.kill()
  server.close()
  await once(server, 'close')
  // Bytes count when the receiver's listener has seen them, not when the sender has handed them over.
  const units = work === 'handshakes' ? report.done : report.done / 1e6
  return {
    rate:
      work === 'handshakes' ? report.rate : Math.min(report.rate, received / (milliseconds / 1000)),
    costs: { server: (cpu / units) * 1e6, client: (report.cpu / units) * 1e6 },
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
    },
  })
  const milliseconds = Number(values.seconds) * 1000
  const results: Record<string, number> = {}
  for (const work of ['throughput', 'handshakes'] as const) {
    const rates: Record<Library, number[]> = { mcbn: [], node: [] }
    for (let round = 0; round < Number(values.rounds); round++) {
      const order = round % 2 === 0 ? (['mcbn', 'node'] as const) : (['node', 'mcbn'] as const)
      for (const library of order) {
        const { rate } = await measureTls(library, work, milliseconds)
        rates[library].push(rate)
      }
    }
    const [ours, theirs] = [median(rates.mcbn), median(rates.node)]
    results[`${work} mcbn`] = ours
    results[`${work} node:tls`] = theirs
    results[`${work} ratio`] = ours / theirs
    if (!values.json) {
      const [scale, unit] = work === 'handshakes' ? [1, '/s'] : [1e9, ' GB/s']
      const shown = (rate: number): string => (rate / scale).toFixed(scale === 1 ? 0 : 2) + unit
      console.log(
        `${work}: mcbn/tls ${shown(ours)}, node:tls ${shown(theirs)}, ratio ${(ours / theirs).toFixed(2)}`,
      )
    }
  }
  if (values.json) console.log(JSON.stringify({ node: process.version, ...results }))
}

// Imported by main.ts, it only lends its measurements.
const running = process.argv[1] === fileURLToPath(import.meta.url)
if (running && process.argv[2] === 'client') {
  process.once('message', (task: Task) => {
    void perform(task).then((report) => process.send?.(report))
  })
  process.send?.('ready')
} else if (running) {
  await main()
}
