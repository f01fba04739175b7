// What a legitimate client notices of a flood: whether it connects, how long that takes, what the server's
// memory grows by, how many lookups it makes at once, how many datagrams it drops. Where the flood is at an open
// session, what that session notices.
//
//   npx tsx bench/floods.ts [datagrams a second, 30000] [seconds, 8] [flood ...]
//
// MCBN_FLOOD_PORTS: of each of the two addresses of `lookups` and `waiting`, 400. With 3,000 (`ulimit -n` above 6,200) they have
// all the handshakes that two hosts may have.
//
// Prints a table, each quiet first. docs/RELIABILITY.md has figures. All traffic stays in 127.0.0.0/8.

import { once } from 'node:events'
import * as dtls from '../src/dtls/index.js'
import { type Child, script } from './lib/child.js'
import { CCM8, HOST, IDENTITY, KEY } from './lib/credentials.js'
import { median } from './lib/measurement.js'

const rate = Math.min(Number(process.argv[2] ?? 30_000), 100_000)
const seconds = Math.min(Number(process.argv[3] ?? 8), 30)
const chosen = process.argv.slice(4)
const HANDSHAKES = 4_096

interface Flood {
  readonly name: string
  /** The stranger's program and role; none: it is quiet. */
  readonly stranger?: readonly [file: string, role: string]
  /** The server's JavaScript stands still most of the time. */
  readonly blocked?: boolean
  /** Clients talk through the stranger's process. */
  readonly through?: boolean
  /** One session talks all the time, with these options. */
  readonly session?: dtls.DtlsOptions
}

const PLAIN = { ciphers: CCM8 }
const WITH_IDS = { ciphers: CCM8, connectionId: 8 }
const FLOODS: readonly Flood[] = [
  { name: 'quiet' },
  ...['hellos', 'replays', 'restarts', 'lookups', 'waiting'].map((name) => ({
    name,
    stranger: ['flood-peer.ts', name] as const,
  })),
  ...['forged', 'verifies', 'cookies'].map((name) => ({
    name,
    stranger: ['flood-spoofers.ts', name] as const,
    through: true,
  })),
  { name: 'blocked, quiet', blocked: true },
  { name: 'blocked', blocked: true, stranger: ['flood-peer.ts', 'lookups'] },
  { name: 'session, quiet', session: PLAIN },
  { name: 'session', session: PLAIN, stranger: ['flood-spoofers.ts', 'session'] },
  { name: 'session-ids', session: WITH_IDS, stranger: ['flood-spoofers.ts', 'session'] },
]

function connect(port: number, options: dtls.DtlsOptions = {}): dtls.DtlsSocket {
  const psk = { identity: IDENTITY, key: KEY }
  const socket = dtls.connect({ ...options, host: HOST, port, psk, localAddress: '127.0.0.9' })
  socket.on('error', () => {})
  return socket
}

/** Milliseconds until an echo; undefined: there was none. */
async function echo(socket: dtls.DtlsSocket, patience = 5_000): Promise<number | undefined> {
  const began = performance.now()
  try {
    const answer = once(socket, 'message', { signal: AbortSignal.timeout(patience) })
    socket.send('hello')
    await answer
    return performance.now() - began
  } catch {
    return undefined
  }
}

/** Milliseconds until a new session is open, and until it has had its first echo. */
async function connectAndEcho(port: number): Promise<{ open: number; echo: number } | undefined> {
  const began = performance.now()
  const socket = connect(port)
  try {
    await socket.opened
    const open = performance.now() - began
    return (await echo(socket)) === undefined
      ? undefined
      : { open, echo: performance.now() - began }
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

/** One session that talks all the time. */
class Talk {
  readonly #socket: dtls.DtlsSocket
  readonly #times: (number | undefined)[] = []
  #going = true
  #done: Promise<void> = Promise.resolve()

  constructor(socket: dtls.DtlsSocket) {
    this.#socket = socket
  }

  begin(): void {
    this.#done = this.#run()
  }

  async #run(): Promise<void> {
    while (this.#going) this.#times.push(await echo(this.#socket, 1_000))
  }

  async end(): Promise<Record<string, unknown>> {
    this.#going = false
    await this.#done
    const good = this.#times.filter((time) => time !== undefined)
    const alive = (await echo(this.#socket)) !== undefined
    return {
      echoes: this.#times.length,
      'echoed %': percent(good.length, this.#times.length),
      'echo ms': median(good).toFixed(2),
      alive,
      'client dropped': this.#socket.stats.recordsDropped,
    }
  }
}

async function measure(flood: Flood): Promise<Record<string, unknown>> {
  await using server = script('flood-peer.ts', flood.blocked ? 'blocked' : 'serve', HANDSHAKES)
  const port = await server.value('port')
  for (let count = 0; count < 20; count += 1) await connectAndEcho(port)
  const before = server.residentBytes
  await using attack = flood.stranger && script(...flood.stranger, port, rate, seconds)
  await attack?.value('started')
  const relay = flood.through || flood.session ? await attack?.value('relay') : undefined
  const talk = flood.session && new Talk(await connect(relay ?? port, flood.session).opened)
  talk?.begin()
  const { times, largest } = await come(flood.through && relay ? relay : port, server)
  const good = times.filter((time) => time !== undefined)
  const sent = attack ? await attack.value('sent') : 0
  return {
    flood: flood.name,
    'datagrams/s': Math.round(sent / seconds),
    attempts: times.length,
    'success %': percent(good.length, times.length),
    'open ms': median(good.map(({ open }) => open)).toFixed(1),
    'echo ms': median(good.map((each) => each.echo)).toFixed(1),
    'memory MB': ((largest - before) / 1e6).toFixed(0),
    'lookups at once': await server.value('most'),
    dropped: await server.value('dropped'),
    ...(talk && { session: JSON.stringify(await talk.end()) }),
  }
}

/** One client after the other, while the flood lasts. */
async function come(port: number, server: Child) {
  const until = performance.now() + seconds * 1_000
  const times: Awaited<ReturnType<typeof connectAndEcho>>[] = []
  let largest = 0
  while (performance.now() < until) {
    times.push(await connectAndEcho(port))
    largest = Math.max(largest, server.residentBytes)
  }
  return { times, largest }
}

function percent(part: number, whole: number): string {
  return ((100 * part) / whole).toFixed(1)
}

const rows = []
for (const flood of FLOODS) {
  if (chosen.length === 0 || chosen.includes(flood.name)) rows.push(await measure(flood))
}
console.table(rows)
process.exit(0)
