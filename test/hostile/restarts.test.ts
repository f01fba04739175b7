// What a stranger with one socket, or two, can have begun: handshakes that come to nothing, and lookups.
// It has no key, sends what it likes, and does not wait.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/dtls/index.js'
import { dialOpen, freshKey, identity, listen, rawSocket, roundTrip } from '../dtls/support.js'
import { clientHello, cookieOf, MESSAGE, message, record, TYPE, u16 } from '../support/dtls-wire.js'
import { seeded, seededBytes } from '../support/random.js'
import { waitFor } from '../support/wait.js'

const key = freshKey()
const psk = { identity, key }
type Stranger = Awaited<ReturnType<typeof rawSocket>>

/** A hello that the server answers, for this socket's address. */
async function helloWithCookie(stranger: Stranger, port: number, seed: number): Promise<Buffer> {
  const random = seededBytes(seeded(seed), 32)
  const answered = once(stranger, 'message')
  stranger.send(clientHello({ random }), port, '127.0.0.1')
  const cookie = cookieOf((await answered)[0] as Buffer) as Buffer
  return clientHello({ random, cookie }, 1)
}

function keyExchange(number: number): Buffer {
  const name = Buffer.from(`stranger ${number}`)
  const body = Buffer.concat([u16(name.length), name])
  return record(TYPE.handshake, 0, 2, message(MESSAGE.clientKeyExchange, 2, body))
}

describe('hostile/restarts', () => {
  it('two hellos in turn from one port begin about one handshake a second, and one lookup each', async () => {
    let asked = 0
    const server = createServer({
      psk: ({ identityText }) => {
        if (identityText === identity) return key
        asked += 1
        return new Promise<null>(() => {})
      },
    })
    server.on('clientError', () => {})
    server.on('secureConnection', (socket) => socket.on('message', (text) => socket.send(text)))
    const port = await listen(server, '0.0.0.0')
    const stranger = await rawSocket()
    const hellos = [
      await helloWithCookie(stranger, port, 1),
      await helloWithCookie(stranger, port, 2),
    ]
    const began = performance.now()
    for (let round = 0; round < 5_000; round += 1) {
      stranger.send(hellos[round % 2] as Buffer, port, '127.0.0.1')
      stranger.send(keyExchange(round), port, '127.0.0.1')
      if (round % 32 === 31) await new Promise(setImmediate)
    }
    await roundTrip(await dialOpen({ port, psk, localAddress: '127.0.0.3' }))
    const seconds = Math.ceil((performance.now() - began) / 1_000)
    // Two at once, then one a second; and the honest client's.
    expect(server.stats.handshakesStarted).toBeLessThanOrEqual(2 + seconds + 1)
    expect(asked).toBeLessThanOrEqual(2 + seconds)
    expect(server.stats.dropped['limit']).toBeGreaterThan(1_000)
  })

  it('lookups count until they settle: beyond maxHandshakes a key exchange is dropped, and comes again', async () => {
    let asked = 0
    const waiting: (() => void)[] = []
    const server = createServer({
      maxHandshakes: 8,
      // Their handshakes end long before the lookups do.
      handshakeTimeout: 300,
      psk: ({ identityText }) => {
        if (identityText === identity) return key
        asked += 1
        return new Promise<null>((resolve) => waiting.push(() => resolve(null)))
      },
    })
    server.on('clientError', () => {})
    const port = await listen(server, '0.0.0.0')
    const begin = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        const stranger = await rawSocket()
        stranger.send(await helloWithCookie(stranger, port, 10 + index), port, '127.0.0.1')
        await once(stranger, 'message')
        stranger.send(keyExchange(index), port, '127.0.0.1')
      }
    }
    await begin(4)
    await waitFor('the lookups', () => asked === 4)
    await waitFor('the end of their handshakes', () => server.stats.sessions === 0)
    await begin(4)
    await waitFor('the end of the others', () => server.stats.sessions === 0)
    // One host has half of them, though none of its handshakes is left.
    expect(asked).toBe(4)
    const early = dialOpen({ port, psk, retransmitTimeout: 50, handshakeTimeout: 5_000 })
    await sleep(100)
    for (const settle of waiting.splice(0)) settle()
    await early
    await dialOpen({ port, psk, localAddress: '127.0.0.3' })
  })

  it('two addresses with all the handshakes they can begin do not shut out a third', async () => {
    // CoAP's times: nothing of theirs would end them soon.
    const slow = { retransmitTimeout: 9_000, handshakeTimeout: 90_000 }
    const server = createServer({ psk: { [identity]: key }, ...slow, maxHandshakes: 64 })
    server.on('clientError', () => {})
    const port = await listen(server, '0.0.0.0')
    for (const host of ['127.0.0.5', '127.0.0.6']) {
      for (let index = 0; index < 48; index += 1) {
        const stranger = await rawSocket(0, host)
        stranger.send(await helloWithCookie(stranger, port, index), port, '127.0.0.1')
      }
    }
    const honest = await dialOpen({ port, psk, localAddress: '127.0.0.3', ...slow })
    // Answered at once: no hello had to be repeated.
    expect(honest.stats.retransmits).toBe(0)
    await waitFor('those that wait to be given up', () => server.stats.handshakesDisplaced > 16)
  })

  it('a valid cookie sent again and again has its address answered no more often than that', async () => {
    const server = createServer({
      psk: { [identity]: key },
      pskIdentityHint: 'x'.repeat(128),
      mtu: 256,
      retransmitTimeout: 10,
      handshakeTimeout: 100,
    })
    server.on('clientError', () => {})
    const port = await listen(server, '0.0.0.0')
    const stranger = await rawSocket()
    const hello = await helloWithCookie(stranger, port, 3)
    let bytes = 0
    stranger.on('message', (datagram) => {
      bytes += datagram.length
    })
    const began = performance.now()
    for (let count = 0; count < 400; count += 1) {
      stranger.send(hello, port, '127.0.0.1')
      await sleep(5)
    }
    const seconds = Math.ceil((performance.now() - began) / 1_000)
    expect(server.stats.handshakesStarted).toBeLessThanOrEqual(2 + seconds)
    // Less comes out than went in.
    expect(bytes).toBeLessThan(400 * hello.length)
  })
})
