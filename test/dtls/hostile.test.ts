// Peers that mean harm: strangers without a key, and peers that have one.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { DtlsPeer } from '../support/dtls-peer.js'
import {
  clientHello,
  clientHelloBody,
  cookieOf,
  MESSAGE,
  message,
  record,
  TYPE,
  u16,
} from '../support/dtls-wire.js'
import { slowdown } from '../support/pace.js'
import { seeded, seededBytes } from '../support/random.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureNumber,
  flood,
  freshKey,
  identity,
  rawSocket,
  residentBytes,
  roundTrip,
  type Served,
} from './support.js'

async function target(): Promise<
  Served<undefined> & {
    key: Buffer
    peer(): Promise<DtlsPeer>
    livesOn(): Promise<void>
  }
> {
  const key = freshKey()
  const served = await echo({ psk: { [identity]: key } })
  return {
    ...served,
    key,
    peer: () => DtlsPeer.create({ port: served.port, identity: Buffer.from(identity), key }),
    livesOn: async () => {
      await roundTrip(await dialOpen({ port: served.port, psk: { identity, key } }))
    },
  }
}

describe('dtls/strangers', () => {
  it('100,000 datagrams of garbage cost no memory and no session, and a good client connects', async () => {
    const { server, port, livesOn } = await target()
    const random = seeded(3)
    const hello = clientHello()
    const samples = Array.from({ length: 2_000 }, (_, index) => {
      const noise = seededBytes(random, Math.floor(random() * 300))
      switch (index % 5) {
        case 0:
          return noise
        case 1:
          return record(22, 0, index, noise)
        case 2:
          return hello.subarray(0, Math.floor(random() * hello.length))
        case 3: {
          const damaged = Buffer.from(hello)
          damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256)
          return damaged
        }
        default:
          return record(20 + (index % 4), index % 3, index, noise)
      }
    })
    const stranger = await rawSocket()
    const count = slowdown > 1 ? 20_000 : 100_000
    await flood(stranger, port, 5_000, (index) => samples[index % samples.length] as Buffer)
    const before = residentBytes()
    await flood(stranger, port, count, (index) => samples[index % samples.length] as Buffer)
    const growth = residentBytes() - before
    await livesOn()
    expect(server.stats.sessions).toBeLessThanOrEqual(1)
    expect(server.stats.handshakesStarted).toBe(1)
    expect(server.stats.datagramsReceived).toBeGreaterThan(count / 10)
    if (slowdown === 1) expect(growth).toBeLessThan(64 * 1_048_576)
  })

  it.each([
    ['zero-length datagrams', () => Buffer.alloc(0)],
    ['the largest datagram there is', () => Buffer.alloc(65_507, 0x16)],
    ['one byte', () => Buffer.from([22])],
    ['a record header alone', () => record(22, 0, 0, Buffer.alloc(0))],
    [
      'a hello of DTLS 1.0 records with a cookie of 255 bytes',
      () => clientHello({ cookie: Buffer.alloc(255) }),
    ],
    [
      'a hello of 10,000 suites',
      () => clientHello({ suites: Array.from({ length: 10_000 }, () => 0xa8) }),
    ],
    ['a TLS 1.2 hello', () => Buffer.concat([Buffer.from([22, 3, 1, 0, 50]), Buffer.alloc(50)])],
    ['an encrypted record without a session', () => record(23, 1, 1, Buffer.alloc(60))],
    [
      'a ClientKeyExchange without a session',
      () => record(22, 0, 2, message(16, 2, Buffer.alloc(9))),
    ],
    ['HTTP', () => Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('%s: nothing is kept', async (_what, make) => {
    const { server, port, livesOn } = await target()
    const stranger = await rawSocket()
    for (let count = 0; count < 50; count += 1) stranger.send(make(), port, '127.0.0.1')
    await sleep(30)
    expect(server.stats).toMatchObject({ sessions: 0, handshakesStarted: 0 })
    await livesOn()
  })

  it.each([
    ['without a PSK suite', { suites: [0xc02f, 0x002f] }],
    ['with suites that do not exist', { suites: [0x1234] }],
    ['with RSA-PSK, which needs a certificate', { suites: [0x00ac] }],
    ['with PSK but without encryption', { suites: [0x00b0] }],
  ])('a hello %s, with its cookie, is refused by an alert', async (_what, parts) => {
    const { server, port, failures, livesOn } = await target()
    const stranger = await rawSocket()
    const random = seededBytes(seeded(8), 32)
    const verify = once(stranger, 'message')
    stranger.send(clientHello({ ...parts, random }), port, '127.0.0.1')
    const cookie = cookieOf((await verify)[0] as Buffer) as Buffer
    const answer = once(stranger, 'message')
    stranger.send(clientHello({ ...parts, random, cookie }, 1), port, '127.0.0.1')
    expect(((await answer)[0] as Buffer)[0]).toBe(TYPE.alert)
    expect((await failureNumber(failures, 1)).kind).toBe('peer')
    expect(server.stats.sessions).toBe(0)
    await livesOn()
  })

  it('300 handshakes that stop half-way are all forgotten at their deadline', async () => {
    const key = freshKey()
    const { server, port, failures } = await echo({
      psk: { [identity]: key },
      handshakeTimeout: 1_000 * slowdown,
    })
    const peers = await Promise.all(
      Array.from({ length: slowdown > 1 ? 50 : 300 }, () =>
        DtlsPeer.create({ port, identity: Buffer.from(identity), key }),
      ),
    )
    await Promise.all(peers.map((peer) => peer.hello()))
    await waitFor('their end', () => failures.length === peers.length)
    expect(server.stats.sessions).toBe(0)
    expect(failures.every(({ code }) => code === 'MCBN_HANDSHAKE_TIMEOUT')).toBe(true)
    await roundTrip(await dialOpen({ port, psk: { identity, key } }))
  })

  it.each([
    ['an identity that claims more bytes than there are', Buffer.from([0xff, 0xff, 1, 2])],
    ['bytes behind the identity', Buffer.concat([u16(7), Buffer.from('Client1x')])],
    ['no length', Buffer.from([0])],
    ['nothing', Buffer.alloc(0)],
  ])('a ClientKeyExchange with %s ends that handshake alone', async (_what, body) => {
    const { failures, peer, livesOn } = await target()
    const bad = await peer()
    await bad.hello()
    bad.send(bad.plain(TYPE.handshake, message(MESSAGE.clientKeyExchange, 2, body)))
    expect((await failureNumber(failures, 1)).kind).toBe('peer')
    await livesOn()
  })

  it('a ClientKeyExchange in fragments of one byte, in reverse, twice, is understood', async () => {
    const { server, peer } = await target()
    const slow = await peer()
    await slow.hello()
    const [exchange, change, finished] = slow.makeLastFlight() as [Buffer, Buffer, Buffer]
    const body = exchange.subarray(13 + 12)
    for (let round = 0; round < 2; round += 1) {
      for (let offset = body.length - 1; offset >= 0; offset -= 1) {
        const part = message(MESSAGE.clientKeyExchange, 2, body, { offset, length: 1 })
        slow.send(slow.plain(TYPE.handshake, part))
      }
    }
    slow.send(Buffer.concat([change, finished]))
    await waitFor('the server’s Finished', () => slow.finished)
    expect(server.stats.handshakesCompleted).toBe(1)
  })

  it('the same datagrams again, as somebody who listened would send them, open nothing', async () => {
    const { server, port, peer } = await target()
    const honest = await peer()
    await honest.open()
    const replayer = await rawSocket()
    for (const datagram of [honest.helloWithCookie, ...honest.lastFlight]) {
      replayer.send(datagram, port, '127.0.0.1') // from another port: the cookie is not its own
    }
    for (const datagram of honest.lastFlight) honest.send(datagram)
    await sleep(50)
    expect(server.stats).toMatchObject({ handshakesStarted: 1, sessions: 1 })
  })
})

describe('dtls/peers with a key', () => {
  it('a renegotiation is not begun; the session goes on', async () => {
    const { server, peer } = await target()
    const bad = await peer()
    await bad.open()
    const hello = message(MESSAGE.clientHello, 4, clientHelloBody())
    for (let count = 0; count < 20; count += 1) bad.sendSealed(TYPE.handshake, hello)
    bad.sendSealed(TYPE.applicationData, Buffer.from('on'))
    await Promise.race([
      waitFor('an echo', () => bad.decrypted(TYPE.applicationData).length > 0),
      waitFor('its end', () => server.stats.sessions === 0),
    ])
    expect(server.stats.handshakesStarted).toBe(1)
  })

  it.each([
    ['a fatal alert', TYPE.alert, Buffer.from([2, 40])],
    ['a malformed alert', TYPE.alert, Buffer.from([2])],
    ['an alert of no known level', TYPE.alert, Buffer.from([9, 9])],
    ['a content type that does not exist', 99, Buffer.from('x')],
    ['a ChangeCipherSpec', TYPE.changeCipherSpec, Buffer.from([1])],
    ['a Finished that is too short', TYPE.handshake, Buffer.from([20, 0])],
    ['a HelloRequest', TYPE.handshake, message(0, 4, Buffer.alloc(0))],
    ['a ServerHello', TYPE.handshake, message(2, 4, Buffer.alloc(40))],
    ['an empty message', TYPE.applicationData, Buffer.alloc(0)],
    ['a heartbeat', 24, Buffer.from([1, 0xff, 0xff, 0])],
  ])('%s hurts at most its own session', async (_what, type, plaintext) => {
    const { server, peer, livesOn } = await target()
    const other = await peer()
    await other.open()
    const bad = await peer()
    await bad.open()
    for (let count = 0; count < 40; count += 1) bad.sendSealed(type, plaintext)
    await sleep(30)
    other.sendSealed(TYPE.applicationData, Buffer.from('fine'))
    await waitFor('an echo', () => other.decrypted(TYPE.applicationData).length === 1)
    expect(server.stats.sessions).toBeGreaterThanOrEqual(1)
    await livesOn()
  })

  it('records after its own close_notify are dropped', async () => {
    const { server, peer } = await target()
    const heard: string[] = []
    server.on('secureConnection', (socket) => {
      socket.on('message', (bytes) => heard.push(bytes.toString()))
    })
    const bad = await peer()
    await bad.open()
    const late = bad.seal(TYPE.applicationData, Buffer.from('late'), 9)
    bad.send(Buffer.concat([bad.seal(TYPE.alert, Buffer.from([1, 0]), 5), late]))
    await waitFor('its end', () => server.stats.sessions === 0)
    bad.send(late)
    await sleep(20)
    expect(heard).toEqual([])
    expect(server.stats.dropped['unknownPeer']).toBeGreaterThanOrEqual(1)
  })

  it('hundreds of records in one datagram are all read', async () => {
    const { peer } = await target()
    const busy = await peer()
    await busy.open()
    const records = Array.from({ length: 200 }, (_, i) =>
      busy.seal(TYPE.applicationData, Buffer.from([i])),
    )
    busy.send(Buffer.concat(records))
    await waitFor('all echoes', () => busy.decrypted(TYPE.applicationData).length === 200)
  })

  it('a message of the largest size a record may have arrives whole', async () => {
    const { server, peer } = await target()
    const heard: number[] = []
    server.on('secureConnection', (socket) => {
      socket.removeAllListeners('message')
      socket.on('message', (bytes) => heard.push(bytes.length))
    })
    const big = await peer()
    await big.open()
    big.sendSealed(TYPE.applicationData, Buffer.alloc(16_384, 1))
    await waitFor('it', () => heard.length === 1)
    expect(heard).toEqual([16_384])
  })

  it('a client of ours faced with a server of noise gives up at its deadline, and says why', async () => {
    const noise = await rawSocket()
    const random = seeded(21)
    noise.on('message', (_hello, { port }) => {
      for (let count = 0; count < 20; count += 1) {
        noise.send(record(22, 0, count, seededBytes(random, 100)), port, '127.0.0.1')
        noise.send(seededBytes(random, 50), port, '127.0.0.1')
      }
    })
    const options = { port: noise.address().port, handshakeTimeout: 400, retransmitTimeout: 50 }
    const socket = dial({ ...options, psk: { identity, key: freshKey() } })
    await expect(socket.opened).rejects.toMatchObject({ code: 'MCBN_HANDSHAKE_TIMEOUT' })
  })
})
