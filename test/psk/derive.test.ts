import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { McbnError } from '../../src/errors.js'
import { derivePsk, KEY_PROTOCOLS, type Mcbn1Options } from '../../src/psk/derive.js'

const ALICE = '2c6f63f8c0f53a565db041b91c0a95add8913fc102670589db3982228dbfed90'
const BOB = 'b15244faf36e5e4b178d3891701d245f2e45e881d913b6c35c0ea0ac14224cc2'
const CAROL = '3e2078d5cd04beabfa4a7a1486bc626d679184df2e0a2b9942d913d4b835516c'
const bytes = (hex: string) => Buffer.from(hex, 'hex')

const shares = () => ({ alice: bytes(ALICE), bob: bytes(BOB), carol: bytes(CAROL) })
const options: Mcbn1Options = {
  descriptorHash: createHash('sha256').update('a descriptor').digest(),
  network: 'example-net',
  epoch: 7,
  protocol: 'tls13',
}
// Frozen; computed once outside JavaScript (Python's hmac) from the protocol's formulas.
const KEY = {
  tls13: '28af17ec123b78b255c533b9fe01322ebd4bc59fb868ceeaf51baadbf15f9625',
  tls12: '5bc87b71f84ce3aef81e36dd6e48e9bf3c5199ae21344b8858cc7bc99beb608d',
  dtls12: '52202f0f8dc29b41b3f4872a7f63078bde206758413efd10a248b930f2cb6210',
  dtls13: '3281d10b3c13e1b6217574bd66fc5fd5f1ea0ddefab0f1b479b02de2dd31e5ab',
  kcv: '8e9f23c34f69361b22dca3c93d98ce390d7a6ab783ef40e9086f8209f3cf4634',
}

function refusal(run: () => unknown): McbnError {
  try {
    run()
  } catch (error) {
    if (error instanceof McbnError) return error
    throw error
  }
  throw new Error('expected a refusal, got a key')
}

