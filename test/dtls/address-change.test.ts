import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsServerStats, DtlsSocket } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { recordsOf, TYPE } from '../support/dtls-wire.js'
import { Nat } from '../support/nat.js'
import { waitFor } from '../support/wait.js'
import { heardBy, join, open, text } from './moving-peer.js'
import {
  collect,
  dialOpen,
  echo,
  freshKey,
  identity,
  LOOPBACK,
  rawSocket,
  roundTrip,
  serve,
} from './support.js'

const CHALLENGE = 0
const RESPONSE = 1

describe('dtls/address change, checked (RFC 9853)', () => {
  it.each(['DTLSv1.2', 'DTLSv1.3'] as const)(
    'follows a client that gets another port, and the session lives on (%s)',
    async (version) => {
      const key = freshKey()
      const both = { minVersion: version, maxVersion: version, connectionId: true }
      const { server, port } = await echo({ ...both, psk: { [identity]: key } })
      const nat = await Nat.start(port)
      const client = await dialOpen({ ...both, port: nat.port, psk: { identity, key } })
      expect(client.connectionId?.returnRoutability).toBe(true)
      await roundTrip(client)
      const [socket] = [...server.sessions] as [DtlsSocket]
      const before = nat.outside
      expect(socket.remotePort).toBe(before)
      for (let move = 1; move <= 3; move += 1) {
        const previous = nat.outside
        const now = await nat.move()
        const changed = once(socket, 'addressChange')
        await roundTrip(client, `after move ${move}`)
        expect(await changed).toEqual([
          { address: LOOPBACK, family: 'IPv4', port: now },
          { address: LOOPBACK, family: 'IPv4', port: previous },
        ])
        expect(socket.remotePort).toBe(now)
        expect(server.stats.addressChanges).toBe(move)
      }
      expect(server.stats).toMatchObject({ sessions: 1, addressChecksFailed: 0 })
    },
  )

  it('stays where it was when the new address does not answer', async () => {
    const { server, port, peer, socket, messages } = await open({}, { returnRoutability: true })
    expect(peer.checksRoutability).toBe(true)
    const stranger = await rawSocket()
    const heard = heardBy(stranger)
    const at = socket.remotePort
    stranger.send(peer.protect(TYPE.applicationData, text('sent on by somebody')), port, LOOPBACK)
    await waitFor('the message', () => messages.length === 1)
    await waitFor('the check to fail', () => server.stats.addressChecksFailed === 1)
    expect(socket.remotePort).toBe(at)
    expect(server.stats.addressChanges).toBe(0)
    // RFC 9853 section 5.4: some challenges, together within three times what came.
    expect(heard.length).toBeGreaterThan(0)
    peer.received.length = 0
    socket.send('to the peer')
    await waitFor('the answer', () => peer.decrypted(TYPE.applicationData).length === 1)
  })

  it('takes no answer with another cookie, and none from elsewhere', async () => {
    const { server, port, peer, socket } = await open({}, { returnRoutability: true })
    const [moved, third] = [await rawSocket(), await rawSocket()]
    const heard = heardBy(moved)
    moved.send(peer.protect(TYPE.applicationData, text('hello')), port, LOOPBACK)
    await waitFor('a challenge', () => heard.length > 0)
    peer.received.push(...recordsOf(heard[0] as Buffer))
    const [challenge] = peer.decrypted(TYPE.returnRoutabilityCheck)
    expect(challenge).toHaveLength(9)
    expect(challenge?.[0]).toBe(CHALLENGE)
    const cookie = (challenge as Buffer).subarray(1)
    const answer = (bytes: Buffer) =>
      peer.protect(TYPE.returnRoutabilityCheck, Buffer.concat([Buffer.from([RESPONSE]), bytes]))
    const wrong = Buffer.from(cookie)
    wrong[7] = (wrong[7] as number) ^ 1
    moved.send(answer(wrong), port, LOOPBACK)
    moved.send(answer(cookie.subarray(1)), port, LOOPBACK)
    // A third address is checked itself; what is answered there is an older challenge.
    third.send(answer(cookie), port, LOOPBACK)
    await sleep(100)
    expect(server.stats.addressChanges).toBe(0)
    expect(socket.remotePort).toBe(peer.socket.address().port)
  })

  it('answers a challenge of the peer, once, to where it came from', async () => {
    const { port, peer } = await open({}, { returnRoutability: true })
    const cookie = text('12345678')
    const challenge = Buffer.concat([Buffer.from([CHALLENGE]), cookie])
    peer.received.length = 0
    peer.send(peer.protect(TYPE.returnRoutabilityCheck, challenge))
    // Unknown types are to be ignored (RFC 9853 section 4).
    peer.send(peer.protect(TYPE.returnRoutabilityCheck, Buffer.from([9, 1, 2, 3, 4, 5, 6, 7, 8])))
    await waitFor('the answer', () => peer.decrypted(TYPE.returnRoutabilityCheck).length > 0)
    const elsewhere = await rawSocket()
    const heard = heardBy(elsewhere)
    elsewhere.send(peer.protect(TYPE.returnRoutabilityCheck, challenge), port, LOOPBACK)
    await waitFor('answer and challenge', () => heard.length >= 2)
    const expected = Buffer.concat([Buffer.from([RESPONSE]), cookie])
    expect(peer.decrypted(TYPE.returnRoutabilityCheck)).toEqual([expected])
    peer.received.push(...recordsOf(heard[0] as Buffer))
    expect(peer.decrypted(TYPE.returnRoutabilityCheck)).toEqual([expected, expected])
  })
})

