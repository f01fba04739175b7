// Strangers, before they have shown that they receive what is sent to their address (RFC 6347 section 4.2.1).

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { clientHello, cookieOf, DTLS10, recordsOf } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { freeUdpPort } from '../support/ports.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  flood,
  freshKey,
  identity,
  listen,
  nextMessage,
  rawSocket,
  roundTrip,
  serve,
} from './support.js'

/** Sends a datagram and gives what comes back within some time. */
async function ask(
  socket: Awaited<ReturnType<typeof rawSocket>>,
  port: number,
  datagram: Uint8Array,
): Promise<Buffer> {
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(5_000) })
  socket.send(datagram, port, '127.0.0.1')
  return (await answer)[0] as Buffer
}

describe('dtls/cookie', () => {
  it('nothing is kept for 10,000 hellos without a cookie from 40 ports', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const strangers = await Promise.all(Array.from({ length: 40 }, () => rawSocket()))
    for (const stranger of strangers) await flood(stranger, port, 250, () => clientHello())
    await roundTrip(await dialOpen({ port, psk: { identity, key } }))
    const { handshakesStarted, helloVerifyRequests, sessions } = server.stats
    expect(helloVerifyRequests).toBeGreaterThan(5_000) // UDP may lose some of them
    expect(handshakesStarted).toBe(1)
    expect(sessions).toBe(1)
  })

  it('the answer is a HelloVerifyRequest, not longer than the hello, with its record number', async () => {
    const { port } = await serve({ psk: {} })
    const stranger = await rawSocket()
    const hello = clientHello({}, 0, 77)
    const answer = await ask(stranger, port, hello)
    expect(answer.length).toBeLessThanOrEqual(hello.length)
    const [record] = recordsOf(answer)
    expect(record).toMatchObject({ version: DTLS10, epoch: 0, sequence: 77 })
    expect(cookieOf(answer)?.length).toBeGreaterThanOrEqual(16)
  })

  it('of DTLS 1.3: one from another address is refused and counted (RFC 9147 section 5.1)', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, maxVersion: 'DTLSv1.3' })
    const hellos: Buffer[] = []
    const proxy = await LossyProxy.start(port, {
      pass: (datagram, direction) => {
        if (direction === 'to server') hellos.push(Buffer.from(datagram))
        return true
      },
    })
    const client = { port: proxy.port, psk: { identity, key } }
    await roundTrip(await dialOpen({ ...client, minVersion: 'DTLSv1.3' }))
    const refused = await ask(await rawSocket(), port, hellos[1] as Buffer)
    expect(refused.subarray(-2)).toEqual(Buffer.from([2, 47])) // illegal_parameter
    expect(server.stats.dropped).toMatchObject({ badCookie: 1, refusals: 0 })
    expect(server.stats.handshakesStarted).toBe(1)
  })

  it('a wrong, short, long or foreign cookie is answered with a new one', async () => {
    const { server, port } = await serve({ psk: {} })
    const stranger = await rawSocket()
    const random = randomBytes(32)
    const good = cookieOf(await ask(stranger, port, clientHello({ random }))) as Buffer
    const foreign = cookieOf(await ask(await rawSocket(), port, clientHello({ random }))) as Buffer
    const flipped = Buffer.from(good)
    flipped[good.length - 1] = (flipped[good.length - 1] as number) ^ 1
    for (const cookie of [
      Buffer.from([1]),
      good.subarray(1),
      Buffer.concat([good, good]),
      randomBytes(good.length),
      Buffer.alloc(255, 1),
      flipped,
      foreign,
    ]) {
      const answer = await ask(stranger, port, clientHello({ random, cookie }, 1))
      expect(cookieOf(answer)).toEqual(good)
    }
    // The right cookie with another random: it belongs to another hello.
    const other = await ask(stranger, port, clientHello({ cookie: good }, 1))
    expect(cookieOf(other)).not.toEqual(good)
    expect(server.stats).toMatchObject({ handshakesStarted: 0, sessions: 0 })
    expect(server.stats.dropped['badCookie']).toBe(8)
    const answer = await ask(stranger, port, clientHello({ random, cookie: good }, 1))
    expect(cookieOf(answer)).toBeUndefined()
    expect(server.stats.handshakesStarted).toBe(1)
  })

  it('servers with the same cookieSecret take each other’s cookies, others do not', async () => {
    const secret = randomBytes(32)
    const twin = { psk: {}, cookieSecret: secret }
    const first = await serve(twin)
    const second = await serve(twin)
    const third = await serve({ psk: {} })
    const stranger = await rawSocket()
    const random = randomBytes(32)
    const cookie = cookieOf(await ask(stranger, first.port, clientHello({ random }))) as Buffer
    const echoed = clientHello({ random, cookie }, 1)
    expect(cookieOf(await ask(stranger, second.port, echoed))).toBeUndefined()
    expect(cookieOf(await ask(stranger, third.port, echoed))).toBeDefined()
    expect([first, second, third].map(({ server }) => server.stats.handshakesStarted)).toEqual([
      0, 1, 0,
    ])
  })

  it.each([15, 1_025, 0])('refuses a cookieSecret of %i bytes', (length) => {
    expect(() => createServer({ psk: {}, cookieSecret: randomBytes(length) })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
    )
    expect(() => createServer({ psk: {}, cookieSecret: 'secret' as never })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_TYPE' }),
    )
  })

  it('maxSessions bounds sessions, and a closed one makes room', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, maxSessions: 3 })
    const open = () => dialOpen({ port, psk: { identity, key } })
    const sockets = [await open(), await open(), await open()]
    const late = dial({ port, retransmitTimeout: 50, psk: { identity, key } })
    await waitFor('a refusal', () => (server.stats.dropped['limit'] ?? 0) > 0)
    expect(late.readyState).toBe('opening')
    expect(server.stats.sessions).toBe(3)
    await sockets[0]?.close()
    await late.opened
    for (const socket of [sockets[1], sockets[2], late]) await roundTrip(socket as typeof late)
  })

  it('maxSessionsPerHost bounds one address, not another', async () => {
    const key = freshKey()
    const server = createServer({ psk: { [identity]: key }, maxSessionsPerHost: 2 })
    const port = await listen(server, '0.0.0.0')
    const options = { port, psk: { identity, key }, retransmitTimeout: 50 }
    await dialOpen(options)
    const second = await dialOpen(options)
    const third = dial(options)
    await waitFor('a refusal', () => (server.stats.dropped['limit'] ?? 0) > 0)
    await dialOpen({ ...options, localAddress: '127.0.0.3' })
    expect(server.stats.sessions).toBe(3)
    await second.close()
    await third.opened
  })

  it('maxHandshakes leaves half of the unfinished handshakes to other addresses', async () => {
    const key = freshKey()
    let answer: (key: Buffer) => void = () => {}
    const answered = new Promise<Buffer>((resolve) => {
      answer = resolve
    })
    const server = createServer({ psk: () => answered, maxHandshakes: 4 })
    const port = await listen(server, '0.0.0.0')
    const options = { port, psk: { identity, key }, retransmitTimeout: 50 }
    const greedy = [dial(options), dial(options), dial(options)]
    await waitFor('a refusal', () => (server.stats.dropped['limit'] ?? 0) > 0)
    expect(server.stats.handshakesStarted).toBe(2)
    const fair = dial({ ...options, localAddress: '127.0.0.3' })
    await waitFor('the other address', () => server.stats.handshakesStarted === 3)
    answer(key)
    await Promise.all([...greedy, fair].map((socket) => socket.opened))
  })
})

