import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import {
  exportPrivate,
  generateParticipantKeys,
  importPrivate,
  isEd25519PublicKey,
  isX25519PublicKey,
  publicKeys,
  sign,
  verifySignature,
} from '../../../src/consent/base/keys.js'
import { lengthPrefixed } from '../../../src/psk/encoding.js'
import { run, typescript } from '../../support/process.js'

const keys = generateParticipantKeys()
const own = publicKeys(keys)
const part = Buffer.from('part')

/** 32 little-endian bytes. */
function littleEndian(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()
}

describe('consent/keys', () => {
  it('gives back through seeds the keys they were', () => {
    const seeds = exportPrivate(keys)
    expect(seeds.ed25519).toHaveLength(32)
    expect(seeds.x25519).toHaveLength(32)
    const again = importPrivate(seeds)
    expect(publicKeys(again)).toEqual(own)
    expect(exportPrivate(again)).toEqual(seeds)
  })

  it('borrows the seeds: wiping them later changes no key', () => {
    const seeds = exportPrivate(keys)
    const again = importPrivate(seeds)
    seeds.ed25519.fill(0)
    seeds.x25519.fill(0)
    expect(publicKeys(again)).toEqual(own)
  })

  it('keeps exported seeds out of the shared pool', () => {
    expect(exportPrivate(keys).ed25519.buffer.byteLength).toBe(32)
  })

  it('matches RFC 8032 section 7.1, test 1', () => {
    const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'
    const known = importPrivate({ ...exportPrivate(keys), ed25519: Buffer.from(seed, 'hex') })
    expect(Buffer.from(publicKeys(known).ed25519, 'base64url').toString('hex')).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    )
  })

  it("matches RFC 7748 section 6.1, Alice's key", () => {
    const seed = '77076d0a7318a57d3c16c17251b26645df4c2f92ebc099ac7f9ee32bf27c1c0d' // gitleaks:allow
    const known = importPrivate({ ...exportPrivate(keys), x25519: Buffer.from(seed, 'hex') })
    expect(known.x25519.asymmetricKeyType).toBe('x25519')
  })

  it.each([
    ['31 bytes', Buffer.alloc(31, 1), 'got 31'],
    ['33 bytes', Buffer.alloc(33, 1), 'got 33'],
    ['equal bytes', Buffer.alloc(32, 7), '32 equal ones'],
    ['text', 'x'.repeat(32), 'got string'],
  ])('refuses a seed of %s', (_, seed, message) => {
    const seeds = { ...exportPrivate(keys), x25519: seed as Buffer }
    expect(() => importPrivate(seeds)).toThrow(
      expect.objectContaining({
        code: 'MCBN_KEY_INVALID',
        message: expect.stringContaining(message),
      }),
    )
  })

  it('refuses keys of another kind', () => {
    const swapped = { ed25519: keys.x25519, x25519: keys.ed25519 }
    const halves = { ...keys, ed25519: createPublicKey(keys.ed25519) }
    const rsa = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    for (const wrong of [swapped, halves, { ...keys, x25519: rsa }, { ...keys, ed25519: 'key' }]) {
      expect(() => publicKeys(wrong as typeof keys)).toThrow(
        expect.objectContaining({ code: 'MCBN_KEY_INVALID' }),
      )
      expect(() => exportPrivate(wrong as typeof keys)).toThrow(
        expect.objectContaining({ code: 'MCBN_KEY_INVALID' }),
      )
    }
  })

  it('shows nothing of private keys in inspect or JSON', () => {
    const seeds = exportPrivate(keys)
    const shown = inspect(keys, { depth: 9, showHidden: true }) + JSON.stringify(keys)
    for (const seed of [seeds.ed25519, seeds.x25519]) {
      expect(shown).not.toContain(seed.toString('hex'))
      expect(shown).not.toContain(seed.toString('base64url'))
    }
  })
})

