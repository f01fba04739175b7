// DTLS 1.3 (RFC 9147) as a user has it: versions, keys, what a socket says, and what is refused.

import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/dtls/index.js'
import type { PskQuery } from '../../src/psk/types.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { Nat } from '../support/nat.js'
import { slowdown } from '../support/pace.js'
import { startTypescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  BOTH,
  collect,
  dial,
  dialOpen,
  echo,
  failureNumber,
  failureOf,
  flood,
  freshKey,
  identity,
  NEWER,
  nextMessage,
  openPair,
  rawSocket,
  roundTrip,
  serve,
} from './support.js'

const key = freshKey()
const psk = { identity, key }
const keys = { [identity]: key }

describe('dtls13/versions', () => {
  it.each([
    ['both', BOTH, NEWER, 'DTLSv1.3'],
    ['both', BOTH, {}, 'DTLSv1.2'],
    ['1.3 alone', NEWER, NEWER, 'DTLSv1.3'],
    ['1.2 alone', {}, {}, 'DTLSv1.2'],
  ] as const)(
    'a server of %s (%j) opens for a client of %j: %s',
    async (_, server, client, version) => {
      const { port } = await echo({ ...server, psk: keys })
      const socket = await dialOpen({ ...client, port, psk })
      expect(socket.getProtocol()).toBe(version)
      expect(socket.getCipher()?.version).toBe(version)
      await roundTrip(socket)
    },
  )

  it('one server has sessions of both versions at a time', async () => {
    const { server, port } = await echo({ ...BOTH, psk: keys })
    const clients = await Promise.all(
      Array.from({ length: 8 }, (_, index) => dialOpen({ ...(index % 2 ? NEWER : {}), port, psk })),
    )
    await Promise.all(clients.map((client, index) => roundTrip(client, `${index}`)))
    expect([...server.sessions].map((socket) => socket.getProtocol()).sort()).toEqual([
      ...Array(4).fill('DTLSv1.2'),
      ...Array(4).fill('DTLSv1.3'),
    ])
    expect(server.revoke(identity)).toBe(8)
    await Promise.all(clients.map((client) => client.closed))
    expect((await failureOf(dial({ ...NEWER, port, psk }))).code).toBe('MCBN_PSK_MISMATCH')
  })

  it('a server of 1.3 alone says protocol_version to a 1.2 client (RFC 8446 section 6.2)', async () => {
    const { server, port } = await serve({ ...NEWER, psk: keys })
    expect((await failureOf(dial({ port, psk }))).message).toContain('protocol_version')
    expect(server.stats).toMatchObject({ handshakesStarted: 0, sessions: 0 })
  })

  it('a 1.3 client at a server of 1.2 alone says what is missing', async () => {
    const { server, port } = await serve({ psk: keys })
    const error = await failureOf(dial({ ...NEWER, port, psk }))
    expect(error.message).toContain('speaks no DTLS 1.3')
    expect(server.stats).toMatchObject({ handshakesStarted: 0, sessions: 0 })
  })

  it.each([
    ['minVersion', { minVersion: 'DTLSv1.3', maxVersion: 'DTLSv1.2' }],
    ['pskModes', { pskModes: ['psk_ke'] }],
    ['groups', { groups: ['X25519'] }],
    ['keyUpdateInterval', { keyUpdateInterval: 1_000 }],
    ['records', { ...NEWER, records: 'openssl' }],
  ] as const)('%s: refuses what contradicts itself or is not there (%j)', (name, options) => {
    const refused = expect.objectContaining({
      code: 'MCBN_OPTION_CONFLICT',
      message: expect.stringMatching(`^${name}: `),
    })
    expect(() => createServer({ psk: keys, ...(options as object) })).toThrow(refused)
    expect(() => dial({ port: 9, psk, ...(options as object) })).toThrow(refused)
  })

  it.each([
    ['minVersion', 'TLSv1.3', 'MCBN_OPTION_RANGE'],
    ['maxVersion', 13, 'MCBN_OPTION_TYPE'],
    ['pskModes', 'psk_ke', 'MCBN_OPTION_TYPE'],
    ['pskModes', [], 'MCBN_OPTION_RANGE'],
    ['pskModes', ['psk'], 'MCBN_OPTION_RANGE'],
    ['groups', ['P-521'], 'MCBN_OPTION_RANGE'],
    ['groups', [undefined], 'MCBN_OPTION_TYPE'],
    ['keyUpdateInterval', -1, 'MCBN_OPTION_RANGE'],
    ['keyUpdateInterval', '1h', 'MCBN_OPTION_TYPE'],
    ['ciphers', 'TLS_SHA256_SHA256', 'MCBN_CIPHERS_INVALID'],
  ])('%s: refuses %j (%s)', (name, value, code) => {
    const options = { ...NEWER, [name]: value } as object
    expect(() => createServer({ psk: keys, ...options })).toThrow(expect.objectContaining({ code }))
    expect(() => dial({ port: 9, psk, ...options })).toThrow(expect.objectContaining({ code }))
  })

  it('naming suites of 1.3 alone turns 1.2 off, on either side', async () => {
    const ciphers = 'TLS_CHACHA20_POLY1305_SHA256'
    const { port } = await echo({ ...BOTH, ciphers, psk: keys })
    const socket = await dialOpen({ ...BOTH, ciphers, port, psk })
    expect(socket.getCipher()).toEqual({
      name: ciphers,
      standardName: ciphers,
      version: 'DTLSv1.3',
    })
    expect((await failureOf(dial({ port, psk }))).message).toContain('protocol_version')
  })
})