describe('dtls/reconnect from the same address and port (RFC 6347 section 4.2.8)', () => {
  it('keeps the old session until the new Finished, then replaces it', async () => {
    const key = freshKey()
    const { server, port, failures } = await echo({ psk: { [identity]: key } })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
    await peer.open()
    const again = DtlsPeer.on(peer.socket, { port, identity: Buffer.from(identity), key })
    await again.hello()
    // Half-way: the old session still answers.
    peer.sendSealed(23, Buffer.from('old'))
    await waitFor('the old session', () =>
      peer.decrypted(23).some((m) => m.equals(Buffer.from('old'))),
    )
    expect(server.stats.sessions).toBe(2)
    expect(failures).toHaveLength(0)
    again.send(Buffer.concat(again.makeLastFlight()))
    await waitFor('the new session', () => again.finished)
    await waitFor('the end of the old one', () => failures.length === 1)
    expect(failures[0]?.code).toBe('MCBN_CONNECTION_LOST')
    expect(server.stats.sessions).toBe(1)
    again.sendSealed(23, Buffer.from('new'))
    await waitFor('the new session', () => again.decrypted(23).length === 1)
  })

  it('with a wrong key leaves the old session alone', async () => {
    const key = freshKey()
    const { server, port, failures } = await echo({ psk: { [identity]: key } })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
    await peer.open()
    const thief = DtlsPeer.on(peer.socket, {
      port,
      identity: Buffer.from(identity),
      key: freshKey(),
    })
    await thief.hello()
    thief.send(Buffer.concat(thief.makeLastFlight()))
    await waitFor('the failure', () => failures.length === 1)
    expect(failures[0]?.code).toBe('MCBN_PSK_MISMATCH')
    peer.sendSealed(23, Buffer.from('still mine'))
    await waitFor('an answer', () => peer.decrypted(23).length === 1)
    expect(server.stats.sessions).toBe(1)
  })

  it('a hello that arrives again after its handshake is done begins nothing', async () => {
    const key = freshKey()
    const { server, port, failures } = await echo({ psk: { [identity]: key } })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
    await peer.open()
    for (let copy = 0; copy < 5; copy += 1) peer.send(peer.helloWithCookie)
    // While the repeated hellos are in the way, a lost last flight is still sent again.
    const before = peer.datagrams
    peer.send(peer.lastFlightAgain())
    await waitFor('the last flight again', () => peer.datagrams > before)
    peer.sendSealed(23, Buffer.from('one'))
    await waitFor('an answer', () => peer.decrypted(23).length === 1)
    expect(server.stats).toMatchObject({ handshakesStarted: 1, sessions: 1 })
    expect(failures).toHaveLength(0)
  })

  it('a client that starts over half-way is served, also at the limit of sessions', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, maxSessions: 1 })
    const options = { port, identity: Buffer.from(identity), key }
    const peer = await DtlsPeer.create(options)
    await peer.hello()
    const again = DtlsPeer.on(peer.socket, options)
    await again.open()
    expect(server.stats).toMatchObject({ handshakesStarted: 2, sessions: 1 })
  })

  it('works with two clients of ours, one after the other', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const proxy = await LossyProxy.start(port)
    const localPort = await freeUdpPort()
    const options = {
      port: proxy.port,
      localAddress: '127.0.0.1',
      localPort,
      psk: { identity, key },
    }
    const first = await dialOpen(options)
    proxy.pass = () => false // the first one's goodbye is lost
    await first.close()
    await sleep(20)
    proxy.pass = undefined
    const second = await dialOpen(options)
    const answer = nextMessage(second)
    second.send('again')
    expect((await answer).toString()).toBe('again')
  })
})
