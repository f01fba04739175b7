import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsConnectOptions, DtlsServerOptions } from '../../src/dtls/index.js'
import { createServer } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { recordsOf, TYPE } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { Nat } from '../support/nat.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  nextMessage,
  openPair,
  roundTrip,
  serve,
} from './support.js'

const SUITES = [
  'PSK-AES128-GCM-SHA256',
  'PSK-AES256-GCM-SHA384',
  'PSK-CHACHA20-POLY1305',
  'PSK-AES128-CCM',
  'PSK-AES256-CCM',
  'PSK-AES128-CCM8',
  'PSK-AES256-CCM8',
  'DHE-PSK-AES128-GCM-SHA256',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-CHACHA20-POLY1305',
  'DHE-PSK-AES128-CCM',
  'DHE-PSK-AES256-CCM',
  'DHE-PSK-AES128-CCM8',
  'DHE-PSK-AES256-CCM8',
  'ECDHE-PSK-CHACHA20-POLY1305',
]

type Wanted = boolean | number | undefined

function options(connectionId: Wanted): Pick<DtlsServerOptions, 'connectionId'> {
  return connectionId === undefined ? {} : { connectionId }
}

describe('dtls/connection ID: agreeing (RFC 9146 section 3)', () => {
  it.each([
    { server: true, client: true, toServer: 8, toClient: 0 },
    { server: true, client: 4, toServer: 8, toClient: 4 },
    { server: 32, client: 32, toServer: 32, toClient: 32 },
    { server: 1, client: 1, toServer: 1, toClient: 1 },
    { server: 0, client: 5, toServer: 0, toClient: 5 },
    { server: 0, client: true },
    { server: true, client: undefined },
    { server: true, client: false },
    { server: undefined, client: true },
  ] satisfies {
    server: Wanted
    client: Wanted
    toServer?: number
    toClient?: number
  }[])('server $server, client $client: IDs of $toServer and $toClient bytes', async (wanted) => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, ...options(wanted.server) })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen({ port, psk: { identity, key }, ...options(wanted.client) })
    const [socket] = await accepted
    await roundTrip(client)
    if (wanted.toServer === undefined) {
      expect(client.connectionId).toBeUndefined()
      expect(socket.connectionId).toBeUndefined()
      return
    }
    expect(client.connectionId?.remote).toHaveLength(wanted.toServer)
    expect(client.connectionId?.local).toHaveLength(wanted.toClient ?? -1)
    expect(socket.connectionId?.local).toEqual(client.connectionId?.remote)
    expect(socket.connectionId?.remote).toEqual(client.connectionId?.local)
    expect(socket.connectionId?.returnRoutability).toBe(true)
    expect(client.connectionId?.returnRoutability).toBe(true)
  })

  it.each(SUITES)('%s: every encrypted record has its ID, in both directions', async (ciphers) => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key }, ciphers, connectionId: 6 })
    const nat = await Nat.start(port)
    const client = await dialOpen({
      port: nat.port,
      psk: { identity, key },
      ciphers,
      connectionId: 3,
    })
    for (const length of [1, 15, 16, 17, 500, client.maxDatagramSize]) {
      await roundTrip(client, 'x'.repeat(length))
    }
    const { local, remote } = client.connectionId ?? {}
    const encrypted = (datagrams: Buffer[], id: Buffer | undefined) => {
      const records = datagrams.flatMap((datagram) => recordsOf(datagram, id?.length))
      const found = records.filter(({ epoch }) => epoch === 1)
      expect(found.length).toBeGreaterThanOrEqual(7)
      for (const { type, whole } of found) {
        expect(type).toBe(TYPE.tls12Cid)
        expect(whole.subarray(11, 11 + (id?.length ?? 0))).toEqual(id)
      }
      // RFC 6347 section 4.1: no number twice.
      const numbers = found.map(({ sequence }) => sequence)
      expect(new Set(numbers).size).toBe(numbers.length)
    }
    encrypted(nat.sent, remote)
    encrypted(
      nat.received.map(({ datagram }) => datagram),
      local,
    )
  })

  it('stays without IDs when the suite is not ours to protect (CBC)', async () => {
    const { client, server } = await openPair({
      ciphers: 'PSK-AES128-CBC-SHA256',
      connectionId: true,
    })
    expect([client.connectionId, server.connectionId]).toEqual([undefined, undefined])
    client.send('plain')
    expect(String(await nextMessage(server))).toBe('plain')
  })

  it('is refused together with records: openssl', () => {
    const conflict = expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' })
    const both = { records: 'openssl', connectionId: true } as const
    expect(() => createServer({ psk: {}, ...both })).toThrow(conflict)
    expect(() => dial({ port: 9, psk: { identity, key: freshKey() }, ...both })).toThrow(conflict)
  })

  it('counts ID and inner type in maxDatagramSize: the largest message fills the MTU', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key }, mtu: 600, connectionId: 20 })
    const nat = await Nat.start(port)
    const client = await dialOpen({
      port: nat.port,
      mtu: 600,
      psk: { identity, key },
      connectionId: 7,
    })
    await roundTrip(client, 'y'.repeat(client.maxDatagramSize))
    expect(nat.sent.at(-1)).toHaveLength(600)
    expect(nat.sent.every((datagram) => datagram.length <= 600)).toBe(true)
    const tooLong = () => client.send(Buffer.alloc(client.maxDatagramSize + 1))
    expect(tooLong).toThrow(expect.objectContaining({ code: 'MCBN_MESSAGE_TOO_LARGE' }))
  })

  it('gives every session of a server its own ID', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key }, connectionId: 1 })
    // 300 sessions, 256 IDs: the rest do without one.
    for (let batch = 0; batch < 10; batch += 1) {
      const dialled = { port, psk: { identity, key }, connectionId: true } as const
      await Promise.all(Array.from({ length: 30 }, () => dialOpen(dialled)))
    }
    await waitFor('all sessions', () => [...server.sessions].length === 300)
    const ids = [...server.sessions].flatMap(({ connectionId }) =>
      connectionId ? [connectionId.local.toString('hex')] : [],
    )
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBeGreaterThan(200)
  })

  it('exports the same keying material on both sides', async () => {
    const { client, server } = await openPair({ connectionId: 8 })
    const label = 'EXPORTER-mcbn-test'
    expect(client.exportKeyingMaterial(32, label)).toEqual(server.exportKeyingMaterial(32, label))
  })
})