describe('dtls13/lookup', () => {
  it('is asked once, later, and told the version: keys for DTLS 1.2 are other keys', async () => {
    const queries: PskQuery[] = []
    const lookup = async (query: PskQuery) => {
      queries.push(query)
      await new Promise((resolve) => setImmediate(resolve))
      return { key, peer: query.protocol }
    }
    const { server, port } = await echo<string>({ ...BOTH, psk: lookup })
    await dialOpen({ ...NEWER, port, psk, servername: 'vault.example' })
    await dialOpen({ port, psk })
    expect(queries.map(({ protocol }) => protocol)).toEqual(['DTLSv1.3', 'DTLSv1.2'])
    expect(queries[0]).toMatchObject({ identityText: identity, servername: 'vault.example' })
    // A client of DTLS 1.3 is open before its server has heard so.
    await waitFor('both sessions', () => [...server.sessions].length === 2)
    expect([...server.sessions].map(({ peer }) => peer).sort()).toEqual(['DTLSv1.2', 'DTLSv1.3'])
  })

  it('that throws fails one handshake with its error, and serves others', async () => {
    const mistake = new Error('the database is away')
    const { port, failures } = await echo({
      ...NEWER,
      psk: ({ identityText }) => {
        if (identityText === 'broken') throw mistake
        return key
      },
    })
    await failureOf(dial({ ...NEWER, port, psk: { identity: 'broken', key } }))
    expect(await failureNumber(failures, 1)).toMatchObject({
      code: 'MCBN_LOOKUP_FAILED',
      cause: mistake,
    })
    await roundTrip(await dialOpen({ ...NEWER, port, psk }))
  })

  it('of a client is asked first, without a hint', async () => {
    const { port } = await echo({ ...NEWER, psk: keys, pskIdentityHint: 'not in DTLS 1.3' })
    const hints: (string | undefined)[] = []
    const socket = await dialOpen({
      ...NEWER,
      port,
      psk: async (hint) => {
        hints.push(hint)
        return psk
      },
    })
    await roundTrip(socket)
    expect(hints).toEqual([undefined])
  })

  it('of a client that throws is the error of its socket', async () => {
    const { port } = await serve({ ...NEWER, psk: keys })
    const mistake = new Error('no such key')
    const socket = dial({
      ...NEWER,
      port,
      psk: () => {
        throw mistake
      },
    })
    expect(await failureOf(socket)).toMatchObject({ code: 'MCBN_LOOKUP_FAILED', cause: mistake })
  })
})

