import { createHash, hkdfSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type ImportPskOptions, importPsk } from '../../src/psk/importer.js'

const base: ImportPskOptions = {
  key: Buffer.from('ABCD'.repeat(8)),
  identity: 'psk1',
  context: 'context1',
  targetProtocol: 'TLSv1.3',
  targetKdf: 'sha256',
}
const run = (change: object) => () => importPsk({ ...base, ...change } as ImportPskOptions)

describe('import/refusals', () => {
  it.each<[string, object, string]>([
    ['a key of 15 bytes', { key: Buffer.alloc(15, 1) }, 'MCBN_KEY_INVALID'],
    ['a key of zeros', { key: Buffer.alloc(32) }, 'MCBN_KEY_INVALID'],
    ['a key as text', { key: 'ABCD'.repeat(8) }, 'MCBN_KEY_INVALID'],
    ['an empty identity (RFC 9258 section 5.1)', { identity: '' }, 'MCBN_IDENTITY_INVALID'],
    ['a lone surrogate as identity', { identity: '\ud800' }, 'MCBN_IDENTITY_INVALID'],
    ['an identity of 65,536 bytes', { identity: 'x'.repeat(65_536) }, 'MCBN_IDENTITY_INVALID'],
    ['more than 65,535 bytes in all', { identity: 'x'.repeat(65_520) }, 'MCBN_OPTION_RANGE'],
    ['a context that is not a text', { context: 5 }, 'MCBN_OPTION_TYPE'],
    ['a lone surrogate as context', { context: '\udfff' }, 'MCBN_OPTION_RANGE'],
    ['TLS 1.2 (RFC 9258 section 5.1)', { targetProtocol: 'TLSv1.2' }, 'MCBN_OPTION_RANGE'],
    ['no protocol', { targetProtocol: undefined }, 'MCBN_OPTION_RANGE'],
    ['an inherited name as protocol', { targetProtocol: 'toString' }, 'MCBN_OPTION_RANGE'],
    ['an unknown target hash', { targetKdf: 'sha512' }, 'MCBN_OPTION_RANGE'],
    ['an unknown own hash', { hash: 'md5' }, 'MCBN_OPTION_RANGE'],
  ])('refuses %s', (_what, change, code) => {
    expect(run(change)).toThrow(expect.objectContaining({ code }))
  })

  it('takes exactly 65,535 bytes in all', () => {
    const { identity } = run({ identity: 'x'.repeat(65_519) })()
    expect(identity.length).toBe(65_535)
  })
})

