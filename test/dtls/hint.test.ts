// A client that chooses its key by the server's identity hint (RFC 4279 section 5.2).

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/dtls/index.js'
import type { PskClientLookup } from '../../src/psk/types.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { dial, dialOpen, echo, failureOf, freshKey, identity, roundTrip } from './support.js'

describe('dtls/psk function of a client', () => {
  it.each(['at once', 'later'])('gets the hint and may answer %s', async (when) => {
    const key = freshKey()
    const hints: (string | undefined)[] = []
    const { port } = await echo({ psk: { [identity]: key }, pskIdentityHint: 'vault 7' })
    const psk: PskClientLookup = (hint) => {
      hints.push(hint)
      const credential = { identity, key }
      return when === 'later' ? sleep(20, credential) : credential
    }
    const client = await dialOpen({ port, psk })
    expect(hints).toEqual(['vault 7'])
    expect(client.pskIdentity).toEqual(Buffer.from(identity))
    await roundTrip(client)
  })

  it('gets undefined when the server has no hint, and is asked once', async () => {
    const key = freshKey()
    const hints: (string | undefined)[] = []
    const { port } = await echo({ psk: { [identity]: key } })
    const psk: PskClientLookup = (hint) => {
      hints.push(hint)
      return { identity, key }
    }
    await dialOpen({ port, psk })
    expect(hints).toEqual([undefined])
  })

  it('carries hints of 256 bytes and of UTF-8; longer ones are refused by the server', async () => {
    const key = freshKey()
    for (const hint of ['h'.repeat(256), 'Tresor Zürich ✓']) {
      const { port } = await echo({ psk: { [identity]: key }, pskIdentityHint: hint })
      let seen: string | undefined
      const psk: PskClientLookup = (given) => {
        seen = given
        return { identity, key }
      }
      await dialOpen({ port, psk })
      expect(seen).toBe(hint)
    }
    for (const pskIdentityHint of ['h'.repeat(257), 'a\0b']) {
      expect(() => createServer({ psk: {}, pskIdentityHint })).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
      )
    }
  })

  it('with a hint, clients that have one credential connect as well', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key }, pskIdentityHint: 'vault 7' })
    await roundTrip(await dialOpen({ port, psk: { identity, key } }))
  })

  it('that throws, rejects or has nothing fails with MCBN_LOOKUP_FAILED', async () => {
    const mine = new Error('no key ring')
    const { port } = await echo({ psk: { [identity]: freshKey() } })
    const functions: [PskClientLookup, unknown][] = [
      [
        () => {
          throw mine
        },
        mine,
      ],
      [() => Promise.reject(mine), mine],
      [() => sleep(5).then(() => Promise.reject(mine)), mine],
      [() => null, undefined],
      [() => sleep(5, null), undefined],
    ]
    for (const [psk, cause] of functions) {
      const error = await failureOf(dial({ port, psk }))
      expect(error).toMatchObject({ code: 'MCBN_LOOKUP_FAILED', kind: 'lookup' })
      expect(error.cause).toBe(cause)
    }
  })

  it.each([
    42,
    'text',
    {},
    { identity: 'x' },
    { identity: '', key: Buffer.alloc(32, 1) },
    { identity: 'a\0b', key: Buffer.alloc(32, 1) },
    { identity: 'x', key: Buffer.alloc(32) },
    { identity: 'x', key: Buffer.alloc(15, 1) },
  ])('that answers nonsense (%#) fails, at once and later', async (answer) => {
    const { port } = await echo({ psk: { [identity]: freshKey() } })
    for (const psk of [() => answer, () => sleep(2, answer)]) {
      const error = await failureOf(dial({ port, psk: psk as never }))
      expect(['MCBN_LOOKUP_FAILED', 'MCBN_IDENTITY_INVALID']).toContain(error.code)
    }
  })

  it('that takes too long fails with MCBN_LOOKUP_TIMEOUT', async () => {
    const { port } = await echo({ psk: { [identity]: freshKey() } })
    const psk = () => new Promise<never>(() => {})
    const error = await failureOf(dial({ port, lookupTimeout: 40, psk }))
    expect(error.code).toBe('MCBN_LOOKUP_TIMEOUT')
  })

  it('that answers after the socket was destroyed changes nothing', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    let answered = false
    const socket = dial({
      port,
      psk: async () => {
        socket.destroy()
        await sleep(20)
        answered = true
        return { identity, key }
      },
    })
    await socket.closed
    await expect.poll(() => answered).toBe(true)
    expect(server.stats.handshakesCompleted).toBe(0)
  })

  it('a raw client without a psk function sees the hint in a ServerKeyExchange', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key }, pskIdentityHint: 'vault 7' })
    const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
    await peer.open()
    const exchange = peer.received.find(({ type, fragment }) => type === 22 && fragment[0] === 12)
    expect(exchange?.fragment.subarray(12)).toEqual(Buffer.from('\0\x07vault 7'))
  })
})
