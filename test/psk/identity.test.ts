import { describe, expect, it } from 'vitest'
import { hasNul, identityBytes, identityText, refuseUnsendable } from '../../src/psk/identity.js'

const invalid = expect.objectContaining({ code: 'MCBN_IDENTITY_INVALID', kind: 'usage' })

describe('identity/refusals', () => {
  it.each([
    ['the empty string (RFC 8446 section 4.2.11)', ''],
    ['no bytes', new Uint8Array()],
    ['257 bytes', Buffer.alloc(257, 0x61)],
    ['257 characters', 'a'.repeat(257)],
    ['86 characters of three bytes each', '網'.repeat(86)],
    ['a high surrogate alone', 'a\ud83d'],
    ['a low surrogate alone', '\ude00a'],
    ['surrogates in the wrong order', '\ude00\ud83d'],
    ['null', null],
    ['a number', 5],
    ['an ArrayBuffer', new ArrayBuffer(8)],
  ])('refuses %s', (_what, identity) => {
    expect(() => identityBytes(identity as string)).toThrow(invalid)
  })

  it('never truncates: the message says how long it was', () => {
    expect(() => identityBytes('網'.repeat(86))).toThrow('expected 1 to 256 bytes, got 258')
  })

  it.each(['TLSv1.2', 'DTLSv1.2'] as const)('refuses NUL for a %s client', (protocol) => {
    for (const [identity, at] of [
      ['\0', 0],
      ['a\0b', 1],
      ['ab\0', 2],
    ] as const) {
      const bytes = identityBytes(identity)
      expect(hasNul(bytes)).toBe(true)
      expect(() => refuseUnsendable(bytes, protocol)).toThrow(invalid)
      expect(() => refuseUnsendable(bytes, protocol)).toThrow(`at offset ${at}`)
    }
    expect(() => refuseUnsendable(Buffer.from('ab'), protocol)).not.toThrow()
  })
})

describe('identity/bytes', () => {
  it.each([
    ['ASCII', 'Client1', '436c69656e7431'],
    ['UTF-8 (RFC 4279 section 5.1)', 'é網😀', 'c3a9e7b6b2f09f9880'],
    ['a NUL, for TLS 1.3', 'a\0b', '610062'],
    ['bytes that are no UTF-8', Buffer.of(0xff, 0x00, 0xfe), 'ff00fe'],
    ['what looks like a byte order mark', '\ufeffa', 'efbbbf61'],
  ])('takes %s', (_what, identity, hex) => {
    expect(identityBytes(identity).toString('hex')).toBe(hex)
  })

  it('takes 256 bytes', () => {
    expect(identityBytes('a'.repeat(256)).length).toBe(256)
    expect(identityBytes(Buffer.alloc(256)).length).toBe(256)
  })

  it('copies', () => {
    const given = Buffer.from('Client1')
    const copy = identityBytes(given)
    given.fill(0x78)
    expect(copy.toString()).toBe('Client1')
  })

  it('reads well-formed text back, and shows U+FFFD for the rest', () => {
    for (const text of ['Client1', 'é網😀', 'a\0b', '\ufeffa']) {
      expect(identityText(identityBytes(text))).toBe(text)
    }
    expect(identityText(Buffer.of(0x61, 0xff))).toBe('a\ufffd')
    expect(identityText(Buffer.from('xClient1x').subarray(1, 8))).toBe('Client1')
  })
})