describe('dtls/address change, unchecked (RFC 9146 section 6)', () => {
  it('follows at once, and sends three times what came until the application says more', async () => {
    const { server, port, peer, socket, messages } = await open()
    expect(peer.checksRoutability).toBe(false)
    const moved = await rawSocket()
    const heard = heardBy(moved)
    const changed = once(socket, 'addressChange')
    const datagram = peer.protect(TYPE.applicationData, text('from elsewhere'))
    moved.send(datagram, port, LOOPBACK)
    await changed
    expect(socket.remotePort).toBe(moved.address().port)
    await waitFor('the message', () => messages.length === 1)
    for (let i = 0; i < 20; i += 1) socket.send('0123456789')
    await waitFor('the limit', () => (server.stats.dropped['unconfirmedAddress'] ?? 0) > 0)
    await sleep(50)
    const bytes = heard.reduce((sum, each) => sum + each.length, 0)
    expect(bytes).toBeGreaterThan(0)
    expect(bytes).toBeLessThanOrEqual(3 * datagram.length)
    const before = heard.length
    socket.confirmAddress()
    await sleep(20)
    for (let i = 0; i < 20; i += 1) socket.send('0123456789')
    await waitFor('all of them', () => heard.length === before + 20)
  })

  it('trusts the address known before without a word of the application', async () => {
    const { server, port, peer, socket, messages } = await open()
    const stranger = await rawSocket()
    stranger.send(peer.protect(TYPE.applicationData, text('copied')), port, LOOPBACK)
    await waitFor('the first', () => messages.length === 1)
    peer.send(peer.protect(TYPE.applicationData, text('from home')))
    await waitFor('the second', () => messages.length === 2)
    expect(socket.remotePort).toBe(peer.socket.address().port)
    peer.received.length = 0
    for (let i = 0; i < 50; i += 1) socket.send('x'.repeat(500))
    await waitFor('all', () => peer.decrypted(TYPE.applicationData).length === 50)
    expect(server.stats.dropped['unconfirmedAddress']).toBe(0)
    expect(server.stats.addressChanges).toBe(2)
  })

  it('is moved by nothing that was sent before', async () => {
    const { server, port, peer, socket, messages } = await open()
    const old = peer.protect(TYPE.applicationData, text('one'))
    const late = peer.protect(TYPE.applicationData, text('late'))
    const newest = peer.protect(TYPE.applicationData, text('two'))
    peer.send(old)
    peer.send(newest)
    await waitFor('both', () => messages.length === 2)
    const stranger = await rawSocket()
    stranger.send(old, port, LOOPBACK)
    stranger.send(newest, port, LOOPBACK)
    // Authentic and not seen yet, but overtaken: delivered, and no reason to move.
    stranger.send(late, port, LOOPBACK)
    await waitFor('the late one', () => messages.length === 3)
    expect(messages.map(String)).toEqual(['one', 'two', 'late'])
    expect(server.stats.dropped['replayed']).toBe(2)
    expect(server.stats.addressChanges).toBe(0)
    expect(socket.remotePort).toBe(peer.socket.address().port)
  })

  it('does not move a handshake', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key }, connectionId: true })
    const settings = { port, identity: text(identity), key, connectionId: Buffer.alloc(0) }
    const peer = await DtlsPeer.create(settings)
    await peer.hello()
    const [exchange, changeCipherSpec, finished] = peer.makeLastFlight() as [Buffer, Buffer, Buffer]
    peer.send(Buffer.concat([exchange, changeCipherSpec]))
    await sleep(30)
    const stranger = await rawSocket()
    stranger.send(finished, port, LOOPBACK)
    await waitFor('the refusal', () => server.stats.dropped['connectionId'] === 1)
    expect([...server.sessions]).toHaveLength(0)
    const accepted = once(server, 'secureConnection')
    peer.send(finished)
    const [socket] = (await accepted) as [DtlsSocket]
    expect(socket.remotePort).toBe(peer.socket.address().port)
  })

  it('lets two sessions change places', async () => {
    const { server, port, key, peer: one, socket: first, messages } = await open()
    const { peer: two, socket: second } = await join(server, port, key)
    const others = collect(second)
    const [atOne, atTwo] = [one.socket.address().port, two.socket.address().port]
    for (const [from, of] of [
      [two.socket, one],
      [one.socket, two],
    ] as const) {
      from.send(of.protect(TYPE.applicationData, text('moved')), port, LOOPBACK)
    }
    await waitFor('both', () => messages.length === 1 && others.length === 1)
    expect([first.remotePort, second.remotePort]).toEqual([atTwo, atOne])
    first.confirmAddress()
    second.confirmAddress()
    const heard = heardBy(two.socket)
    first.send('to the first')
    await waitFor('it', () => heard.length > 0)
    one.received.push(...recordsOf(heard[0] as Buffer))
    expect(one.decrypted(TYPE.applicationData).map(String)).toContain('to the first')
    expect(server.stats.sessions).toBe(2)
  })

  it('keeps a session whose port another device has been given', async () => {
    const { server, port, key, peer: one, socket: first, messages } = await open()
    const { socket: second } = await join(server, port, key, false, one.socket, 'other')
    expect([...server.sessions]).toEqual([first, second])
    const elsewhere = await rawSocket()
    elsewhere.send(one.protect(TYPE.applicationData, text('still here')), port, LOOPBACK)
    await waitFor('the message', () => messages.length === 1)
    expect(first.remotePort).toBe(elsewhere.address().port)
    expect(second.remotePort).toBe(one.socket.address().port)
  })

  it('takes no place from a session without an ID', async () => {
    const { server, port, key, peer: one, socket: first } = await open()
    const accepted = once(server, 'secureConnection')
    const plain = await DtlsPeer.create({ port, identity: text(identity), key })
    await plain.open()
    const [second] = (await accepted) as [DtlsSocket]
    const heard = collect(second)
    const moved = once(first, 'addressChange')
    plain.socket.send(one.protect(TYPE.applicationData, text('at the same port')), port, LOOPBACK)
    await moved
    plain.send(plain.protect(TYPE.applicationData, text('by address')))
    await waitFor('it', () => heard.length === 1)
    expect(String(heard[0])).toBe('by address')
  })

  it('counts it where it is now for maxSessionsPerHost', async () => {
    const { server, port, key, peer, socket } = await open({ maxSessionsPerHost: 1 })
    const refused = await DtlsPeer.create({ port, identity: text(identity), key })
    const limit = refused.open().catch(() => 'closed')
    await waitFor('the refusal', () => (server.stats.dropped['limit'] ?? 0) > 0)
    const host = await rawSocket(0, '127.0.0.2')
    const moved = once(socket, 'addressChange')
    host.send(peer.protect(TYPE.applicationData, text('from another host')), port, LOOPBACK)
    await moved
    expect(socket.remoteAddress).toBe('127.0.0.2')
    // Anybody can forge an address: until it is confirmed, no place is free.
    const early = await DtlsPeer.create({ port, identity: text(identity), key })
    const refusals = server.stats.dropped['limit'] ?? 0
    const late = early.open().catch(() => 'closed')
    await waitFor('the second refusal', () => (server.stats.dropped['limit'] ?? 0) > refusals)
    early.close()
    await Promise.race([late, sleep(1)])
    socket.confirmAddress()
    await sleep(20)
    await join(server, port, key)
    expect(server.stats.sessions).toBe(2)
    refused.close()
    await Promise.race([limit, sleep(1)])
  })
})

