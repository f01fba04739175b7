// What servers and sockets count: each figure is driven by the thing it counts.

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DtlsServerOptions, DtlsSocket } from '../../src/dtls/index.js'
import { MESSAGE, record, TYPE } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { waitFor } from '../support/wait.js'
import { dial, dialOpen, echo, freshKey, identity, openPair, roundTrip } from './support.js'

const linux = process.platform === 'linux'

/** An open session through a relay on which datagrams can be added and kept. */
async function throughProxy(options: Partial<DtlsServerOptions> = {}) {
  const key = freshKey()
  const { server, port } = await echo({ psk: { [identity]: key }, ...options })
  const proxy = await LossyProxy.start(port)
  const accepted = once(server, 'secureConnection')
  const client = await dialOpen({ port: proxy.port, psk: { identity, key } })
  const [socket] = (await accepted) as [DtlsSocket]
  await roundTrip(client)
  return { server, proxy, client, socket }
}

describe('dtls/stats of records', () => {
  it('says why each was dropped, for the session and for the server', async () => {
    const { server, proxy, client, socket } = await throughProxy()
    let sent: Buffer | undefined
    proxy.pass = (datagram) => {
      sent = Buffer.from(datagram)
      return true
    }
    await roundTrip(client)
    proxy.pass = () => true
    client.send('one more')
    await waitFor('it', () => socket.stats.messagesReceived === 3)
    expect(socket.stats.recordsDropped).toBe(0)

    const garbage = Buffer.alloc(40, 7)
    const before = socket.stats.datagramsReceived
    const strangers = [
      record(TYPE.applicationData, 1, 1_000, garbage),
      record(TYPE.applicationData, 1, 1_001, garbage),
      sent as unknown as Buffer,
      record(TYPE.applicationData, 0, 9, garbage),
      record(TYPE.applicationData, 2, 9, garbage),
      record(TYPE.applicationData, 5, 9, garbage),
      record(TYPE.applicationData, 1, 1_002, garbage, 0xfeff),
      record(TYPE.applicationData, 1, 1_003, Buffer.alloc(3)),
      Buffer.from('no record'),
    ]
    for (const datagram of strangers) proxy.inject(datagram, 'to server')
    const all = before + strangers.length
    await waitFor('all of them', () => socket.stats.datagramsReceived === all)
    expect(socket.stats.recordsDroppedBy).toEqual({
      badMac: 2,
      connectionId: 0,
      replayed: expect.any(Number),
      wrongEpoch: 3,
      wrongVersion: 1,
      malformed: 2,
      oversized: 0,
      unexpectedMessage: 0,
      contradiction: 0,
      duplicate: 0,
      flood: 0,
      unreadable: 0,
      unreserved: 0,
    })
    expect(socket.stats.recordsDroppedBy.replayed).toBe(1)
    expect(socket.stats.recordsDropped).toBe(9)
    expect(server.stats.dropped).toMatchObject(socket.stats.recordsDroppedBy)
    await roundTrip(client)
  })

  it('on the record layer of OpenSSL they are unreadable', async () => {
    const { proxy, client, socket } = await throughProxy({ records: 'openssl' })
    const before = socket.stats.datagramsReceived
    for (const number of [900, 901, 902]) {
      proxy.inject(record(TYPE.applicationData, 1, number, Buffer.alloc(60)), 'to server')
    }
    await waitFor('them', () => socket.stats.datagramsReceived === before + 3)
    expect(socket.stats.recordsDroppedBy.unreadable).toBe(3)
    await roundTrip(client)
    expect(socket.stats.recordsDropped).toBe(3)
  })

  it('stay readable when the session has ended', async () => {
    const { client, server } = await openPair()
    server.on('message', (message) => server.send(message))
    await roundTrip(client)
    expect(server.stats.messagesReceived).toBe(1)
    await client.close()
    await server.closed
    for (const socket of [client, server]) {
      expect(socket.stats).toMatchObject({ messagesReceived: 1, messagesSent: 1 })
      expect(socket.stats.udp).toMatchObject({ recvBufferSize: 0, segmentation: false })
    }
  })
})

describe('dtls/stats of a server', () => {
  it('adds up messages and datagrams of all sessions', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const clients = await Promise.all(
      Array.from({ length: 3 }, () => dialOpen({ port, psk: { identity, key } })),
    )
    for (const client of clients) await roundTrip(client)
    await waitFor('all answers', () => server.stats.messagesSent === 3)
    const { stats } = server
    expect(stats).toMatchObject({ messagesReceived: 3, sessions: 3, handshakesCompleted: 3 })
    const received = [...server.sessions].map((socket) => socket.stats.datagramsReceived)
    // Beside them a ClientHello without a cookie from each.
    expect(stats.datagramsReceived).toBe(received.reduce((sum, one) => sum + one, 3))
    expect(stats.helloVerifyRequests).toBe(3)
    expect(stats.retransmits).toBe(0)
  })

  it('counts flights that were sent again', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, retransmitTimeout: 20 })
    let lost = 0
    const proxy = await LossyProxy.start(port, {
      // The server's first answer after the cookie, and its repetition.
      pass: (datagram, direction) =>
        direction === 'to server' || datagram[13] === MESSAGE.helloVerifyRequest || ++lost > 2,
    })
    const client = dial({ port: proxy.port, psk: { identity, key }, retransmitTimeout: 60_000 })
    await client.opened
    expect(server.stats.retransmits).toBeGreaterThanOrEqual(1)
    await waitFor('the session', () => [...server.sessions].length === 1)
    const [socket] = server.sessions
    expect(socket?.stats.retransmits).toBe(server.stats.retransmits)
  })
})

describe('dtls/stats of the UDP socket', () => {
  it('have the buffers in force and what the system does with trains', async () => {
    const { listener, client, server } = await openPair({ recvBufferSize: 65_536 })
    for (const { udp } of [listener.stats, client.stats, server.stats]) {
      expect(udp.recvBufferSize).toBeGreaterThanOrEqual(65_536)
      expect(udp.sendBufferSize).toBeGreaterThan(0)
      expect(typeof udp.segmentation).toBe('boolean')
      if (!linux) expect(udp).toMatchObject({ segmentation: false, coalescing: false })
    }
    expect(server.stats.udp.recvBufferSize).toBe(listener.stats.udp.recvBufferSize)
  })

  it('say how much waits while the event loop does not take it', async () => {
    const { listener, client, server } = await openPair()
    const got: Buffer[] = []
    server.on('message', (message) => got.push(message))
    await waitFor('quiet', () => listener.stats.udp.bytesWaiting === 0)
    for (let i = 0; i < 20; i += 1) client.send(Buffer.alloc(1_000))
    await Promise.resolve()
    const end = performance.now() + 5_000
    while (listener.stats.udp.bytesWaiting < 20_000 && performance.now() < end);
    expect(got).toHaveLength(0)
    expect(listener.stats.udp.bytesWaiting).toBeGreaterThanOrEqual(20_000)
    expect(server.stats.udp.bytesWaiting).toBeGreaterThanOrEqual(20_000)
    await waitFor('all', () => got.length === 20)
    expect(listener.stats.udp.bytesWaiting).toBe(0)
  })
})