describe('dtls13/sessions', () => {
  it('batches of messages, both ways, as large as fits one datagram', async () => {
    const { client, server } = await openPair(NEWER)
    expect(client.maxDatagramSize).toBeGreaterThan(1_370)
    const received = collect(server)
    const sent = Array.from({ length: 300 }, (_, index) =>
      Buffer.alloc(1 + ((index * 37) % client.maxDatagramSize), index),
    )
    for (let at = 0; at < sent.length; at += 50) {
      client.sendMany(sent.slice(at, at + 50))
      await waitFor('the batch', () => received.length === at + 50)
    }
    expect(received).toEqual(sent)
    const answer = nextMessage(client)
    server.send(Buffer.alloc(server.maxDatagramSize, 7))
    expect(await answer).toEqual(Buffer.alloc(server.maxDatagramSize, 7))
    expect(client.stats).toMatchObject({ messagesSent: 300, messagesReceived: 1 })
    expect(server.stats).toMatchObject({ messagesSent: 1, messagesReceived: 300 })
  })

  it('close_notify ends the other side without an error (RFC 9147 section 5.10)', async () => {
    const { client, server } = await openPair(NEWER)
    await client.close()
    await server.closed
    expect(server.closeReason).toBe('peer')
  })

  it('new keys by call, in one direction or both, while messages flow (RFC 9147 section 8)', async () => {
    const { client, server } = await openPair(NEWER)
    server.on('message', (message) => server.send(message))
    client.updateKeys({ both: false })
    await roundTrip(client, 'while it is not acknowledged')
    await waitFor('the new keys', () => client.stats.keyUpdatesSent === 1)
    expect(server.stats).toMatchObject({ keyUpdatesSent: 0, keyUpdatesReceived: 1 })
    await roundTrip(client, 'with new keys')
    for (let round = 1; round <= 8; round += 1) {
      const asks = round % 2 ? server : client
      asks.updateKeys()
      await waitFor('both', () => {
        const [ours, theirs] = [client.stats.keyUpdatesSent, server.stats.keyUpdatesSent]
        return ours === round + 1 && theirs === round
      })
      await roundTrip(client, `round ${round}`)
    }
    expect(server.stats).toMatchObject({ keyUpdatesSent: 8, keyUpdatesReceived: 9 })
    expect(client.stats.recordsDropped + server.stats.recordsDropped).toBe(0)
  })

  it('new keys by time come with what is sent', async () => {
    const { client, server } = await openPair({ ...NEWER, keyUpdateInterval: 1 })
    server.on('message', (message) => server.send(message))
    await waitFor('three of them', async () => {
      await roundTrip(client, 'on and on')
      return client.stats.keyUpdatesSent >= 3 && server.stats.keyUpdatesSent >= 3
    })
    expect(client.stats.recordsDroppedBy.badMac + server.stats.recordsDroppedBy.badMac).toBe(0)
  })

  it('new keys are refused where there are none', async () => {
    const { client } = await openPair()
    expect(() => client.updateKeys()).toThrow(
      expect.objectContaining({
        code: 'MCBN_OPTION_CONFLICT',
        message: expect.stringMatching('DTLS 1.2'),
      }),
    )
    const newer = await openPair(NEWER)
    const odd = { peer: true } as object
    expect(() => newer.client.updateKeys(odd)).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_UNKNOWN' }),
    )
    expect(() => newer.client.updateKeys({ both: 1 } as object)).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_TYPE' }),
    )
    newer.client.destroy()
    const closed = expect.objectContaining({ code: 'MCBN_SOCKET_CLOSED' })
    expect(() => newer.client.updateKeys()).toThrow(closed)
    expect(() => dial({ ...NEWER, port: 9, psk }).updateKeys()).toThrow(closed)
  })

  it('a silent session ends by idleTimeout', async () => {
    const { client } = await openPair({ ...NEWER, idleTimeout: 100 })
    await client.closed
    expect(['idle', 'peer']).toContain(client.closeReason)
  })

  it('a client with a connection ID may change its port (RFC 9147 section 9)', async () => {
    const { server, port } = await echo({ ...BOTH, connectionId: true, psk: keys })
    const nat = await Nat.start(port)
    const client = await dialOpen({ ...NEWER, port: nat.port, connectionId: true, psk })
    expect(client.connectionId).toMatchObject({ local: Buffer.alloc(0), returnRoutability: true })
    expect(client.connectionId?.remote).toHaveLength(8)
    await roundTrip(client, 'here')
    await nat.move()
    await roundTrip(client, 'there')
    await waitFor('the check of the new address', () => server.stats.addressChanges === 1)
    expect(server.stats).toMatchObject({ sessions: 1, addressChecksFailed: 0 })
  })

  it.skipIf(process.platform !== 'linux')(
    'on several I/O threads: an ID leads to its thread from whichever port',
    async () => {
      const { server, port } = await echo({ ...BOTH, connectionId: true, ioThreads: 2, psk: keys })
      const nats = await Promise.all(Array.from({ length: 8 }, () => Nat.start(port)))
      const clients = await Promise.all(
        nats.map((nat, index) =>
          dialOpen({
            ...(index % 4 === 0 ? {} : NEWER),
            ...{ port: nat.port, connectionId: true, psk },
          }),
        ),
      )
      for (let move = 1; move <= 3; move += 1) {
        await Promise.all(nats.map((nat) => nat.move()))
        await Promise.all(clients.map((client, index) => roundTrip(client, `${index}, ${move}`)))
      }
      expect(server.stats).toMatchObject({ sessions: 8, handshakesCompleted: 8 })
      expect(server.stats.dropped['unknownConnectionId']).toBe(0)
    },
  )
})