describe('dtls/connection ID: hostile records', () => {
  const { applicationData, tls12Cid } = TYPE
  const data = (peer: DtlsPeer): Buffer => peer.sealCid(applicationData, text('data'))
  const changed = (bytes: Buffer, at: number): Buffer => {
    const copy = Buffer.from(bytes)
    copy[at] = (copy.at(at) as number) ^ 1
    return copy
  }

  it.each<[string, keyof DtlsServerStats['dropped'], (peer: DtlsPeer) => Buffer]>([
    ['an unknown ID', 'unknownConnectionId', (peer) => changed(data(peer), 11)],
    [
      'another’s length of ID',
      'unknownConnectionId',
      (peer) => peer.sealCid(applicationData, text('data'), { id: Buffer.alloc(3, 1) }),
    ],
    [
      'no ID at all',
      'unknownConnectionId',
      (peer) => peer.sealCid(applicationData, text('data'), { id: Buffer.alloc(0) }),
    ],
    [
      'a longer ID',
      'malformed',
      (peer) =>
        peer.sealCid(applicationData, text('data'), {
          id: Buffer.concat([peer.serverConnectionId as Buffer, Buffer.alloc(4)]),
        }),
    ],
    ['a forged tag', 'badMac', (peer) => changed(data(peer), data(peer).length - 1)],
    ['a changed number', 'badMac', (peer) => changed(data(peer), 9)],
    ['another epoch', 'wrongEpoch', (peer) => changed(data(peer), 4)],
    [
      'nothing but zeros inside',
      'malformed',
      (peer) => peer.sealCid(0, Buffer.alloc(0), { inner: Buffer.alloc(20) }),
    ],
    [
      'an empty inside',
      'malformed',
      (peer) => peer.sealCid(0, Buffer.alloc(0), { inner: Buffer.alloc(0) }),
    ],
    [
      'the plain format after agreement',
      'connectionId',
      (peer) => peer.seal(applicationData, text('data')),
    ],
    [
      'the plain format with type 25',
      'unknownConnectionId',
      (peer) => peer.seal(tls12Cid, text('data')),
    ],
    ['a stump', 'malformed', (peer) => data(peer).subarray(0, 30)],
  ])('%s is counted as %s, and harms nothing', async (_, reason, make) => {
    const { server, peer, messages, socket } = await open()
    peer.send(make(peer))
    await waitFor('the count', () => server.stats.dropped[reason] > 0)
    peer.send(peer.sealCid(applicationData, text('the peer’s own'), { padding: 100 }))
    await waitFor('the message', () => messages.length === 1)
    expect(String(messages[0])).toBe('the peer’s own')
    expect(server.stats.addressChanges).toBe(0)
    expect(socket.readyState).toBe('open')
  })

  it('ignores types inside that have no business there', async () => {
    const { peer, messages } = await open()
    for (const type of [0, 20, 24, tls12Cid, 27, 99, 255]) {
      peer.send(peer.sealCid(type, text('data')))
    }
    peer.send(peer.sealCid(applicationData, text('the peer’s own')))
    await waitFor('the message', () => messages.length === 1)
    expect(messages.map(String)).toEqual(['the peer’s own'])
  })

  it('drops records with an ID where none was agreed on', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const settings = { port, identity: text(identity), key, connectionId: text('mine') }
    const peer = await DtlsPeer.create(settings)
    await peer.open()
    expect(peer.serverConnectionId).toBeUndefined()
    const messages = collect((await accepted)[0] as DtlsSocket)
    peer.send(peer.sealCid(applicationData, text('data'), { id: Buffer.alloc(0) }))
    peer.send(peer.sealCid(applicationData, text('data'), { id: Buffer.alloc(8) }))
    peer.send(peer.seal(applicationData, text('plain')))
    await waitFor('the message', () => messages.length === 1)
    expect(messages.map(String)).toEqual(['plain'])
  })
})