describe('dtls/connection ID: the handshake', () => {
  it('waits for a key that is looked up', async () => {
    const key = freshKey()
    const psk = async () => {
      await sleep(300)
      return key
    }
    const { port } = await echo({ psk, connectionId: true })
    const client = await dialOpen({ port, psk: () => ({ identity, key }), connectionId: 2 })
    expect(client.connectionId?.remote).toHaveLength(8)
    await roundTrip(client)
  })

  it('names a wrong key on both sides, as without IDs', async () => {
    const { port, failures } = await serve({ psk: { [identity]: freshKey() }, connectionId: true })
    const settings = { port, psk: { identity, key: freshKey() }, connectionId: 4 }
    expect(await failureOf(dial(settings))).toMatchObject({
      code: 'MCBN_PSK_MISMATCH',
      alert: 'decrypt_error',
    })
    await waitFor('the server’s error', () => failures.length === 1)
    expect(failures[0]).toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
  })

  it.each([1, 2, 3, 4, 5, 6])(
    'opens with a quarter of the datagrams lost, repeated and reordered (seed %i)',
    async (seed) => {
      const key = freshKey()
      const common = { connectionId: 5, retransmitTimeout: 50, mtu: 300 } as const
      const { port } = await echo({ psk: { [identity]: key }, ...common })
      const weather = { drop: 0.25, duplicate: 0.25, reorder: 0.25, seed }
      const proxy = await LossyProxy.start(port, weather)
      const client = await dialOpen({ port: proxy.port, psk: { identity, key }, ...common })
      expect(client.connectionId?.local).toHaveLength(5)
      proxy.weather = {}
      await roundTrip(client)
    },
  )

  it('sends the lost last flight again, byte by byte (RFC 6347 section 4.2.4)', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key }, connectionId: true })
    const nat = await Nat.start(port)
    let kept: Buffer[] = []
    nat.passToClient = (datagram) => {
      const last = recordsOf(datagram, 4).some(({ type }) => type === TYPE.changeCipherSpec)
      if (last) kept.push(datagram)
      return !last || kept.length > 2
    }
    const client = await dialOpen({
      port: nat.port,
      psk: { identity, key },
      connectionId: 4,
      retransmitTimeout: 50,
    })
    expect(kept.length).toBeGreaterThan(2)
    expect(new Set(kept.map((datagram) => datagram.toString('hex'))).size).toBe(1)
    kept = []
    await roundTrip(client)
  })

  it('takes a Finished that overtakes its key exchange', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key }, connectionId: true })
    const peer = await DtlsPeer.create({
      port,
      identity: Buffer.from(identity),
      key,
      connectionId: Buffer.from('abc'),
    })
    await peer.hello()
    const [exchange, changeCipherSpec, finished] = peer.makeLastFlight() as [Buffer, Buffer, Buffer]
    const opened = once(server, 'secureConnection')
    peer.send(exchange)
    peer.send(finished)
    await sleep(50)
    peer.send(changeCipherSpec)
    peer.send(peer.lastFlightAgain())
    await opened
    await waitFor('the server’s Finished', () => peer.finished)
  })
})

describe('dtls/connection ID: the life of a session', () => {
  const settings: Partial<DtlsServerOptions & DtlsConnectOptions> = { connectionId: true }

  it('ends it when the peer starts anew from the same port (RFC 6347 section 4.2.8)', async () => {
    const key = freshKey()
    const psk = { identity: Buffer.from(identity), key }
    const { server, port, failures } = await serve({ psk: { [identity]: key }, ...settings })
    const first = await DtlsPeer.create({ port, ...psk, connectionId: Buffer.alloc(0) })
    await first.open()
    await waitFor('the session', () => [...server.sessions].length === 1)
    const [old] = [...server.sessions]
    const again = DtlsPeer.on(first.socket, { port, ...psk, connectionId: Buffer.alloc(0) })
    await again.open()
    await old?.closed
    expect(failures.map(({ code }) => code)).toEqual(['MCBN_CONNECTION_LOST'])
    expect([...server.sessions]).toHaveLength(1)
  })

  it('ends it by revoke, by idleTimeout and by close_notify', async () => {
    const revoked = await openPair(settings)
    expect(revoked.listener.revoke(identity)).toBe(1)
    await revoked.client.closed
    const idle = await openPair({ ...settings, idleTimeout: 150 })
    await Promise.all([idle.client.closed, idle.server.closed])
    const closed = await openPair(settings)
    closed.client.destroy()
    await closed.server.closed
    expect(closed.listener.stats.sessions).toBe(0)
  })
})