describe('import/RFC 9258 section 5.1', () => {
  const long = 'EFGH'.repeat(12)
  it.each([
    [{}, '77cfa040c1e1ca63f0cd989dbefb28f5129625b08ce4f258bb825a9b0a4642a0'],
    [
      { targetKdf: 'sha384' },
      '3cb0eb3c10863c51a674df9f7b5900b47aa9353ba35c475b7ff6ad53f868ea97ee896b7b54460853340f699b91949d8d',
    ],
    [{ context: '' }, 'f38b065c368f79497cd9b2615d047e3415b62ce43b7eb6e1d0474cb5636fedb0'],
    [
      { key: Buffer.from('IJKL'.repeat(8)), identity: 'psk3', context: 'context3' },
      '64d6ffd17c8eb3a64558008681b2f7e5a338963a25c7d1c75f4f72196159db02',
    ],
    [
      { key: Buffer.from(long), identity: 'psk2', context: 'context2', hash: 'sha384' },
      '02b3e806e32d41ebbd4ea0dc49c4a448c186df3e161e1f68bec1889e84fc4fcd',
    ],
    [
      {
        ...{ key: Buffer.from(long), identity: 'psk2', context: 'context2', hash: 'sha384' },
        targetKdf: 'sha384',
      },
      'fbc3670da40a25dfbe8132b2840a412a7fb3a93846c3111ee45609fe68b70d5c9dfabdfdb3268a52a604de3c33b65f1d',
    ],
  ])("gives the keys of Botan's published vectors (%j)", (change, expected) => {
    expect(run(change)().key.toString('hex')).toBe(expected)
  })

  it('says for what the key is', () => {
    expect(importPsk(base)).toMatchObject({ hash: 'sha256' })
    expect(importPsk(base)).not.toHaveProperty('imported')
    const newer = { ...base, targetProtocol: 'DTLSv1.3', targetKdf: 'sha384' } as const
    expect(importPsk(newer)).toMatchObject({ hash: 'sha384', imported: true })
  })

  it.each([
    ['TLSv1.3', 'sha256', '03040001'],
    ['TLSv1.3', 'sha384', '03040002'],
    ['DTLSv1.3', 'sha256', 'fefc0001'],
    ['DTLSv1.3', 'sha384', 'fefc0002'],
  ] as const)('serializes the ImportedIdentity for %s, %s', (targetProtocol, targetKdf, tail) => {
    const { identity } = importPsk({ ...base, targetProtocol, targetKdf })
    const lengths = `0004${Buffer.from('psk1').toString('hex')}0008${Buffer.from('context1').toString('hex')}`
    expect(identity.toString('hex')).toBe(lengths + tail)
  })

  it.each([
    {
      targetProtocol: 'TLSv1.3',
      targetKdf: 'sha256',
      hash: 'sha256',
      prefix: 'tls13 ',
      length: 32,
    },
    {
      targetProtocol: 'TLSv1.3',
      targetKdf: 'sha384',
      hash: 'sha256',
      prefix: 'tls13 ',
      length: 48,
    },
    {
      targetProtocol: 'TLSv1.3',
      targetKdf: 'sha256',
      hash: 'sha384',
      prefix: 'tls13 ',
      length: 32,
    },
    {
      targetProtocol: 'TLSv1.3',
      targetKdf: 'sha384',
      hash: 'sha384',
      prefix: 'tls13 ',
      length: 48,
    },
    {
      targetProtocol: 'DTLSv1.3',
      targetKdf: 'sha256',
      hash: 'sha256',
      prefix: 'dtls13',
      length: 32,
    },
  ] as const)(
    'agrees with an independent computation: $targetProtocol, $targetKdf from $hash',
    ({ prefix, length, ...change }) => {
      const { key, identity } = importPsk({ ...base, ...change })
      const digest = createHash(change.hash).update(identity).digest()
      const label = Buffer.concat([
        Buffer.of(0, length, 17),
        Buffer.from(`${prefix}derived psk`),
        Buffer.of(digest.length),
        digest,
      ])
      const salt = Buffer.alloc(digest.length)
      expect(key).toEqual(Buffer.from(hkdfSync(change.hash, base.key, salt, label, length)))
    },
  )

  // The handshake of DTLS 1.3 imports by itself: test/native/dtls13_key_schedule_test.cc has the same.
  it.each([
    ['sha256', 'sha256', '1e4a15c8fecc0bdac69cd02f12ca50ef7f7f4872c16e05f403383cac4761e15a'],
    ['sha256', 'sha384', 'de278da3eab088579ec356594b6de20d69019a51b0985d28516318e53d0a58fb'],
    [
      'sha384',
      'sha256',
      '9289cc986cc806911b8e67f509e3edcddc0fea46ea2c626e172447e28bcd0c532fe1f83e6115348a71df76c75c693f59',
    ],
    [
      'sha384',
      'sha384',
      'a4394301c129709ba7bcee24df8d855517f2e35b5f59c42180aac62014b63d2b7e439c6e0d249d071d89d4d060f7db15',
    ],
  ] as const)("gives the addon's key for DTLS 1.3, %s from %s", (targetKdf, hash, key) => {
    const imported = importPsk({ ...base, targetProtocol: 'DTLSv1.3', targetKdf, hash })
    expect(imported.key.toString('hex')).toBe(key)
  })

  it('takes bytes for text, and no context for an empty one', () => {
    const asBytes = { identity: Buffer.from('psk1'), context: Buffer.from('context1') }
    expect(run(asBytes)()).toEqual(importPsk(base))
    const { context: _, ...without } = base
    expect(importPsk(without)).toEqual(run({ context: '' })())
  })

  it('gives another key for every identity, context, protocol and hash', () => {
    const keys = [
      {},
      { identity: 'psk2' },
      { context: 'context2' },
      { identity: 'psk1context', context: '1' },
      { targetProtocol: 'DTLSv1.3' },
      { targetKdf: 'sha384' },
      { hash: 'sha384' },
    ].map((change) => run(change)().key.toString('hex').slice(0, 64))
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('leaves the key alone and returns memory that nobody else has', () => {
    const key = Buffer.from('ABCD'.repeat(8))
    const imported = importPsk({ ...base, key })
    expect(key.toString()).toBe('ABCD'.repeat(8))
    expect(imported.key.buffer.byteLength).toBe(32)
  })
})
