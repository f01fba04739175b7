// The keys of DTLS 1.3: suites, modes and hashes, imported keys, several identities, what strangers learn.

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DtlsServerOptions, DtlsSocket } from '../../src/dtls/index.js'
import { createServer } from '../../src/dtls/index.js'
import { importPsk } from '../../src/psk/index.js'
import type { PskQuery } from '../../src/psk/types.js'
import * as tls from '../../src/tls/index.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import {
  BOTH,
  dial,
  dialOpen,
  echo,
  failureNumber,
  failureOf,
  freshKey,
  identity,
  NEWER,
  roundTrip,
  serve,
} from './support.js'

const key = freshKey()
const psk = { identity, key }
const keys = { [identity]: key }

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
    // The client's hello came again, and had the same answer.
    expect(server.stats).toMatchObject({
      ...{ sessions: 0, handshakesStarted: 1, handshakesFailed: 1, handshakesCompleted: 0 },
    })
    expect(failures).toHaveLength(1)
  })

  it.each([
    ['a table', { [identity]: { key, hash: 'sha384' } }, 'conceal', 'MCBN_PSK_MISMATCH'],
    ['a lookup', async () => ({ key, hash: 'sha384' }), 'conceal', 'MCBN_PSK_MISMATCH'],
    ['a table', { [identity]: { key, hash: 'sha384' } }, 'alert', 'MCBN_PSK_IDENTITY_UNKNOWN'],
  ] as const)(
    'a key of another hash is told as that (RFC 8446 section 4.2.11): %s, %s, %s',
    async (_what, source, unknownIdentity, code) => {
      const { port, failures } = await serve({
        ...{ ...NEWER, unknownIdentity, psk: source as DtlsServerOptions['psk'] },
      })
      expect((await failureOf(dial({ ...NEWER, port, psk }))).code).toBe(code)
      expect(await failureNumber(failures, 1)).toMatchObject({
        code: 'MCBN_PSK_MISMATCH',
        message: expect.stringContaining('another hash'),
      })
      const none = dial({ ...NEWER, port, psk: { ...psk, hash: 'sha384' } })
      expect((await none.opened).getCipher()?.name).toBe('TLS_AES_256_GCM_SHA384')
    },
  )

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

describe('dtls13/imported keys', () => {
  const imported = (targetKdf: 'sha256' | 'sha384') =>
    importPsk({
      ...{ key, identity: 'sensor', context: 'client sensor, server hub', targetKdf },
      targetProtocol: 'DTLSv1.3',
    })

  it.each(['sha256', 'sha384'] as const)(
    'open where both sides import, by table and by lookup (RFC 9258 section 5.2): %s',
    async (kdf) => {
      const ours = imported(kdf)
      const { identity: name, ...entry } = ours
      const byTable = await echo({ ...BOTH, psk: {} })
      byTable.server.setPsk(name, entry)
      const byLookup = await echo({
        ...BOTH,
        psk: (query) => (query.identity.equals(name) ? entry : null),
      })
      for (const { port } of [byTable, byLookup]) {
        const socket = await dialOpen({ ...NEWER, port, psk: ours })
        expect(socket.pskIdentity).toEqual(name)
        await roundTrip(socket)
      }
    },
  )

  it('are other keys than those that are not imported', async () => {
    const { imported: _, ...external } = imported('sha256')
    const { identity: name, ...entry } = imported('sha256')
    const { server, port, failures } = await serve({ ...NEWER, psk: {} })
    server.setPsk(name, entry)
    expect((await failureOf(dial({ ...NEWER, port, psk: external }))).code).toBe(
      'MCBN_PSK_MISMATCH',
    )
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_PSK_MISMATCH')
  })

  it('are refused where OpenSSL has the handshake', async () => {
    const refused = expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' })
    const entry = { key, imported: true }
    expect(() => createServer({ psk: { [identity]: entry } })).toThrow(refused)
    expect(() => tls.createServer({ psk: { [identity]: entry } })).toThrow(refused)
    expect(() => dial({ port: 9, psk: { identity, ...entry } })).toThrow(refused)
    expect(() => tls.connect({ port: 9, psk: { identity, ...entry } })).toThrow(refused)
    const odd = { identity, key, imported: 'yes' } as object as typeof psk
    const type = expect.objectContaining({ code: 'MCBN_OPTION_TYPE' })
    expect(() => dial({ ...NEWER, port: 9, psk: odd })).toThrow(type)
    // One server for both: the older version has no such key, in a table or by a lookup.
    const table = await serve({ ...BOTH, psk: { [identity]: entry } })
    const brisk = { psk, handshakeTimeout: 1_000 }
    await failureOf(dial({ ...brisk, port: table.port }))
    expect((await failureNumber(table.failures, 1)).code).toBe('MCBN_PSK_IDENTITY_UNKNOWN')
    const lookup = await serve({ ...BOTH, psk: () => entry })
    await failureOf(dial({ ...brisk, port: lookup.port }))
    expect(await failureNumber(lookup.failures, 1)).toMatchObject({
      code: 'MCBN_LOOKUP_FAILED',
      cause: { code: 'MCBN_OPTION_CONFLICT' },
    })
  })
})

