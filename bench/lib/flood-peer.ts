// A server with a key lookup that takes its time, and strangers who flood it, each a process.
//
//   serve <handshakes>                 prints port, most: lookups at once, and dropped
//   blocked <handshakes>               the same with a key table, and JavaScript that stands still most of the time
//   hellos <port> <rate> <seconds>     hellos without a cookie
//   replays <port> <rate> <seconds>    one hello with a valid cookie, again and again
//   restarts <port> <rate> <seconds>   two hellos in turn from one port, each with a key exchange
//   lookups <port> <rate> <seconds>    from two addresses and many ports, each with key exchanges
//   waiting <port> <rate> <seconds>    hellos from two addresses and many ports, and nothing more
//
// flood-spoofers.ts has those who send in the name of others.
//
// Bounded in count and time; everything stays in 127.0.0.0/8.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import * as dtls from '../../src/dtls/index.js'
import type { PskLookup } from '../../src/psk/index.js'
import {
  clientHello,
  cookieOf,
  MESSAGE,
  message,
  record,
  TYPE,
  u16,
} from '../../test/support/dtls-wire.js'
import { say } from './counting.js'
import { HOST, IDENTITY, KEY } from './credentials.js'
import { bound, flood } from './flood.js'

const [role, first = '', second = '', third = ''] = process.argv.slice(2)
const LOOKUP_MS = 100
/** Of each address; see floods.ts. */
const PORTS_EACH = Number(process.env['MCBN_FLOOD_PORTS'] ?? 400)
/** A blocked server's JavaScript stands still for so long, and then runs for so long. */
const BLOCKED_MS = 500
const AWAKE_MS = 20

/** A lookup that takes its time. */
function slowLookup(): PskLookup {
  let asking = 0
  let most = 0
  return async ({ identityText }) => {
    if (identityText === IDENTITY) return KEY
    asking += 1
    most = Math.max(most, asking)
    say('most', most)
    await sleep(LOOKUP_MS)
    asking -= 1
    return null
  }
}

function serve(psk: dtls.DtlsServerOptions['psk']): void {
  say('most', 0)
  say('dropped', 0)
  const server = dtls.createServer(
    {
      // CoAP's times: nothing of a stranger's ends soon.
      retransmitTimeout: 9_000,
      handshakeTimeout: 90_000,
      maxHandshakes: Number(first),
      connectionId: true,
      psk,
    },
    (socket) => {
      socket.on('error', () => {})
      socket.on('message', (text) => socket.send(text))
    },
  )
  server.on('clientError', () => {})
  server.listen(0, '0.0.0.0', () => say('port', server.address()?.port ?? 0))
  setInterval(() => {
    const { dropped } = server.stats
    say(
      'dropped',
      Object.values(dropped).reduce((sum, count) => sum + count, 0),
    )
  }, 250)
}

function standStill(): void {
  setInterval(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS)
  }, AWAKE_MS)
}

/** A hello that the server answers, unless it is too busy to give a cookie. */
async function hello(socket: Socket, port: number): Promise<Buffer | undefined> {
  const random = randomBytes(32)
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(2_000) })
  socket.send(clientHello({ random }), port, HOST)
  const cookie = await answer.then(
    ([datagram]) => cookieOf(datagram as Buffer),
    () => undefined,
  )
  return cookie && clientHello({ random, cookie }, 1)
}

async function restarts(port: number, rate: number, seconds: number): Promise<void> {
  const socket = await bound('127.0.0.5')
  const hellos = [await hello(socket, port), await hello(socket, port)]
  await flood(rate, seconds, (index) => {
    const next = index % 2 === 0 ? (hellos[(index / 2) % 2] ?? '') : keyExchange(index)
    socket.send(next, port, HOST)
  })
  process.exit(0)
}

/** A ClientKeyExchange with an identity that nobody has asked with. */
function keyExchange(index: number): Buffer {
  const name = Buffer.from(`stranger ${index}`)
  const body = Buffer.concat([u16(name.length), name])
  return record(TYPE.handshake, 0, 2, message(MESSAGE.clientKeyExchange, 2, body))
}

async function withoutCookie(port: number, rate: number, seconds: number): Promise<void> {
  const socket = await bound('127.0.0.5')
  const datagram = clientHello()
  await flood(rate, seconds, () => socket.send(datagram, port, HOST))
  process.exit(0)
}

async function replays(port: number, rate: number, seconds: number): Promise<void> {
  const socket = await bound('127.0.0.5')
  const datagram = (await hello(socket, port)) ?? ''
  await flood(rate, seconds, () => socket.send(datagram, port, HOST))
  process.exit(0)
}

/** Each with its valid hello. */
async function manyPorts(port: number): Promise<[Socket, Buffer][]> {
  const hellos: [Socket, Buffer][] = []
  for (const host of ['127.0.0.5', '127.0.0.6']) {
    for (let index = 0; index < PORTS_EACH; index += 1) {
      const socket = await bound(host)
      const datagram = await hello(socket, port)
      if (datagram) hellos.push([socket, datagram])
    }
  }
  return hellos
}

async function lookups(port: number, rate: number, seconds: number): Promise<void> {
  const hellos = await manyPorts(port)
  await flood(rate, seconds, (index) => {
    const [socket, datagram] = hellos[(index >> 1) % hellos.length] as [Socket, Buffer]
    socket.send(index % 2 === 0 ? datagram : keyExchange(index), port, HOST)
  })
  process.exit(0)
}

async function waiting(port: number, rate: number, seconds: number): Promise<void> {
  const hellos = await manyPorts(port)
  await flood(rate, seconds, (index) => {
    const [socket, datagram] = hellos[index % hellos.length] as [Socket, Buffer]
    socket.send(datagram, port, HOST)
  })
  process.exit(0)
}

const FLOODS = { hellos: withoutCookie, replays, restarts, lookups, waiting }

if (role === 'serve') serve(slowLookup())
else if (role === 'blocked') {
  serve({ [IDENTITY]: KEY })
  standStill()
} else {
  const floods = FLOODS[role as keyof typeof FLOODS]
  await floods(Number(first), Number(second), Number(third))
}
