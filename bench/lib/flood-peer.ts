// A server with a key lookup that takes its time, and strangers who flood it, each a process.
//
//   serve <handshakes>                 prints port, and most: lookups at once
//   hellos <port> <rate> <seconds>     hellos without a cookie
//   replays <port> <rate> <seconds>    one hello with a valid cookie, again and again
//   restarts <port> <rate> <seconds>   two hellos in turn from one port, each with a key exchange
//   lookups <port> <rate> <seconds>    from two addresses and many ports, each with key exchanges
//   waiting <port> <rate> <seconds>    hellos from two addresses and many ports, and nothing more
//   forged <port> <rate> <seconds>     prints relay, a port; forgeries in the name of both who talk through it
//
// Bounded in count and time; everything stays in 127.0.0.0/8.

import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import * as dtls from '../../src/dtls/index.js'
import {
  alert,
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

const [role, first = '', second = '', third = ''] = process.argv.slice(2)
const LOOKUP_MS = 100
const PORTS_EACH = 400

function serve(): void {
  let asking = 0
  let most = 0
  say('most', 0)
  const server = dtls.createServer(
    {
      // CoAP's times: nothing of a stranger's ends soon.
      retransmitTimeout: 9_000,
      handshakeTimeout: 90_000,
      maxHandshakes: Number(first),
      psk: async ({ identityText }) => {
        if (identityText === IDENTITY) return KEY
        asking += 1
        most = Math.max(most, asking)
        say('most', most)
        await sleep(LOOKUP_MS)
        asking -= 1
        return null
      },
    },
    (socket) => {
      socket.on('error', () => {})
      socket.on('message', (text) => socket.send(text))
    },
  )
  server.on('clientError', () => {})
  server.listen(0, '0.0.0.0', () => say('port', server.address()?.port ?? 0))
}

async function bound(host: string): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.on('error', () => {})
  socket.bind(0, host)
  await once(socket, 'listening')
  return socket
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

/** Sends what `next` gives, `rate` times a second. */
async function flood(rate: number, seconds: number, next: (index: number) => void): Promise<void> {
  const began = performance.now()
  let sent = 0
  say('started', 0)
  for (let now = began; now < began + seconds * 1_000; now = performance.now()) {
    const due = Math.min(((now - began) / 1_000) * rate, sent + 2_000)
    while (sent < due) next(sent++)
    await new Promise(setImmediate)
  }
  say('sent', sent)
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

/** What somebody beside the path can send to both, without the key, that must stop nothing. */
const FAR = 2 ** 48 - 1
const FORGERIES = {
  toServer: [
    () => record(TYPE.handshake, 1, 0, randomBytes(40)),
    () => record(TYPE.applicationData, 1, 1, randomBytes(60)),
    () => alert(2, 40, 9),
    () => record(TYPE.applicationData, 0, FAR, randomBytes(20)),
    () =>
      record(
        TYPE.handshake,
        0,
        9,
        message(MESSAGE.clientKeyExchange, 2, Buffer.alloc(4), { total: 20 }),
      ),
  ],
  toClient: [
    () => record(TYPE.handshake, 1, 0, randomBytes(40)),
    () => record(TYPE.applicationData, 1, 1, randomBytes(60)),
    () => alert(2, 40, 9),
    () => record(TYPE.applicationData, 0, FAR, randomBytes(20)),
  ],
}

async function forged(port: number, rate: number, seconds: number): Promise<void> {
  const front = await bound(HOST)
  let client = 0
  let back: Socket | undefined
  front.on('message', async (datagram, from) => {
    if (from.port !== client) {
      client = from.port
      back?.close()
      back = undefined
      const fresh = await bound('127.0.0.7')
      fresh.on('message', (answer) => front.send(answer, from.port, from.address))
      back = fresh
    }
    back?.send(datagram, port, HOST)
  })
  say('relay', front.address().port)
  await flood(rate, seconds, (index) => {
    const toServer = index % 2 === 0
    const kinds = toServer ? FORGERIES.toServer : FORGERIES.toClient
    const forgery = (kinds[(index >> 1) % kinds.length] as () => Buffer)()
    if (toServer) back?.send(forgery, port, HOST)
    else if (client !== 0) front.send(forgery, client, '127.0.0.9')
  })
  // What is under way may come to its end.
  await sleep(3_000)
  process.exit(0)
}

const FLOODS = { hellos: withoutCookie, replays, restarts, lookups, waiting, forged }

if (role === 'serve') serve()
else {
  const floods = FLOODS[role as keyof typeof FLOODS]
  await floods(Number(first), Number(second), Number(third))
}