describe('derive/refusals name the participant', () => {
  // [what, Bob's share, what the message must say]
  const bad: [string, unknown, RegExp][] = [
    ['31 bytes', bytes(BOB).subarray(1), /expected 32 bytes, got 31/],
    ['33 bytes', Buffer.concat([bytes(BOB), Buffer.of(1)]), /expected 32 bytes, got 33/],
    ['nothing', new Uint8Array(), /expected 32 bytes, got 0/],
    ['zeros', Buffer.alloc(32), /32 equal ones/],
    ['one byte 32 times', Buffer.alloc(32, 0xa5), /32 equal ones/],
    ["Alice's share again", bytes(ALICE), /that of alice/],
    ["Alice's share again, as text", ALICE, /that of alice/],
    ['upper case', BOB.toUpperCase(), /lower-case hex digits/],
    ['one upper-case digit', BOB.replace('f', 'F'), /upper-case letters/],
    ['a line feed at the end', `${BOB}\n`, /white space before or after/],
    ['a space in front', ` ${BOB}`, /white space before or after/],
    ['a space inside', `${BOB.slice(0, 32)} ${BOB.slice(32)}`, /white space between/],
    ['a 0x prefix', `0x${BOB}`, /0x prefix/],
    ['63 digits', BOB.slice(1), /expected 64 hex digits, got 63/],
    ['66 digits', `${BOB}00`, /expected 64 hex digits, got 66/],
    ['letters beyond f', BOB.replace('b', 'g'), /other characters/],
    ['full-width digits', BOB.replace('1', '１'), /other characters/],
    ['no text at all', '', /expected 64 hex digits, got 0/],
    ['a number', 42, /got number/],
    ['null', null, /got null/],
    ['an array', [...bytes(BOB)], /got object/],
    ['a DataView', new DataView(new ArrayBuffer(32)), /got object/],
  ]
  it.each(bad)('refuses %s', (_what, share, message) => {
    const all = { ...shares(), bob: share as Uint8Array }
    const error = refusal(() => derivePsk(all, options))
    expect(error).toMatchObject({ code: 'MCBN_SHARE_INVALID', kind: 'usage', participant: 'bob' })
    expect(error.message).toMatch(message)
    expect(error.message).toContain('share of bob')
  })

  it.each(bad)('refuses %s in the original schemes, by position', (_what, share, message) => {
    for (const scheme of ['sha256-concat', 'hmac-chain'] as const) {
      const list = [ALICE, share as string, CAROL]
      const error = refusal(() => derivePsk(list, { scheme }))
      expect(error).toMatchObject({ code: 'MCBN_SHARE_INVALID', participant: 'participant 2' })
      expect(error.message).toMatch(new RegExp(message.source.replace('alice', 'participant 1')))
    }
  })

  it.each(bad)('shows nothing of %s in message, inspect and JSON', (_what, share) => {
    const all = { ...shares(), bob: share as Uint8Array }
    const error = refusal(() => derivePsk(all, options))
    const shown = `${error.message} ${inspect(error, { depth: 9 })} ${JSON.stringify(error)}`
    for (const secret of [ALICE, BOB, CAROL]) {
      // Any eight digits in a row would already be too many.
      for (let at = 0; at + 8 <= secret.length; at += 1) {
        expect(shown.toLowerCase()).not.toContain(secret.slice(at, at + 8))
      }
    }
  })

  it.each([
    'Alice',
    '',
    '-alice',
    '.alice',
    '_alice',
    'al ice',
    'alice\n',
    'álice',
    '__proto__',
    'a'.repeat(64),
  ])('refuses the label %j', (label) => {
    // A Map: in an object literal __proto__ would not become a label at all.
    const all = new Map(Object.entries(shares()))
    all.set(label, bytes(`${'11'.repeat(31)}12`))
    const error = refusal(() => derivePsk(all, options))
    expect(error).toMatchObject({ code: 'MCBN_SHARE_INVALID', participant: label })
  })

  it.each([0, 1])('refuses %i shares: consent of one is no consent of several', (count) => {
    const few = Object.fromEntries(Object.entries(shares()).slice(0, count))
    const error = refusal(() => derivePsk(few, options))
    expect(error.code).toBe('MCBN_SHARE_INVALID')
    expect(error.message).toContain(`got ${count}`)
    const list = [ALICE].slice(0, count)
    for (const scheme of ['sha256-concat', 'hmac-chain'] as const) {
      expect(refusal(() => derivePsk(list, { scheme })).code).toBe('MCBN_SHARE_INVALID')
    }
  })
})

