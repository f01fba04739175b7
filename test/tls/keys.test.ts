// Which keys open a connection, and how each kind of wrong key is named on both sides.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { McbnError } from '../../src/errors.js'
import { createServer } from '../../src/tls/index.js'
import { waitFor } from '../support/wait.js'
import { dial, dialOpen, echo, failureOf, freshKey, identity, serve, VERSIONS } from './support.js'

describe.each(VERSIONS)('%s', (version) => {
  const only = { minVersion: version, maxVersion: version } as const

  it('opens with the same key on both sides, and says whose it is', async () => {
    const key = freshKey()
    const { server, port } = await serve<string>({
      ...only,
      psk: { [identity]: { key, peer: 'Alice' } },
    })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen({ ...only, port, psk: { identity, key } })
    const [socket] = await accepted
    for (const end of [client, socket]) {
      expect(end).toMatchObject({ authorized: true, encrypted: true })
      expect(end.pskIdentity).toEqual(Buffer.from(identity))
      expect(end.getProtocol()).toBe(version)
      expect(end.getCipher()).toMatchObject({ version, name: expect.stringMatching(/GCM|CHACHA/) })
    }
    expect(socket.peer).toBe('Alice')
    expect(client.peer).toBeUndefined()
  })

  it("tells a server that was given a client's shape what it takes", () => {
    const psk = { identity, key: freshKey() } as never
    expect(() => createServer({ ...only, psk })).toThrow(
      expect.objectContaining({
        code: 'MCBN_OPTION_TYPE',
        message: expect.stringMatching(/^psk: expected a table .*, which is for a client$/),
      }),
    )
  })

  it('takes identities that are called identity and key', () => {
    const psk = { identity: freshKey(), key: { key: freshKey() } }
    expect(() => createServer({ ...only, psk })).not.toThrow()
  })

  it('names a wrong key on both sides', async () => {
    const { failures, port } = await serve({ ...only, psk: { [identity]: freshKey() } })
    const error = await failureOf(dial({ ...only, port, psk: { identity, key: freshKey() } }))
    expect(error).toMatchObject({ code: 'MCBN_PSK_MISMATCH', kind: 'peer' })
    await waitFor('the failure', () => failures.length > 0)
    expect(failures[0]).toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
    expect(failures[0]?.message).toContain(identity)
  })

  it('shows an unknown identity to the server, and to the client what a wrong key shows', async () => {
    const key = freshKey()
    const { failures, port } = await serve({ ...only, psk: { [identity]: key } })
    const unknown = await failureOf(dial({ ...only, port, psk: { identity: 'Mallory', key } }))
    await waitFor('the failure', () => failures.length > 0)
    expect(failures[0]).toMatchObject({ code: 'MCBN_PSK_IDENTITY_UNKNOWN' })
    const wrong = await failureOf(dial({ ...only, port, psk: { identity, key: freshKey() } }))
    expect(unknown.code).toBe(wrong.code)
    expect(unknown.alert).toBe(wrong.alert)
  })

  it('tells a client that its identity is unknown if asked to (RFC 4279 section 2)', async () => {
    const { port } = await serve({
      ...only,
      psk: { [identity]: freshKey() },
      unknownIdentity: 'alert',
    })
    const error = await failureOf(
      dial({ ...only, port, psk: { identity: 'Mallory', key: freshKey() } }),
    )
    expect(error).toMatchObject({
      code: 'MCBN_PSK_IDENTITY_UNKNOWN',
      alert: 'unknown_psk_identity',
    })
  })

  it.each([16, 32, 64, 512])('takes keys of %i bytes', async (bytes) => {
    const key = randomBytes(bytes)
    const { port } = await echo({ ...only, psk: { [identity]: key } })
    await dialOpen({ ...only, port, psk: { identity, key } })
  })

  it.each([1, 128, 256])('takes identities of %i bytes', async (bytes) => {
    const key = freshKey()
    const name = randomBytes(bytes).map((byte) => (byte === 0 ? 1 : byte))
    const asked: Buffer[] = []
    const lookup = (query: { identity: Buffer }) => {
      asked.push(query.identity)
      return key
    }
    const { port } = await echo({ ...only, psk: lookup })
    await dialOpen({ ...only, port, psk: { identity: name, key } })
    expect(asked).toEqual([Buffer.from(name)])
  })

  it('refuses a key from the moment its identity is revoked', async () => {
    const key = freshKey()
    const { server, port } = await echo({ ...only, psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen({ ...only, port, psk: { identity, key } })
    const closed = once(client.resume(), 'close')
    await accepted
    expect(server.revoke(identity)).toBe(1)
    await closed
    await failureOf(dial({ ...only, port, psk: { identity, key } }))
  })
})

describe('the hash of a TLS 1.3 key (RFC 8446 section 4.2.11)', () => {
  const orders = [
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
    'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256',
    'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
  ]
  const pairs = orders.flatMap((ciphers) => orders.map((other) => [ciphers, other] as const))

  it.each(pairs)('decides the suite, server %s, client %s', async (ciphers, other) => {
    for (const hash of ['sha256', 'sha384'] as const) {
      const key = freshKey()
      const { port } = await echo({ ciphers, psk: { [identity]: { key, hash } } })
      const client = await dialOpen({ port, ciphers: other, psk: { identity, key, hash } })
      expect(client.getCipher()?.name.endsWith(hash.toUpperCase())).toBe(true)
    }
  })

  it('is part of the key: another hash is another key', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: { key, hash: 'sha384' } } })
    const error = await failureOf(dial({ port, psk: { identity, key } }))
    expect(error).toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
  })

  it('does not matter to TLS 1.2', async () => {
    const key = freshKey()
    const { port } = await echo({
      maxVersion: 'TLSv1.2',
      psk: { [identity]: { key, hash: 'sha384' } },
    })
    await dialOpen({ port, psk: { identity, key } })
  })

  it('is refused when no suite of the list has it', async () => {
    const { port } = await echo({ psk: { [identity]: freshKey() } })
    const ciphers = 'TLS_AES_128_GCM_SHA256'
    const socket = dial({ port, ciphers, psk: { identity, key: freshKey(), hash: 'sha384' } })
    expect((await failureOf(socket)).code).toBe('MCBN_CIPHERS_INVALID')
  })
})