describe('consent/keys: signatures', () => {
  const signature = sign(keys.ed25519, 'mcbn/1 sign test', part)
  const verify = (overrides: { key?: unknown; purpose?: string; signature?: unknown } = {}) => {
    const given = { key: own.ed25519, purpose: 'mcbn/1 sign test', signature, ...overrides }
    return verifySignature(given.key as string, given.purpose, [part], given.signature as Buffer)
  }

  it('verify as bytes and as base64url', () => {
    expect(signature).toHaveLength(64)
    expect(verify()).toBe(true)
    expect(verify({ signature: signature.toString('base64url') })).toBe(true)
  })

  it('are Ed25519 over lp(purpose) || parts', () => {
    const message = Buffer.concat([lengthPrefixed('mcbn/1 sign test'), part])
    expect(ed25519.verify(signature, message, Buffer.from(own.ed25519, 'base64url'))).toBe(true)
  })

  it('are good for one purpose, one content and one key', () => {
    expect(verify({ purpose: 'mcbn/1 sign other' })).toBe(false)
    expect(verifySignature(own.ed25519, 'mcbn/1 sign test', [part, part], signature)).toBe(false)
    expect(verify({ key: publicKeys(generateParticipantKeys()).ed25519 })).toBe(false)
  })

  it('tell a purpose from the start of the content', () => {
    const other = sign(keys.ed25519, 'mcbn/1 sign testp', Buffer.from('art'))
    expect(verify({ signature: other })).toBe(false)
  })

  it('never throw on what cannot be one', () => {
    const wrong = ['', 'x', own.x25519, null, 7, {}, Buffer.alloc(63), Buffer.alloc(64, 255)]
    for (const value of wrong) {
      expect(verify({ signature: value })).toBe(false)
      expect(verify({ key: value })).toBe(false)
    }
    expect(verify({ signature: `${signature.toString('base64url')}=` })).toBe(false)
  })

  it('refuse S + L, the same signature in other bytes (RFC 8032 section 5.1.7)', () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`)
    const altered = Buffer.concat([signature.subarray(0, 32), littleEndian(s + order)])
    expect(verify({ signature: altered })).toBe(false)
  })

  it('refuse a public key of low order, under which one signature fits any message', () => {
    // The identity as key and as R, with S = 0: every message satisfies the equation.
    const identity = Buffer.alloc(32)
    identity[0] = 1
    const forged = Buffer.concat([identity, Buffer.alloc(32)])
    const key = identity.toString('base64url')
    for (const text of ['one', 'two', 'three']) {
      expect(verifySignature(key, 'mcbn/1 sign test', [Buffer.from(text)], forged)).toBe(false)
    }
  })

  it('need an Ed25519 private key', () => {
    expect(() => sign(keys.x25519, 'mcbn/1 sign test')).toThrow(
      expect.objectContaining({ code: 'MCBN_KEY_INVALID' }),
    )
  })
})

describe('consent/keys: public keys', () => {
  const prime = 2n ** 255n - 19n
  const order8 = [
    325606250916557431795983626356110631294008115727848805560023387167927233504n,
    39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  ]

  it('accepts what it generates', () => {
    for (let round = 0; round < 20; round += 1) {
      const generated = publicKeys(generateParticipantKeys())
      expect(isEd25519PublicKey(Buffer.from(generated.ed25519, 'base64url'))).toBe(true)
      expect(isX25519PublicKey(Buffer.from(generated.x25519, 'base64url'))).toBe(true)
    }
  })

  it.each([0n, 1n, prime - 1n, ...order8])('refuses X25519 %s, as OpenSSL does', (u) => {
    const spki = Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), littleEndian(u)])
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    expect(() => diffieHellman({ privateKey: keys.x25519, publicKey })).toThrow()
    expect(isX25519PublicKey(littleEndian(u))).toBe(false)
  })

  it('refuses X25519 keys in another than their one encoding', () => {
    expect(isX25519PublicKey(littleEndian(9n))).toBe(true)
    for (const u of [prime, prime + 1n, prime + 9n, 2n ** 255n - 1n, 2n ** 255n + 9n]) {
      expect(isX25519PublicKey(littleEndian(u))).toBe(false)
    }
    expect(isX25519PublicKey(Buffer.alloc(31, 9))).toBe(false)
    expect(isX25519PublicKey(Buffer.alloc(33, 9))).toBe(false)
    expect(isX25519PublicKey(Buffer.alloc(0))).toBe(false)
  })

  it('refuses Ed25519 keys that are no point, of low order, or not canonical', () => {
    const small = [
      '0100000000000000000000000000000000000000000000000000000000000000',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
      '0000000000000000000000000000000000000000000000000000000000000000',
      '0000000000000000000000000000000000000000000000000000000000000080',
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    ]
    const notCanonical = ['eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f']
    const noPoint = ['0200000000000000000000000000000000000000000000000000000000000000']
    for (const text of [...small, ...notCanonical, ...noPoint]) {
      expect(isEd25519PublicKey(Buffer.from(text, 'hex'))).toBe(false)
    }
    expect(isEd25519PublicKey(Buffer.alloc(31, 1))).toBe(false)
  })

  it('reads private keys made elsewhere', () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' })
    const mixed = { ...keys, ed25519: createPrivateKey(pem) }
    expect(publicKeys(importPrivate(exportPrivate(mixed)))).toEqual(publicKeys(mixed))
  })
})

// What generateKeyPair() leaves behind is collected as garbage at any time, also while a key is shown.
describe('consent/keys made in this process', () => {
  it('are shown without ever standing still, however often garbage is collected', async () => {
    const program = fileURLToPath(new URL('key-maker.ts', import.meta.url))
    // The smallest room for what is young.
    const args = ['--max-semi-space-size=1', ...typescript(program)]
    const makers = await Promise.all(Array.from({ length: 3 }, () => run(process.execPath, args)))
    for (const maker of makers) expect(maker.stdout, maker.report()).toBe('done\n')
  })
})
