// What a legitimate client notices of a flood: whether it connects, how long that takes, what the server's
// memory grows by, how many lookups it makes at once.
//
//   npx tsx bench/floods.ts [datagrams a second, 30000] [seconds, 8]
//
// Prints a table, quiet first. docs/RELIABILITY.md has figures. All traffic stays in 127.0.0.0/8.

import { once } from 'node:events'
import * as dtls from '../src/dtls/index.js'
import { script } from './lib/child.js'
import { HOST, IDENTITY, KEY } from './lib/credentials.js'
import { median } from './lib/measurement.js'

const rate = Math.min(Number(process.argv[2] ?? 30_000), 100_000)
const seconds = Math.min(Number(process.argv[3] ?? 8), 30)
const HANDSHAKES = 4_096

/** Milliseconds until a new session has had its first echo; undefined: it had none. */
async function connectAndEcho(port: number): Promise<number | undefined> {
  const began = performance.now()
  const psk = { identity: IDENTITY, key: KEY }
  const socket = dtls.connect({ host: HOST, port, psk, localAddress: '127.0.0.9' })
  socket.on('error', () => {})
  try {
    await socket.opened
    const answer = once(socket, 'message', { signal: AbortSignal.timeout(5_000) })
    socket.send('hello')
    await answer
    return performance.now() - began
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

const FLOODS = ['hellos', 'replays', 'restarts', 'lookups', 'waiting', 'forged'] as const

async function measure(what: 'quiet' | (typeof FLOODS)[number]): Promise<Record<string, unknown>> {
  await using server = script('flood-peer.ts', 'serve', HANDSHAKES)
  const port = await server.value('port')
  for (let count = 0; count < 20; count += 1) await connectAndEcho(port)
  const before = server.residentBytes
  await using attack =
    what === 'quiet' ? undefined : script('flood-peer.ts', what, port, rate, seconds)
  await attack?.value('started')
  const target = what === 'forged' ? ((await attack?.value('relay')) ?? 0) : port
  const until = performance.now() + seconds * 1_000
  const times: (number | undefined)[] = []
  let largest = before
  while (performance.now() < until) {
    times.push(await connectAndEcho(target))
    largest = Math.max(largest, server.residentBytes)
  }
  const good = times.filter((time) => time !== undefined)
  return {
    flood: what,
    'datagrams/s': attack ? Math.round((await attack.value('sent')) / seconds) : 0,
    attempts: times.length,
    'success %': ((100 * good.length) / times.length).toFixed(1),
    'median ms': median(good).toFixed(1),
    'memory MB': ((largest - before) / 1e6).toFixed(0),
    'lookups at once': await server.value('most'),
  }
}

const rows = []
for (const what of ['quiet', ...FLOODS] as const) rows.push(await measure(what))
console.table(rows)
process.exit(0)
