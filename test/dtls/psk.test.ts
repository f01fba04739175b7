// Which peers get in on DTLS 1.2, and what both sides learn when one does not.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/dtls/index.js'
import type { McbnError } from '../../src/errors.js'
import {
  dial,
  dialOpen,
  echo,
  failureNumber,
  failureOf,
  freshKey,
  identity,
  roundTrip,
  serve,
} from './support.js'

describe('dtls/psk', () => {
  it('opens when both sides have the same key, and knows the client by its identity', async () => {
    const key = freshKey()
    const { server, port } = await echo<string>({ psk: { [identity]: { key, peer: 'Alice' } } })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen({ port, psk: { identity, key } })
    const [socket] = await accepted
    expect(socket.pskIdentity).toEqual(Buffer.from(identity))
    expect(socket.peer).toBe('Alice')
    expect(client.pskIdentity).toEqual(Buffer.from(identity))
    expect(client.getProtocol()).toBe('DTLSv1.2')
    expect(client.encrypted).toBe(true)
    expect(socket.remoteAddress).toBe('127.0.0.1')
    expect(client.remotePort).toBe(port)
    await roundTrip(client)
  })

  it('takes a Map of keys', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: new Map([[identity, key]]) })
    await dialOpen({ port, psk: { identity, key } })
  })

  it.each([16, 20, 32, 64, 128, 256, 511, 512])('opens with a key of %i bytes', async (length) => {
    const key = randomBytes(length)
    const { port } = await echo({ psk: { [identity]: key } })
    await roundTrip(await dialOpen({ port, psk: { identity, key } }))
  })

  it('keys that differ only in their last bit are different keys', async () => {
    const key = randomBytes(512)
    const wrong = Buffer.from(key)
    wrong[511] = (wrong[511] as number) ^ 1
    const { port } = await echo({ psk: { [identity]: key } })
    const error = await failureOf(dial({ port, psk: { identity, key: wrong } }))
    expect(error.code).toBe('MCBN_PSK_MISMATCH')
  })

  it.each([
    ['15 bytes', randomBytes(15)],
    ['513 bytes', randomBytes(513)],
    ['no bytes', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(32)],
  ])('refuses a key of %s on both sides, before anything is sent', (_what, key) => {
    const invalid = expect.objectContaining({ code: 'MCBN_KEY_INVALID', kind: 'usage' })
    expect(() => createServer({ psk: { [identity]: key } })).toThrow(invalid)
    expect(() => dial({ port: 9, psk: { identity, key } })).toThrow(invalid)
  })

  it('carries identities of 1 to 256 bytes, and bytes that are no UTF-8', async () => {
    const key = freshKey()
    const seen: Buffer[] = []
    const { port } = await echo({
      psk: (query) => {
        seen.push(query.identity)
        return key
      },
    })
    const identities = [Buffer.from('x'), Buffer.alloc(256, 'é'), Buffer.from([0xff, 0x80, 0xc0])]
    for (const each of identities) await dialOpen({ port, psk: { identity: each, key } })
    expect(seen).toEqual(identities)
  })

  it.each([
    ['257 bytes', 'x'.repeat(257)],
    ['no bytes', ''],
    ['a lone surrogate', '\ud800'],
    ['NUL, which OpenSSL would cut (RFC 4279 allows it)', 'a\0b'],
  ])('a client refuses an identity with %s', (_what, bad) => {
    expect(() => dial({ port: 9, psk: { identity: bad, key: freshKey() } })).toThrow(
      expect.objectContaining({ code: 'MCBN_IDENTITY_INVALID' }),
    )
  })

  it('a wrong key is named on both sides, long before any deadline', async () => {
    const { port, failures } = await echo({ psk: { [identity]: freshKey() } })
    const error = await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
    // The server said so, by an alert: at a deadline nobody says anything.
    expect(error).toMatchObject({ code: 'MCBN_PSK_MISMATCH', kind: 'peer', alert: 'decrypt_error' })
    expect(await failureNumber(failures, 1)).toMatchObject({
      code: 'MCBN_PSK_MISMATCH',
      kind: 'peer',
    })
    expect(failures[0]?.message).toContain(`"${identity}"`)
  })

  it('an unknown identity looks like a wrong key (RFC 4279 section 2)', async () => {
    const { port, failures } = await echo({ psk: { [identity]: freshKey() } })
    const error = await failureOf(dial({ port, psk: { identity: 'nobody', key: freshKey() } }))
    expect(error).toMatchObject({ code: 'MCBN_PSK_MISMATCH', alert: 'decrypt_error' })
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_PSK_IDENTITY_UNKNOWN')
  })

  it("says unknown_psk_identity where unknownIdentity is 'alert'", async () => {
    const { port, failures } = await echo({
      psk: { [identity]: freshKey() },
      unknownIdentity: 'alert',
    })
    const error = await failureOf(dial({ port, psk: { identity: 'nobody', key: freshKey() } }))
    expect(error).toMatchObject({
      code: 'MCBN_PSK_IDENTITY_UNKNOWN',
      alert: 'unknown_psk_identity',
    })
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_PSK_IDENTITY_UNKNOWN')
    const other = await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
    expect(other).toMatchObject({ code: 'MCBN_PSK_MISMATCH', alert: 'decrypt_error' })
  })

  it('keys can be filed, forgotten and revoked while it listens', async () => {
    const key = freshKey()
    const { server, port, failures } = await echo({ psk: {} })
    const attempt = () => dial({ port, psk: { identity, key } })
    await failureOf(attempt())
    server.setPsk(identity, key)
    const first = await attempt().opened
    expect(server.deletePsk(identity)).toBe(true)
    expect(server.deletePsk(identity)).toBe(false)
    await failureOf(attempt())
    await roundTrip(first) // an open session is not touched
    server.setPsk(identity, key)
    const second = await attempt().opened
    expect(server.revoke(identity)).toBe(2)
    await Promise.all([first.closed, second.closed])
    await failureOf(attempt())
    expect(failures.filter(({ code }) => code === 'MCBN_CONNECTION_LOST')).toHaveLength(2)
    server.setPsk(identity, key)
    await attempt().opened
  })

  it('a revoked identity stays out also when a lookup knows it, and when it was being looked up', async () => {
    const key = freshKey()
    let answer: (key: Buffer) => void = () => {}
    const { server, port, failures } = await echo({
      psk: () => new Promise<Buffer>((resolve) => (answer = resolve)),
    })
    const waiting = dial({ port, handshakeTimeout: 1_500, psk: { identity, key } })
    await expect.poll(() => answer.length).toBe(1)
    expect(server.revoke(identity)).toBe(1)
    answer(key)
    await failureOf(waiting)
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_CONNECTION_LOST')
    const asked = answer
    expect((await failureOf(dial({ port, psk: { identity, key } }))).code).toBe('MCBN_PSK_MISMATCH')
    expect(answer).toBe(asked) // a revoked identity is not even asked for
  })

  it('no error shows key bytes', async () => {
    const key = randomBytes(32)
    const { port, failures } = await serve({ psk: { [identity]: freshKey() } })
    const error = await failureOf(dial({ port, psk: { identity, key } }))
    await failureNumber(failures, 1)
    for (const each of [error, failures[0] as McbnError]) {
      const shown = `${each.stack} ${JSON.stringify(each)} ${each.message}`
      expect(shown).not.toContain(key.toString('hex'))
      expect(shown).not.toContain(key.toString('latin1'))
    }
  })
})