describe('dtls13/several identities', () => {
  const named = (name: string) => ({ identity: name, key })

  it('the server takes the first that it knows, and both sides say which', async () => {
    const { server, port } = await echo({ ...NEWER, psk: { second: key, third: key } })
    const client = await dialOpen({
      ...{ ...NEWER, port },
      psk: ['first', 'second', 'third'].map(named),
    })
    expect(client.pskIdentity?.toString()).toBe('second')
    await roundTrip(client)
    expect([...server.sessions].map((socket) => socket.pskIdentity?.toString())).toEqual(['second'])
    server.revoke('second')
    await client.closed
    const next = await dialOpen({ ...NEWER, port, psk: ['first', 'second', 'third'].map(named) })
    expect(next.pskIdentity?.toString()).toBe('third')
  })

  it('a lookup is asked for each until it knows one; what failed before is told if none is known', async () => {
    const mistake = new Error('the database is away')
    const asked: string[] = []
    const { port, failures } = await echo({
      ...NEWER,
      psk: async ({ identityText }) => {
        asked.push(identityText)
        if (identityText === 'broken') throw mistake
        return identityText === 'known' ? key : null
      },
    })
    const client = await dialOpen({ ...NEWER, port, psk: ['broken', 'known', 'more'].map(named) })
    await roundTrip(client)
    expect(asked.splice(0)).toEqual(['broken', 'known'])
    await failureOf(dial({ ...NEWER, port, psk: ['broken', 'unknown'].map(named) }))
    expect(await failureNumber(failures, 1)).toMatchObject({
      code: 'MCBN_LOOKUP_FAILED',
      cause: mistake,
    })
    expect(asked).toEqual(['broken', 'unknown'])
    expect(failures).toHaveLength(1)
  })

  it('what the server sends does not tell how many of them it does not know', async () => {
    const seen: string[][] = []
    for (const names of [
      ['other', 'second'],
      ['first', 'other'],
      ['one', 'two'],
    ]) {
      const { port } = await serve({ ...NEWER, psk: { first: key, second: key } })
      const answers: string[] = []
      const proxy = await LossyProxy.start(port, {
        pass: (datagram, direction) => {
          const alert = datagram[0] === 21 ? datagram.subarray(11).toString('hex') : ''
          if (direction === 'to client') answers.push(`${datagram[0]} ${datagram.length} ${alert}`)
          return true
        },
      })
      const wrong = names.map((name) => ({ identity: name, key: freshKey() }))
      await failureOf(dial({ ...NEWER, port: proxy.port, psk: wrong, retransmitTimeout: 50 }))
      seen.push([...new Set(answers)])
    }
    expect(seen[1]).toEqual(seen[0])
    expect(seen[2]).toEqual(seen[0])
  })

  it.each([
    [[], 'MCBN_OPTION_RANGE'],
    [Array(9).fill(psk), 'MCBN_OPTION_RANGE'],
    [[psk, { ...psk, hash: 'sha384' }], 'MCBN_OPTION_CONFLICT'],
    [[psk, 'Client2'], 'MCBN_OPTION_TYPE'],
    [[psk, { identity: '', key }], 'MCBN_IDENTITY_INVALID'],
  ])('refuses %j (%s)', (given, code) => {
    const refused = expect.objectContaining({ code })
    expect(() => dial({ ...NEWER, port: 9, psk: given as (typeof psk)[] })).toThrow(refused)
  })

  it('are refused where a handshake has one', () => {
    const refused = expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' })
    expect(() => dial({ port: 9, psk: [psk] })).toThrow(refused)
    const type = expect.objectContaining({ code: 'MCBN_OPTION_TYPE' })
    expect(() => tls.connect({ port: 9, psk: [psk] as object as typeof psk })).toThrow(type)
  })
})