describe('derive/options', () => {
  it.each<[string, object, string]>([
    ['descriptorHash', { descriptorHash: Buffer.alloc(31, 1) }, 'MCBN_OPTION_RANGE'],
    ['descriptorHash', { descriptorHash: Buffer.alloc(33, 1) }, 'MCBN_OPTION_RANGE'],
    ['descriptorHash', { descriptorHash: 'ab'.repeat(32) }, 'MCBN_OPTION_TYPE'],
    ['descriptorHash', { descriptorHash: undefined }, 'MCBN_OPTION_TYPE'],
    ['network', { network: '' }, 'MCBN_OPTION_RANGE'],
    ['network', { network: 'x'.repeat(65_536) }, 'MCBN_OPTION_RANGE'],
    ['network', { network: 'caf\u0065\u0301' }, 'MCBN_OPTION_RANGE'],
    ['network', { network: '\ud800' }, 'MCBN_OPTION_RANGE'],
    ['network', { network: 5 }, 'MCBN_OPTION_TYPE'],
    ['epoch', { epoch: -1 }, 'MCBN_OPTION_RANGE'],
    ['epoch', { epoch: 2 ** 32 }, 'MCBN_OPTION_RANGE'],
    ['epoch', { epoch: 1.5 }, 'MCBN_OPTION_RANGE'],
    ['epoch', { epoch: Number.NaN }, 'MCBN_OPTION_RANGE'],
    ['epoch', { epoch: '7' }, 'MCBN_OPTION_TYPE'],
    ['epoch', { epoch: 7n }, 'MCBN_OPTION_TYPE'],
    ['protocol', { protocol: 'TLSv1.3' }, 'MCBN_OPTION_RANGE'],
    ['protocol', { protocol: undefined }, 'MCBN_OPTION_RANGE'],
    ['scheme', { scheme: 'mcbn/2' }, 'MCBN_OPTION_RANGE'],
    ['scheme', { scheme: null }, 'MCBN_OPTION_RANGE'],
  ])('refuses %s %o', (name, wrong, code) => {
    const error = refusal(() => derivePsk(shares(), { ...options, ...wrong } as Mcbn1Options))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(new RegExp(`^${name}: expected `))
  })

  it('refuses missing options and the wrong container of shares', () => {
    const derive = derivePsk as (shares: unknown, options: unknown) => Buffer
    expect(refusal(() => derive(shares(), undefined)).code).toBe('MCBN_OPTION_TYPE')
    expect(refusal(() => derive([ALICE, BOB], options)).code).toBe('MCBN_OPTION_TYPE')
    expect(refusal(() => derive(null, options)).code).toBe('MCBN_OPTION_TYPE')
    const original = { scheme: 'sha256-concat' }
    expect(refusal(() => derive(shares(), original)).code).toBe('MCBN_OPTION_TYPE')
  })

  it('refuses to pretend that an original scheme binds to a descriptor', () => {
    const all = { ...options, scheme: 'sha256-concat' } as unknown as { scheme: 'sha256-concat' }
    expect(refusal(() => derivePsk([ALICE, BOB], all)).code).toBe('MCBN_OPTION_CONFLICT')
  })

  it('takes the limits: epoch 0 and 4294967295', () => {
    const first = derivePsk(shares(), { ...options, epoch: 0 })
    const last = derivePsk(shares(), { ...options, epoch: 2 ** 32 - 1 })
    expect(first.equals(last)).toBe(false)
  })
})

/** The same derivation written down once more, from the protocol's formulas and Node's own HKDF. */
function recompute(all: Record<string, string>, o: Mcbn1Options): string {
  const lp = (field: string | Buffer) => {
    const data = Buffer.from(field)
    return Buffer.concat([Buffer.of(data.length >> 8, data.length & 255), data])
  }
  const labels = Object.keys(all).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const ikm = Buffer.concat([
    lp('mcbn/1 n-of-n'),
    Buffer.of(labels.length >> 8, labels.length & 255),
    ...labels.flatMap((label) => [lp(label), lp(bytes(all[label] ?? ''))]),
  ])
  const epoch = Buffer.from(o.epoch.toString(16).padStart(8, '0'), 'hex')
  const info = Buffer.concat([lp('mcbn/1 key'), lp(o.network), epoch, lp(o.protocol)])
  return Buffer.from(hkdfSync('sha256', ikm, o.descriptorHash, info, 32)).toString('hex')
}

