import { execFileSync } from 'node:child_process'
import { hkdfSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hkdfExpand, hkdfExpandLabel, hkdfExtract } from '../../src/psk/hkdf.js'
import type { PskHash } from '../../src/psk/types.js'
import { requirePeer } from '../support/peers.js'

const hex = (text: string) => Buffer.from(text, 'hex')
const run = (from: number, to: number) =>
  Buffer.from(Array.from({ length: to - from + 1 }, (_, i) => from + i))

describe('hkdf/refusals', () => {
  const prk = Buffer.alloc(32, 7)
  it.each([0, -1, 1.5, Number.NaN, 255 * 32 + 1])('refuses %d bytes of output', (length) => {
    const expand = () => hkdfExpand('sha256', prk, Buffer.alloc(0), length)
    expect(expand).toThrow(expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }))
    const label = () => hkdfExpandLabel('sha256', prk, 'tls13 ', 'x', Buffer.alloc(0), length)
    expect(label).toThrow(expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }))
  })

  it.each<[PskHash, number]>([
    ['sha256', 31],
    ['sha384', 47],
  ])('refuses a PRK shorter than %s gives (RFC 5869 section 2.3)', (hash, length) => {
    const expand = () => hkdfExpand(hash, Buffer.alloc(length, 7), Buffer.alloc(0), 16)
    expect(expand).toThrow(expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }))
  })

  it('refuses labels and contexts that do not fit their length byte (RFC 8446 section 7.1)', () => {
    const none = Buffer.alloc(0)
    const label = (text: string, context: Buffer) => () =>
      hkdfExpandLabel('sha256', prk, 'tls13 ', text, context, 32)
    expect(label('x'.repeat(249), none)).not.toThrow()
    expect(label('x'.repeat(250), none)).toThrow(/^label: expected at most 255 bytes, got 256/)
    expect(label('x', Buffer.alloc(256))).toThrow(/^context: expected at most 255 bytes, got 256/)
  })
})

describe('hkdf/RFC 5869 appendix A', () => {
  it.each([
    {
      name: 'A.1',
      ikm: Buffer.alloc(22, 0x0b),
      salt: run(0x00, 0x0c),
      info: run(0xf0, 0xf9),
      prk: '077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5',
      okm: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    },
    {
      name: 'A.2',
      ikm: run(0x00, 0x4f),
      salt: run(0x60, 0xaf),
      info: run(0xb0, 0xff),
      prk: '06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244',
      okm:
        'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09' +
        'da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
    },
    {
      name: 'A.3',
      ikm: Buffer.alloc(22, 0x0b),
      salt: Buffer.alloc(0),
      info: Buffer.alloc(0),
      prk: '19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04',
      okm: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    },
  ])('matches $name', ({ ikm, salt, info, prk, okm }) => {
    const extracted = hkdfExtract('sha256', salt, ikm)
    expect(extracted.toString('hex')).toBe(prk)
    expect(hkdfExpand('sha256', extracted, info, okm.length / 2).toString('hex')).toBe(okm)
  })
})

describe('hkdf/other implementations', () => {
  // Around every block boundary, and the longest output there is.
  const lengths: Record<PskHash, number[]> = {
    sha256: [1, 31, 32, 33, 64, 65, 255 * 32],
    sha384: [1, 47, 48, 49, 96, 97, 255 * 48],
  }
  const ikm = hex('00112233445566778899aabbccddeeff')
  const salt = Buffer.from('salt')
  const info = Buffer.from('info')

  it.each(['sha256', 'sha384'] as const)('agrees with node:crypto, %s', (hash) => {
    const prk = hkdfExtract(hash, salt, ikm)
    for (const length of lengths[hash]) {
      const theirs = Buffer.from(hkdfSync(hash, ikm, salt, info, length))
      expect(hkdfExpand(hash, prk, info, length).equals(theirs)).toBe(true)
    }
  })

  it.skipIf(!requirePeer('openssl')).each(['sha256', 'sha384'] as const)(
    'agrees with openssl kdf, %s',
    (hash) => {
      const openssl = (...args: string[]) =>
        execFileSync('openssl', ['kdf', '-binary', ...args, 'HKDF'], { maxBuffer: 1 << 20 })
      const option = (name: string, value: string | Buffer) =>
        typeof value === 'string'
          ? ['-kdfopt', `${name}:${value}`]
          : ['-kdfopt', `hex${name}:${value.toString('hex')}`]
      const digest = option('digest', hash)
      const prk = hkdfExtract(hash, salt, ikm)
      const size = String(prk.length)
      const extractOnly = option('mode', 'EXTRACT_ONLY')
      const expandOnly = option('mode', 'EXPAND_ONLY')
      expect(
        openssl(
          '-keylen',
          size,
          ...digest,
          ...extractOnly,
          ...option('key', ikm),
          ...option('salt', salt),
        ),
      ).toEqual(prk)
      for (const length of [16, 33, 100]) {
        expect(
          openssl(
            '-keylen',
            String(length),
            ...digest,
            ...expandOnly,
            ...option('key', prk),
            ...option('info', info),
          ),
        ).toEqual(hkdfExpand(hash, prk, info, length))
      }
    },
  )
})

describe('hkdf/expand label', () => {
  it('gives the early-data "derived" secret of RFC 8448 section 3', () => {
    // Early Secret with no PSK, and Derive-Secret(., "derived", "").
    const early = hkdfExtract('sha256', Buffer.alloc(0), Buffer.alloc(32))
    expect(early.toString('hex')).toBe(
      '33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a',
    )
    const emptyHash = hex('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    const derived = hkdfExpandLabel('sha256', early, 'tls13 ', 'derived', emptyHash, 32)
    expect(derived.toString('hex')).toBe(
      '6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba',
    )
  })

  it('separates TLS 1.3 from DTLS 1.3 by the prefix (RFC 9147 section 5.9)', () => {
    const secret = Buffer.alloc(32, 9)
    const tls = hkdfExpandLabel('sha256', secret, 'tls13 ', 'key', Buffer.alloc(0), 16)
    const dtls = hkdfExpandLabel('sha256', secret, 'dtls13', 'key', Buffer.alloc(0), 16)
    expect(tls.equals(dtls)).toBe(false)
  })

  it('returns memory that nobody else has', () => {
    const secret = Buffer.alloc(32, 9)
    expect(hkdfExtract('sha256', secret, secret).buffer.byteLength).toBe(32)
    expect(hkdfExpand('sha256', secret, secret, 40).buffer.byteLength).toBe(40)
  })
})
