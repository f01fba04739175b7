// What both sides of a session agree on: suites, secrets, protocols, names.

import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { Deferred } from '../../src/deferred.js'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureNumber,
  failureOf,
  freshKey,
  identity,
  openPair,
  roundTrip,
  serve,
} from './support.js'

const AEAD = [
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
const CBC = ['PSK-AES128-CBC-SHA256', 'PSK-AES256-CBC-SHA384', 'ECDHE-PSK-AES128-CBC-SHA256']

describe('dtls/ciphers', () => {
  it.each(AEAD)(
    'a client that speaks only %s connects to a server without a setting',
    async (ciphers) => {
      const key = freshKey()
      const { port } = await echo({ psk: { [identity]: key } })
      const client = await dialOpen({ port, ciphers, psk: { identity, key } })
      expect(client.getCipher()).toMatchObject({ name: ciphers, version: 'DTLSv1.2' })
      expect(client.getCipher()?.standardName).toMatch(/^TLS_/)
      await roundTrip(client)
    },
  )

  it.each(CBC)('%s is there for those that ask for it, on both sides', async (ciphers) => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key }, ciphers })
    const client = await dialOpen({ port, ciphers, psk: { identity, key } })
    expect(client.getCipher()?.name).toBe(ciphers)
    await roundTrip(client)
    const plain = await echo({ psk: { [identity]: key } })
    const error = await failureOf(dial({ port: plain.port, ciphers, psk: { identity, key } }))
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', alert: 'handshake_failure' })
    expect((await failureNumber(plain.failures, 1)).code).toBe('MCBN_HANDSHAKE_FAILED')
  })

  it('without settings the suite is forward-secret and AEAD', async () => {
    const { client, server } = await openPair()
    expect(client.getCipher()?.name).toBe('ECDHE-PSK-CHACHA20-POLY1305')
    expect(server.getCipher()).toEqual(client.getCipher())
  })
})

describe('dtls/keylog', () => {
  it('gives the same CLIENT_RANDOM line on both sides, only while somebody listens', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    await dialOpen({ port, psk: { identity, key } })
    const lines: Record<'client' | 'server', string[]> = { client: [], server: [] }
    server.on('keylog', (line) => lines.server.push(line.toString()))
    const client = dial({ port, psk: { identity, key } })
    client.on('keylog', (line) => lines.client.push(line.toString()))
    await client.opened
    await waitFor('both lines', () => lines.server.length > 0 && lines.client.length > 0)
    expect(lines.client).toEqual(lines.server)
    expect(lines.client).toHaveLength(1)
    expect(lines.client[0]).toMatch(/^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}\n$/)
  })
})

describe('dtls/keylog, when the last listener has gone', () => {
  it('stops on a server, and goes on for the next listener', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const emitted = vi.spyOn(server, 'emit')
    const lines = () =>
      (emitted.mock.calls as unknown[][]).filter(([event]) => event === 'keylog').length
    const connectOnce = () => dialOpen({ port, psk: { identity, key } })
    const listener = () => {}
    server.once('keylog', listener)
    server.on('keylog', listener)
    await connectOnce()
    await connectOnce()
    await waitFor('two lines', () => lines() === 2)
    server.off('keylog', listener)
    await roundTrip(await connectOnce())
    expect(lines()).toBe(2)
    server.on('keylog', listener)
    await connectOnce()
    await waitFor('the third line', () => lines() === 3)
  })

  it('stops on a client, and begins in the middle of a handshake', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    for (const { before, after } of [
      { before: true, after: true },
      { before: true, after: false },
      { before: false, after: true },
    ]) {
      const asked = new Deferred()
      const go = new Deferred()
      const psk = async () => {
        asked.resolve()
        await go.promise
        return { identity, key }
      }
      const client = dial({ port, psk })
      const emitted = vi.spyOn(client, 'emit')
      if (before) client.on('keylog', () => {})
      // The handshake has begun; there is nothing to log before the key is known.
      await asked.promise
      if (after) client.on('keylog', () => {})
      else client.removeAllListeners('keylog')
      go.resolve()
      await client.opened
      await roundTrip(client)
      const lines = (emitted.mock.calls as unknown[][]).filter(([event]) => event === 'keylog')
      expect(lines).toHaveLength(after ? 1 : 0)
    }
  })
})