describe('derive/mcbn/1', () => {
  it.each(KEY_PROTOCOLS)('gives the frozen key for %s', (protocol) => {
    expect(derivePsk(shares(), { ...options, protocol }).toString('hex')).toBe(KEY[protocol])
  })

  it.each([
    ['three participants', { alice: ALICE, bob: BOB, carol: CAROL }, {}],
    ['two participants', { alice: ALICE, bob: BOB }, {}],
    ['labels that sort by byte', { 'a.b': ALICE, a_b: BOB, 'a-b': CAROL }, {}],
    ['labels that look like numbers', { 10: ALICE, 9: BOB, 1: CAROL }, {}],
    ['a label of 63 characters', { ['z'.repeat(63)]: ALICE, bob: BOB }, {}],
    ['another epoch', { alice: ALICE, bob: BOB }, { epoch: 0xfedcba98 }],
    ['a network beyond ASCII', { alice: ALICE, bob: BOB }, { network: 'café 網' }],
    ['a zero descriptor hash', { alice: ALICE, bob: BOB }, { descriptorHash: Buffer.alloc(32) }],
  ])('agrees with an independent computation: %s', (_what, all, change) => {
    const changed = { ...options, ...change }
    expect(derivePsk(all, changed).toString('hex')).toBe(recompute(all, changed))
  })

  it('gives the same key in any order, from objects, Maps, bytes and hex', () => {
    const { alice, bob, carol } = shares()
    const forms = [
      { carol, alice, bob },
      { bob: BOB, carol: CAROL, alice: ALICE },
      new Map([
        ['carol', carol],
        ['bob', bob],
        ['alice', alice],
      ]),
      { alice: new Uint8Array(alice), bob, carol: CAROL },
    ]
    for (const form of forms) expect(derivePsk(form, options).toString('hex')).toBe(KEY.tls13)
    expect(derivePsk(shares(), { ...options, scheme: 'mcbn/1' }).toString('hex')).toBe(KEY.tls13)
  })

  it('gives another key when anything at all differs', () => {
    const dh = Buffer.from(options.descriptorHash)
    dh[31] = (dh[31] ?? 0) ^ 1
    const carol = bytes(CAROL)
    carol[0] = (carol[0] ?? 0) ^ 0x80
    const keys = [
      ...KEY_PROTOCOLS.map((protocol) => derivePsk(shares(), { ...options, protocol })),
      derivePsk(shares(), { ...options, network: 'example-nets' }),
      derivePsk(shares(), { ...options, epoch: 8 }),
      derivePsk(shares(), { ...options, descriptorHash: dh }),
      derivePsk({ ...shares(), carol }, options),
      derivePsk({ alice: ALICE, bob: BOB }, options),
      derivePsk({ alice: BOB, bob: ALICE, carol: CAROL }, options),
      derivePsk({ alice: ALICE, bob: BOB, dave: CAROL }, options),
    ].map((key) => key.toString('hex'))
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('leaves the shares alone and returns memory that nobody else has', () => {
    const given = shares()
    const key = derivePsk(given, options)
    expect(given).toEqual(shares())
    expect(key.buffer.byteLength).toBe(32)
    key.fill(0)
    expect(derivePsk(given, options).toString('hex')).toBe(KEY.tls13)
  })
})

describe('derive/original schemes', () => {
  it.each([
    ['sha256-concat', '6d1bbd1e6235c9d9ec8cdbdf9b32d4d08304a7f305f7c6c67775130d914f4dc4'],
    ['hmac-chain', '2b6c5604e7b5a3a9832ec2590fd058d610807cee2f3e87bb08dafbb57475d976'],
  ] as const)('%s gives the published key from text, bytes and both', (scheme, key) => {
    for (const list of [
      [ALICE, BOB, CAROL],
      [bytes(ALICE), bytes(BOB), bytes(CAROL)],
      [ALICE, bytes(BOB), CAROL],
    ]) {
      expect(derivePsk(list, { scheme }).toString('hex')).toBe(key)
    }
  })

  it('depends on the order', () => {
    for (const scheme of ['sha256-concat', 'hmac-chain'] as const) {
      const one = derivePsk([ALICE, BOB, CAROL], { scheme })
      expect(one.equals(derivePsk([BOB, ALICE, CAROL], { scheme }))).toBe(false)
    }
  })

  it('hmac-chain keys with the hex text, not with the bytes', () => {
    const link = createHmac('sha256', BOB).update(ALICE).digest('hex')
    expect(derivePsk([ALICE, BOB], { scheme: 'hmac-chain' }).toString('hex')).toBe(link)
  })

  it('returns memory that nobody else has', () => {
    for (const scheme of ['sha256-concat', 'hmac-chain'] as const) {
      expect(derivePsk([ALICE, BOB], { scheme }).buffer.byteLength).toBe(32)
    }
  })
})