describe('an identity with a NUL byte', () => {
  const name = Buffer.from('a\0b')

  it('travels whole on TLS 1.3, which the client then insists on', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: new Map([[name.toString(), key]]) })
    const accepted = once(server, 'secureConnection')
    await dialOpen({ port, psk: { identity: name, key } })
    expect((await accepted)[0].pskIdentity).toEqual(name)

    const old = await serve({ maxVersion: 'TLSv1.2', psk: { a: key } })
    await failureOf(dial({ port: old.port, psk: { identity: name, key } }))
  })

  it('is refused where only TLS 1.2 is allowed', () => {
    const wrong = () =>
      dial({ port: 1, maxVersion: 'TLSv1.2', psk: { identity: name, key: freshKey() } })
    expect(wrong).toThrow(expect.objectContaining({ code: 'MCBN_IDENTITY_INVALID' }))
  })
})

describe('cipher suites', () => {
  it.each([
    'PSK-AES128-CCM8',
    'PSK-AES256-CCM8',
    'PSK-AES128-CCM',
    'PSK-AES128-GCM-SHA256',
    'PSK-AES256-GCM-SHA384',
    'PSK-CHACHA20-POLY1305',
    'DHE-PSK-AES128-GCM-SHA256',
    'DHE-PSK-CHACHA20-POLY1305',
    'ECDHE-PSK-CHACHA20-POLY1305',
  ])('a TLS 1.2 client that has only %s meets a server without settings', async (ciphers) => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const client = await dialOpen({ port, maxVersion: 'TLSv1.2', ciphers, psk: { identity, key } })
    expect(client.getCipher()?.name).toBe(ciphers)
  })

  it.each(['', 'NONSENSE', 'AES128-SHA', 'RSA-PSK-AES128-CBC-SHA'])(
    '%j is no choice',
    (ciphers) => {
      const make = () => dial({ port: 1, ciphers, psk: { identity, key: freshKey() } })
      if (ciphers === '') expect(make).not.toThrow()
      else expect(make).toThrow(expect.objectContaining({ code: 'MCBN_CIPHERS_INVALID' }))
    },
  )
})

describe('options that cannot work are refused at once', () => {
  const psk = { identity, key: freshKey() }
  it.each([
    ['MCBN_OPTION_TYPE', {}],
    ['MCBN_OPTION_TYPE', { port: 1 }],
    ['MCBN_OPTION_TYPE', { psk }],
    ['MCBN_OPTION_TYPE', { psk, port: 'eight' }],
    ['MCBN_OPTION_RANGE', { psk, port: 70_000 }],
    ['MCBN_OPTION_TYPE', { psk, socket: {} }],
    ['MCBN_OPTION_RANGE', { psk, port: 1, handshakeTimeout: -1 }],
    ['MCBN_OPTION_TYPE', { psk, port: 1, handshakeTimeout: '1s' }],
    ['MCBN_OPTION_RANGE', { psk, port: 1, lookupTimeout: 1.5 }],
    ['MCBN_OPTION_RANGE', { psk, port: 1, minVersion: 'TLSv1.1' }],
    ['MCBN_OPTION_CONFLICT', { psk, port: 1, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }],
    ['MCBN_OPTION_RANGE', { psk, port: 1, ALPNProtocols: [''] }],
    ['MCBN_OPTION_TYPE', { psk, port: 1, ALPNProtocols: 'h2' }],
    ['MCBN_OPTION_RANGE', { psk, port: 1, servername: 'a\0b' }],
    ['MCBN_KEY_INVALID', { port: 1, psk: { identity, key: Buffer.alloc(32) } }],
    ['MCBN_KEY_INVALID', { port: 1, psk: { identity, key: randomBytes(15) } }],
    ['MCBN_KEY_INVALID', { port: 1, psk: { identity, key: randomBytes(513) } }],
    ['MCBN_KEY_INVALID', { port: 1, psk: { identity, key: 'secret' } }],
    ['MCBN_IDENTITY_INVALID', { port: 1, psk: { identity: '', key: freshKey() } }],
    ['MCBN_IDENTITY_INVALID', { port: 1, psk: { identity: 'x'.repeat(64_001), key: freshKey() } }],
  ])('%s (%#)', (code, options) => {
    let thrown: unknown
    try {
      dial(options as never)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(McbnError)
    expect(thrown).toMatchObject({ code })
  })
})
