// A server with a key lookup that takes its time, and strangers who flood it, each a process.
//
//   serve <handshakes>            prints port; once a second: asking (lookups at once), most
//   restarts <port> <rate> <seconds>   two hellos in turn from one port, each with a key exchange
//   waiting <port> <rate> <seconds>    hellos from two addresses and many ports, and nothing more
//
// Bounded in count and time; everything stays in 127.0.0.0/8.

import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import * as dtls from '../../src/dtls/index.js'
import { clientHello, cookieOf, message, record, u16 } from '../../test/support/dtls-wire.js'
import { say } from './counting.js'
import { HOST, IDENTITY, KEY } from './credentials.js'

const [role, first = '', second = '', third = ''] = process.argv.slice(2)
const LOOKUP_MS = 100
const PORTS_EACH = 400

function serve(): void {
  let asking = 0
  let most = 0
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
    if (index % 2 === 0) return socket.send(hellos[(index / 2) % 2] ?? '', port, HOST)
    const name = Buffer.from(`stranger ${index}`)
    const body = Buffer.concat([u16(name.length), name])
    socket.send(record(22, 0, 2, message(16, 2, body)), port, HOST)
  })
  process.exit(0)
}

async function waiting(port: number, rate: number, seconds: number): Promise<void> {
  const hellos: [Socket, Buffer][] = []
  for (const host of ['127.0.0.5', '127.0.0.6']) {
    for (let index = 0; index < PORTS_EACH; index += 1) {
      const socket = await bound(host)
      const datagram = await hello(socket, port)
      if (datagram) hellos.push([socket, datagram])
    }
  }
  await flood(rate, seconds, (index) => {
    const [socket, datagram] = hellos[index % hellos.length] as [Socket, Buffer]
    socket.send(datagram, port, HOST)
  })
  process.exit(0)
}

if (role === 'serve') serve()
else if (role === 'restarts') await restarts(Number(first), Number(second), Number(third))
else if (role === 'waiting') await waiting(Number(first), Number(second), Number(third))
