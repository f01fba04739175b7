// A stranger beside the path who floods a client with HelloVerifyRequests in its server's name: from a second
// socket on the server's address, while one client after the other connects. It knows the client's port, sees
// none of its datagrams, and has no key.

import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { dial, echo, freshKey, identity, LOOPBACK, roundTrip } from '../dtls/support.js'
import { verifyRequest } from '../support/dtls-wire.js'

/** What the stranger sends, by its place in the flood. */
const FLOODS = {
  'for a first hello': () => verifyRequest(0),
  'with every number that a client may expect': (index: number) => verifyRequest(index % 5),
  'with numbers at random': (index: number) =>
    verifyRequest(randomBytes(6).readUIntBE(0, 6), index % 2),
} as const

async function bound(port: number): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.on('error', () => {})
  onTestFinished(() => void socket.close())
  socket.bind(port, LOOPBACK)
  await once(socket, 'listening')
  return socket
}

/** A path to the server that clients take, and a stranger's socket on its address. */
async function pathTo(server: number) {
  const front = await bound(0)
  const { port } = front.address()
  // The socket that was bound last gets what comes: the stranger's gets nothing.
  const stranger = front
  const path = await bound(port)
  let client = 0
  let back: Promise<Socket> | undefined
  const wayOf = async (port: number) => {
    const fresh = await bound(0)
    fresh.on('message', (answer) => path.send(answer, port, LOOPBACK))
    return fresh
  }
  path.on('message', (datagram, from) => {
    if (from.port !== client) back = wayOf(from.port)
    client = from.port
    // In this order; what comes while the socket is made waits for it.
    back?.then((socket) => socket.send(datagram, server, LOOPBACK))
  })
  return { port, stranger, client: () => client }
}

const BURST = 32
const CLIENTS = 12
/** Datagrams at most. */
const MOST = 2_000_000

describe('hostile/verify requests', () => {
  it.each(Object.entries(FLOODS))(
    'every client connects while a stranger sends them %s (RFC 6347 section 4.2.1)',
    { timeout: 120_000 },
    async (_what, forgery) => {
      const key = freshKey()
      const { port } = await echo({ psk: { [identity]: key } })
      const path = await pathTo(port)
      let sent = 0
      let flooding = true
      const flood = (): void => {
        if (!flooding || sent >= MOST) return
        const to = path.client()
        for (let at = 0; to !== 0 && at < BURST; at += 1) {
          path.stranger.send(forgery(sent++), to, LOOPBACK)
        }
        setImmediate(flood)
      }
      onTestFinished(() => {
        flooding = false
      })
      flood()
      let dropped = 0
      for (let count = 0; count < CLIENTS; count += 1) {
        const socket = dial({ port: path.port, psk: { identity, key }, handshakeTimeout: 8_000 })
        await socket.opened
        await roundTrip(socket)
        dropped += socket.stats.recordsDropped
        socket.destroy()
      }
      expect(sent).toBeGreaterThan(CLIENTS * BURST)
      expect(dropped).toBeGreaterThan(CLIENTS)
    },
  )
})
