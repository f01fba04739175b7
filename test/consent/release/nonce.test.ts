import { describe, expect, it } from 'vitest'
import { audience, releaseNonce } from '../../../src/consent/release/nonce.js'

const bytes = (value: number) => Buffer.alloc(32, value)
const input = {
  dh: bytes(1),
  role: 'client',
  label: 'bob',
  c: bytes(2),
  r: bytes(3),
  suite: '0020-0001-0002',
  pk: bytes(4),
} as const

describe('consent/release: nonce', () => {
  it('is 43 characters, the same for bytes and base64url', () => {
    expect(releaseNonce(input)).toMatch(/^[A-Za-z0-9_-]{43}$/)
    const texts = {
      ...input,
      dh: input.dh.toString('base64url'),
      c: input.c.toString('base64url'),
      r: input.r.toString('base64url'),
      pk: input.pk.toString('base64url'),
    }
    expect(releaseNonce(texts)).toBe(releaseNonce(input))
  })

  it('is another one when anything changes', () => {
    const changes = [
      { dh: bytes(9) },
      { role: 'server' as const },
      { label: 'carol' },
      { c: bytes(9) },
      { r: bytes(9) },
      { suite: '0020-0001-0001' },
      { pk: bytes(9) },
      { c: input.r, r: input.c },
    ]
    const nonces = changes.map((change) => releaseNonce({ ...input, ...change }))
    expect(new Set([...nonces, releaseNonce(input)]).size).toBe(changes.length + 1)
  })

  it('refuses bytes of another length, naming the field', () => {
    for (const field of ['dh', 'c', 'r', 'pk']) {
      for (const wrong of [Buffer.alloc(31), Buffer.alloc(33), '', 'AA', 7, undefined]) {
        expect(() => releaseNonce({ ...input, [field]: wrong })).toThrow(
          expect.objectContaining({
            code: 'MCBN_RELEASE_INVALID',
            message: expect.stringContaining(`${field}: expected 32 bytes`),
          }),
        )
      }
    }
  })

  it('goes with an audience of network and label', () => {
    expect(audience('net', 'bob')).toBe('mcbn://net/bob')
  })
})
