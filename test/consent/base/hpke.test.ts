// RFC 9180, base mode. The vectors are the RFC's; the library `hpke` is the other side of each message.

import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke'
import { describe, expect, it } from 'vitest'
import { HpkeOpenError, hpkeOpen, hpkeSeal } from '../../../src/consent/base/hpke.js'
import { x25519PublicHalf } from '../../../src/consent/base/keys.js'
import { nativeSealHpke } from '../../../src/native/hpke.js'

const hex = (text: string) => Buffer.from(text, 'hex')
const secretKey = (seed: string) =>
  createPrivateKey({
    key: Buffer.concat([hex('302e020100300506032b656e04220420'), hex(seed)]),
    format: 'der',
    type: 'pkcs8',
  })

/** Appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode. */
const VECTOR = {
  info: hex('4f6465206f6e2061204772656369616e2055726e'),
  skE: secretKey('52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736'),
  skR: secretKey('4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8'),
  pkR: hex('3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d'),
  enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
  plaintext: hex('4265617574792069732074727574682c20747275746820626561757479'),
  aad: hex('436f756e742d30'),
  ciphertext:
    'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
  exports: [
    ['', '3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee'],
    ['\0', '2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5'],
    ['TestContext', 'e9e43065102c3836401bed8c3c3c75ae46be1639869391d62c61f1ec7af54931'],
  ],
} as const
const aead = { name: 'aes-128-gcm', id: 1, keyBytes: 16 } as const

const library = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_256_GCM)

function receiver() {
  const { privateKey } = generateKeyPairSync('x25519')
  return { privateKey, publicKey: x25519PublicHalf(privateKey) }
}

describe('consent/hpke', () => {
  it('seals, opens and exports as RFC 9180 appendix A.1.1 does', () => {
    const { info, aad, pkR, skR, skE, plaintext, exports } = VECTOR
    const context = { info, aad, exports: exports.map(([about]) => about) }
    const sealed = hpkeSeal(pkR, plaintext, context, { ephemeral: skE, aead })
    expect(sealed.enc.toString('hex')).toBe(VECTOR.enc)
    expect(sealed.ciphertext.toString('hex')).toBe(VECTOR.ciphertext)
    const opened = hpkeOpen(skR, pkR, sealed, context, { aead })
    expect(opened.plaintext).toEqual(plaintext)
    for (const { exported } of [sealed, opened]) {
      expect(exported.map((secret) => secret.toString('hex'))).toEqual(
        exports.map(([, secret]) => secret),
      )
    }
  })

  // The addon's sealing, and node:crypto's.
  it.each([
    ['the addon', undefined],
    ['node:crypto', {}],
  ])('opens what the library seals, and seals with %s what it opens', async (_, by) => {
    expect(nativeSealHpke()).toBeTypeOf('function')
    for (const length of [0, 1, 32, 96, 1000]) {
      const message = randomBytes(length)
      const context = { info: randomBytes(length), aad: randomBytes(7) }
      const own = receiver()
      const theirs = await library.Seal(
        await library.DeserializePublicKey(own.publicKey),
        message,
        context,
      )
      const sealed = { enc: theirs.encapsulatedSecret, ciphertext: theirs.ciphertext }
      expect(hpkeOpen(own.privateKey, own.publicKey, sealed, context).plaintext).toEqual(message)

      const pair = await library.GenerateKeyPair(false)
      const pk = await library.SerializePublicKey(pair.publicKey)
      const ours = hpkeSeal(pk, message, context, by)
      const opened = await library.Open(pair, ours.enc, ours.ciphertext, context)
      expect(Buffer.from(opened)).toEqual(message)
    }
  })

  it('exports with the addon what the receiver exports, each purpose apart (section 5.3)', () => {
    const { privateKey, publicKey } = receiver()
    const exports = ['', 'a', 'ü'.repeat(300)]
    const context = { info: Buffer.from('about'), aad: Buffer.from('beside'), exports }
    const sealed = hpkeSeal(publicKey, Buffer.from('words'), context)
    const opened = hpkeOpen(privateKey, publicKey, sealed, context)
    expect(opened.plaintext.toString()).toBe('words')
    expect(sealed.exported).toEqual(opened.exported)
    expect(new Set(sealed.exported.map((secret) => secret.toString('hex'))).size).toBe(3)
    expect(sealed.exported.every(({ length }) => length === 32)).toBe(true)
  })

  it.each([
    ['of low order', Buffer.alloc(32)],
    ['short', Buffer.alloc(31, 9)],
    ['long', Buffer.alloc(33, 9)],
    ['none', Buffer.alloc(0)],
  ])('seals to no key that is %s', (_, key) => {
    const about = { info: Buffer.alloc(0) }
    expect(() => hpkeSeal(key, Buffer.from('words'), about)).toThrow()
    expect(() => hpkeSeal(key, Buffer.from('words'), about, {})).toThrow()
  })

  it('refuses every single bit that was turned, a short message and another context', () => {
    const { privateKey, publicKey } = receiver()
    const info = Buffer.from('about')
    const aad = Buffer.from('beside')
    const { enc, ciphertext } = hpkeSeal(publicKey, Buffer.from('words'), { info, aad })
    const open = (changed: object, context: object = {}) =>
      hpkeOpen(privateKey, publicKey, { enc, ciphertext, ...changed }, { info, aad, ...context })
    expect(open({}).plaintext.toString()).toBe('words')
    for (const [name, bytes] of Object.entries({ enc, ciphertext })) {
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        const turned = Buffer.from(bytes)
        turned.writeUInt8((turned[bit >> 3] as number) ^ (1 << (bit & 7)), bit >> 3)
        expect(() => open({ [name]: turned })).toThrow(HpkeOpenError)
      }
    }
    for (const length of [0, 15, 16, 20]) {
      expect(() => open({ ciphertext: ciphertext.subarray(0, length) })).toThrow(HpkeOpenError)
    }
    expect(() => open({}, { info: Buffer.from('abouT') })).toThrow(HpkeOpenError)
    expect(() => open({}, { aad: Buffer.alloc(0) })).toThrow(HpkeOpenError)
  })

  it('refuses an encapsulated key of low order (section 7.1.4), or of another length', () => {
    const { privateKey, publicKey } = receiver()
    const ciphertext = Buffer.alloc(16)
    const one = Buffer.alloc(32)
    one[0] = 1
    for (const enc of [Buffer.alloc(32), one, Buffer.alloc(31), Buffer.alloc(33, 7)]) {
      expect(() =>
        hpkeOpen(privateKey, publicKey, { enc, ciphertext }, { info: Buffer.alloc(0) }),
      ).toThrow(HpkeOpenError)
    }
  })
})