describe('dtls/exporter (RFC 5705)', () => {
  it('is the same on both sides, differs by label, context, length and session', async () => {
    const { client, server } = await openPair()
    const label = 'EXPORTER-mcbn-test'
    const context = Buffer.from('context')
    const material = client.exportKeyingMaterial(32, label, context)
    expect(server.exportKeyingMaterial(32, label, context)).toEqual(material)
    const others = [
      client.exportKeyingMaterial(32, `${label}2`, context),
      client.exportKeyingMaterial(32, label),
      client.exportKeyingMaterial(32, label, Buffer.alloc(0)),
      client.exportKeyingMaterial(32, label, Buffer.from('other')),
      (await openPair()).client.exportKeyingMaterial(32, label, context),
    ]
    const all = [material, ...others].map((each) => each.toString('hex'))
    expect(new Set(all).size).toBe(all.length)
    expect(client.exportKeyingMaterial(16_384, label)).toHaveLength(16_384)
  })

  it('is refused before the session is open, after it, and for nonsense', async () => {
    const { client } = await openPair()
    for (const length of [0, -1, 16_385, 1.5]) {
      expect(() => client.exportKeyingMaterial(length, 'l')).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
      )
    }
    const bad = [undefined, 42, null] as never[]
    for (const label of bad) {
      expect(() => client.exportKeyingMaterial(32, label)).toThrow(
        expect.objectContaining({ kind: 'usage' }),
      )
    }
    await client.close()
    expect(() => client.exportKeyingMaterial(32, 'l')).toThrow(
      expect.objectContaining({ code: 'MCBN_EXPORTER_UNAVAILABLE' }),
    )
  })

  it('is refused without the extended master secret (RFC 7627 section 5.4)', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    // The raw client offers no extension at all.
    await (await DtlsPeer.create({ port, identity: Buffer.from(identity), key })).open()
    const [socket] = (await accepted) as [DtlsSocket]
    expect(() => socket.exportKeyingMaterial(32, 'EXPORTER-x')).toThrow(
      expect.objectContaining({ code: 'MCBN_EXPORTER_UNAVAILABLE' }),
    )
  })
})

describe.each(['DTLSv1.2', 'DTLSv1.3'] as const)('dtls/ALPN of %s (RFC 7301)', (version) => {
  const both = { minVersion: version, maxVersion: version }
  const key = freshKey()
  const psk = { identity, key }

  it('the server’s preference among the client’s offers', async () => {
    const { server, port } = await serve({
      ...both,
      psk: { [identity]: key },
      ALPNProtocols: ['coap', 'x'],
    })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen({ ...both, port, psk, ALPNProtocols: ['x', 'coap', 'y'] })
    expect(client.alpnProtocol).toBe('coap')
    expect((await accepted)[0].alpnProtocol).toBe('coap')
  })

  it('undefined where one side has none', async () => {
    const some = await echo({ ...both, psk: { [identity]: key }, ALPNProtocols: ['coap'] })
    expect((await dialOpen({ ...both, port: some.port, psk })).alpnProtocol).toBeUndefined()
    const none = await echo({ ...both, psk: { [identity]: key } })
    const client = await dialOpen({ ...both, port: none.port, psk, ALPNProtocols: ['coap'] })
    expect(client.alpnProtocol).toBeUndefined()
  })

  it('nothing in common: no_application_protocol', async () => {
    const { port, failures } = await echo({
      ...both,
      psk: { [identity]: key },
      ALPNProtocols: ['coap'],
    })
    const error = await failureOf(dial({ ...both, port, psk, ALPNProtocols: ['x'] }))
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', alert: 'no_application_protocol' })
    expect((await failureNumber(failures, 1)).alert).toBe('no_application_protocol')
  })
})

describe('dtls/server name (RFC 6066 section 3)', () => {
  it('reaches the server’s socket; undefined when there is none', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key } })
    const named = once(server, 'secureConnection')
    await dialOpen({ port, servername: 'vault.example', psk: { identity, key } })
    expect((await named)[0].servername).toBe('vault.example')
    const nameless = once(server, 'secureConnection')
    await dialOpen({ port, psk: { identity, key } })
    expect((await nameless)[0].servername).toBeUndefined()
  })
})
