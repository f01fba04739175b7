// DTLS 1.3 (RFC 9147) as a user has it: versions, keys, what a socket says, and what is refused.

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { createServer } from '../../src/dtls/index.js'
import type { PskQuery } from '../../src/psk/types.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { Nat } from '../support/nat.js'
import { slowdown } from '../support/pace.js'
import { startTypescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  collect,
  dial,
  dialOpen,
  echo,
  failureNumber,
  failureOf,
  flood,
  freshKey,
  identity,
  nextMessage,
  openPair,
  rawSocket,
  roundTrip,
  serve,
} from './support.js'

const NEWER = { minVersion: 'DTLSv1.3' } as const
const BOTH = { maxVersion: 'DTLSv1.3' } as const
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
    ['ALPNProtocols', { ...NEWER, ALPNProtocols: ['coap'] }],
    ['records', { ...NEWER, records: 'openssl' }],
    ['sessionStore', { ...NEWER, sessionStore: { store: '/nowhere', sealingKey: key } }],
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
    ['ciphers', 'TLS_SHA256_SHA256', 'MCBN_CIPHERS_INVALID'],
  ])('%s: refuses %j (%s)', (name, value, code) => {
    const options = { ...NEWER, [name]: value } as object
    expect(() => createServer({ psk: keys, ...options })).toThrow(expect.objectContaining({ code }))
    expect(() => dial({ port: 9, psk, ...options })).toThrow(expect.objectContaining({ code }))
  })

  it('a client speaks one version, and says so', () => {
    expect(() => dial({ ...BOTH, port: 9, psk })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' }),
    )
    const session = { sealed: Buffer.alloc(10), sealingKey: key }
    expect(() => dial({ ...NEWER, port: 9, psk, session })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' }),
    )
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

describe('dtls13/keys', () => {
  it.each([
    ['TLS_AES_128_GCM_SHA256', 'sha256'],
    ['TLS_AES_256_GCM_SHA384', 'sha384'],
    ['TLS_CHACHA20_POLY1305_SHA256', 'sha256'],
    ['TLS_AES_128_CCM_SHA256', 'sha256'],
    ['TLS_AES_128_CCM_8_SHA256', 'sha256'],
  ] as const)('%s with a key for %s', async (ciphers, hash) => {
    const { port } = await echo({ ...NEWER, ciphers, psk: { [identity]: { key, hash } } })
    const socket = await dialOpen({ ...NEWER, ciphers, port, psk: { identity, key, hash } })
    expect(socket.getCipher()?.name).toBe(ciphers)
    await roundTrip(socket)
  })

  it.each([
    [{ pskModes: ['psk_ke'] }],
    [{ groups: ['P-256'] }],
    [{ groups: ['X25519MLKEM768', 'X25519'] }],
  ] as const)('opens with %j on both sides, exports alike, logs keys alike', async (options) => {
    const lines = { server: [] as string[], client: [] as string[] }
    const { server, port } = await serve({ ...NEWER, ...(options as object), psk: keys })
    server.on('keylog', (line) => lines.server.push(line.toString()))
    const accepted = once(server, 'secureConnection')
    const client = dial({ ...NEWER, ...(options as object), port, psk })
    client.on('keylog', (line) => lines.client.push(line.toString()))
    await client.opened
    const [other] = (await accepted) as [DtlsSocket]
    const exported = client.exportKeyingMaterial(32, 'EXPORTER-mcbn-test', Buffer.from('context'))
    expect(other.exportKeyingMaterial(32, 'EXPORTER-mcbn-test', Buffer.from('context'))).toEqual(
      exported,
    )
    expect(client.exportKeyingMaterial(32, 'EXPORTER-mcbn-else')).not.toEqual(exported)
    expect(lines.client.map((line) => line.split(' ')[0]).sort()).toEqual([
      'CLIENT_HANDSHAKE_TRAFFIC_SECRET',
      'CLIENT_TRAFFIC_SECRET_0',
      'EXPORTER_SECRET',
      'SERVER_HANDSHAKE_TRAFFIC_SECRET',
      'SERVER_TRAFFIC_SECRET_0',
    ])
    expect(lines.server.sort()).toEqual(lines.client.sort())
  })

  it('modes that only one side wants are no common ones', async () => {
    const { port } = await serve({ ...NEWER, pskModes: ['psk_ke'], psk: keys })
    const error = await failureOf(dial({ ...NEWER, port, psk }))
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED' })
    expect(error.message).toContain('handshake_failure')
  })

  it.each([
    ['another key', { identity, key: freshKey() }, 'MCBN_PSK_MISMATCH'],
    ['an unknown identity', { identity: 'Client2', key }, 'MCBN_PSK_IDENTITY_UNKNOWN'],
  ])('%s ends the handshake, which the server names', async (_what, wrong, code) => {
    const { server, port, failures } = await serve({ ...NEWER, psk: keys })
    // On the wire they look alike (RFC 8446 appendix E.6).
    expect((await failureOf(dial({ ...NEWER, port, psk: wrong }))).code).toBe('MCBN_PSK_MISMATCH')
    expect((await failureNumber(failures, 1)).code).toBe(code)
    await waitFor('both tries', () => server.stats.handshakesFailed === 2)
    expect(server.stats).toMatchObject({ sessions: 0, handshakesCompleted: 0 })
  })

  it('what the server sends does not tell an unknown identity from a wrong key (RFC 8446 appendix E.6)', async () => {
    const sources = {
      table: keys,
      lookup: async (query: PskQuery) => (query.identityText === identity ? key : null),
    }
    for (const source of Object.values(sources)) {
      const seen: string[][] = []
      for (const name of [identity, 'Client2']) {
        const { port } = await serve({ ...BOTH, psk: source })
        const answers: string[] = []
        const proxy = await LossyProxy.start(port, {
          pass: (datagram, direction) => {
            // Content type and length; of an alert all, without the record's number.
            const alert = datagram[0] === 21 ? datagram.subarray(11).toString('hex') : ''
            if (direction === 'to client')
              answers.push(`${datagram[0]} ${datagram.length} ${alert}`)
            return true
          },
        })
        const wrong = { identity: name, key: freshKey() }
        await failureOf(dial({ ...NEWER, port: proxy.port, psk: wrong, retransmitTimeout: 50 }))
        // How often something is repeated is the machine's business.
        seen.push([...new Set(answers)])
      }
      expect(seen[0]).toEqual(seen[1])
      expect(seen[0]?.some((answer) => answer.startsWith('21 '))).toBe(true)
    }
  })

  it('identities may have a NUL, which DTLS 1.2 clients cannot send', async () => {
    const odd = 'a\0b'
    const { port } = await echo({ ...BOTH, psk: { [odd]: key } })
    const socket = await dialOpen({ ...NEWER, port, psk: { identity: odd, key } })
    expect(socket.pskIdentity?.toString()).toBe(odd)
    const long = { identity: 'x'.repeat(257), key }
    const refused = expect.objectContaining({ code: 'MCBN_IDENTITY_INVALID' })
    expect(() => dial({ ...NEWER, port, psk: long })).toThrow(refused)
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

  it('a silent session ends by idleTimeout', async () => {
    const { client } = await openPair({ ...NEWER, idleTimeout: 100 })
    await client.closed
    expect(['idle', 'peer']).toContain(client.closeReason)
  })

  it('a session cannot go on elsewhere, and says so', async () => {
    const { client, server, listener } = await openPair(NEWER)
    const sealingKey = freshKey()
    for (const socket of [client, server]) {
      expect(() => socket.exportSession({ sealingKey })).toThrow(
        expect.objectContaining({
          code: 'MCBN_SESSION_REFUSED',
          message: expect.stringContaining('DTLS 1.3'),
        }),
      )
    }
    for await (const _sealed of listener.exportSessions({ sealingKey })) {
      throw new Error('a session of DTLS 1.3 was exported')
    }
    server.on('message', (message) => server.send(message))
    await roundTrip(client)
  })

  it('a client with a connection ID may change its port (RFC 9147 section 9)', async () => {
    const { server, port } = await echo({ ...BOTH, connectionId: true, psk: keys })
    const nat = await Nat.start(port)
    const client = await dialOpen({ ...NEWER, port: nat.port, connectionId: true, psk })
    expect(client.connectionId).toMatchObject({ local: Buffer.alloc(0), returnRoutability: false })
    expect(client.connectionId?.remote).toHaveLength(8)
    await roundTrip(client, 'here')
    await nat.move()
    await roundTrip(client, 'there')
    expect(server.stats).toMatchObject({ sessions: 1, addressChanges: 1 })
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