describe('dtls13/the network', () => {
  it.each([
    [{}, 10],
    [{ connectionId: 4, ...{ groups: ['X25519MLKEM768', 'X25519'] } }, 14],
  ] as const)('opens whichever of its datagrams is lost (%j)', async (options, most) => {
    const both = { ...NEWER, ...(options as object), retransmitTimeout: 50 }
    const { port } = await echo({ ...both, psk: keys })
    for (let lost = 0; lost < most; lost += 1) {
      let count = 0
      const proxy = await LossyProxy.start(port, { pass: () => count++ !== lost })
      const client = await dialOpen({ ...both, port: proxy.port, psk })
      proxy.pass = undefined
      await roundTrip(client, `without datagram ${lost}`)
    }
  })

  it.each([1, 2, 3])(
    'new keys get through 30 %% lost, doubled and overtaken, ACKs included (seed %i)',
    async (seed) => {
      const both = { ...NEWER, retransmitTimeout: 50 }
      const { port } = await echo({ ...both, psk: keys })
      const proxy = await LossyProxy.start(port, { seed })
      const client = await dialOpen({ ...both, port: proxy.port, psk })
      proxy.weather = { drop: 0.3, duplicate: 0.2, reorder: 0.2 }
      for (let round = 1; round <= 5; round += 1) {
        client.updateKeys()
        await waitFor('both', () => {
          const { keyUpdatesSent, keyUpdatesReceived } = client.stats
          return keyUpdatesSent >= round && keyUpdatesReceived >= round
        })
      }
      proxy.weather = {}
      await roundTrip(client)
    },
  )

  it.each([1, 2, 3])('opens with 20 % lost, doubled and overtaken (seed %i)', async (seed) => {
    const both = { ...NEWER, retransmitTimeout: 50 }
    const { port } = await echo({ ...both, psk: keys })
    const weather = { drop: 0.2, duplicate: 0.2, reorder: 0.2 }
    const proxy = await LossyProxy.start(port, { seed, ...weather })
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => dialOpen({ ...both, port: proxy.port, psk })),
    )
    proxy.weather = {}
    await Promise.all(clients.map((client, index) => roundTrip(client, `${index}`)))
  })

  it('keeps nothing for hellos of strangers (RFC 9147 section 5.1)', async () => {
    const { server, port } = await echo({ ...BOTH, psk: keys })
    let hello: Buffer | undefined
    const proxy = await LossyProxy.start(port, {
      pass: (datagram) => {
        hello ??= Buffer.from(datagram)
        return false
      },
    })
    dial({ ...NEWER, port: proxy.port, psk })
    await waitFor('the hello', () => hello !== undefined)
    const stranger = await rawSocket()
    const first = hello as Buffer
    await flood(stranger, port, 2_000, (index) => {
      const other = Buffer.from(first)
      other.writeUInt16BE(index, 27)
      return other
    })
    await waitFor('the answers', () => server.stats.helloVerifyRequests > 1_000)
    expect(server.stats).toMatchObject({ handshakesStarted: 0, sessions: 0 })
    await roundTrip(await dialOpen({ ...NEWER, port, psk }))
  })

  it('a server whose event loop stands still opens sessions and takes their messages', async () => {
    const child = startTypescript('test/dtls/children/blocked-server.ts', ['dtls13'])
    const port = Number((await child.output(/port (\d+)/))[1])
    const blocked = { port, psk: { identity, key: Buffer.alloc(32, 5) } }
    const before = await dialOpen({ ...NEWER, ...blocked })
    child.write(`${3_000 * slowdown}`)
    await child.output('blocking')
    const meanwhile = await dialOpen({ ...NEWER, ...blocked })
    const echoes = [before, meanwhile].map((socket) => collect(socket))
    for (const socket of [before, meanwhile]) socket.sendMany(['one', 'two', 'three'])
    expect(child.stdout).not.toContain('awake')
    await waitFor('the echoes', () => echoes.every((messages) => messages.length === 3))
  })
})
