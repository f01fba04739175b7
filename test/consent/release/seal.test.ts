// Cross-checked with @hpke/core, another implementation of RFC 9180: each opens what the other sealed.

import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { DhkemX25519HkdfSha256 } from '@hpke/dhkem-x25519'
import { describe, expect, it } from 'vitest'
import { generateReceiver, sealShare, tokenHash } from '../../../src/consent/release/seal.js'
import { canonical, sealInfo, utf8 } from '../spec.js'

const other = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
})

const share = randomBytes(32)
const token = 'header.payload.signature'
const header = {
  releaseId: randomBytes(16).toString('base64url'),
  epoch: 3,
  issuedAt: 1_767_225_600,
  notAfter: 1_767_226_200,
  leaseSeconds: 600,
}
const context = {
  dh: randomBytes(32),
  role: 'client',
  label: 'bob',
  c: randomBytes(32),
  token,
  header,
} as const
const info = sealInfo(context, token)
const aad = utf8(canonical(header))

/** As another implementation takes them: their own bytes, not a part of a pool. */
const whole = (bytes: Uint8Array) => new Uint8Array(bytes).buffer

const refused = expect.objectContaining({ code: 'MCBN_RELEASE_INVALID', kind: 'peer' })

describe('consent/release: sealing', () => {
  it('gives the receiver, and nobody else, the share', async () => {
    const receiver = await generateReceiver()
    const sealed = await sealShare({ ...context, share, pk: receiver.publicKey })
    expect(await receiver.open({ ...context, ...sealed })).toEqual(share)
    const stranger = await generateReceiver()
    await expect(stranger.open({ ...context, ...sealed })).rejects.toEqual(refused)
  })

  it('takes bytes and base64url alike', async () => {
    const receiver = await generateReceiver()
    const texts = {
      ...context,
      dh: context.dh.toString('base64url'),
      c: context.c.toString('base64url'),
    }
    const pk = receiver.publicKey.toString('base64url')
    const sealed = await sealShare({ ...texts, share, pk })
    expect(await receiver.open({ ...context, ...sealed })).toEqual(share)
  })

  it('gives 32 and 48 bytes, others each time', async () => {
    const { publicKey: pk } = await generateReceiver()
    const one = await sealShare({ ...context, share, pk })
    const two = await sealShare({ ...context, share, pk })
    expect(Buffer.from(one.enc, 'base64url')).toHaveLength(32)
    expect(Buffer.from(one.ciphertext, 'base64url')).toHaveLength(48)
    expect(one.enc).not.toBe(two.enc)
    expect(one.ciphertext).not.toBe(two.ciphertext)
  })

  it('leaves the share that it borrowed as it is', async () => {
    const { publicKey: pk } = await generateReceiver()
    const borrowed = Buffer.from(share)
    await sealShare({ ...context, share: borrowed, pk })
    expect(borrowed).toEqual(share)
  })

  it('returns bytes outside the shared pool', async () => {
    const receiver = await generateReceiver()
    const sealed = await sealShare({ ...context, share, pk: receiver.publicKey })
    expect((await receiver.open({ ...context, ...sealed })).buffer.byteLength).toBe(32)
  })

  it('seals what @hpke/core opens, with info and aad of the specification', async () => {
    const pair = await other.kem.generateKeyPair()
    const pk = new Uint8Array(await other.kem.serializePublicKey(pair.publicKey))
    const sealed = await sealShare({ ...context, share, pk })
    const opened = await other.open(
      {
        recipientKey: pair.privateKey,
        enc: whole(Buffer.from(sealed.enc, 'base64url')),
        info: whole(info),
      },
      whole(Buffer.from(sealed.ciphertext, 'base64url')),
      whole(aad),
    )
    expect(Buffer.from(opened)).toEqual(share)
  })

  it('opens what @hpke/core seals', async () => {
    const receiver = await generateReceiver()
    const recipientPublicKey = await other.kem.deserializePublicKey(whole(receiver.publicKey))
    const { enc, ct } = await other.seal(
      { recipientPublicKey, info: whole(info) },
      whole(share),
      whole(aad),
    )
    const sealed = {
      enc: Buffer.from(enc).toString('base64url'),
      ciphertext: Buffer.from(ct).toString('base64url'),
    }
    expect(await receiver.open({ ...context, ...sealed })).toEqual(share)
  })

  it.each<[string, object]>([
    ['descriptor', { dh: randomBytes(32) }],
    ['role', { role: 'server' }],
    ['label', { label: 'carol' }],
    ['challenge', { c: randomBytes(32) }],
    ['token', { token: `${token}x` }],
    ['release', { header: { ...header, releaseId: randomBytes(16).toString('base64url') } }],
    ['epoch', { header: { ...header, epoch: 4 } }],
    ['time of issue', { header: { ...header, issuedAt: header.issuedAt + 1 } }],
    ['end', { header: { ...header, notAfter: header.notAfter + 1 } }],
    ['lease', { header: { ...header, leaseSeconds: 601 } }],
  ])('opens nothing for another %s', async (_, change) => {
    const receiver = await generateReceiver()
    const sealed = await sealShare({ ...context, share, pk: receiver.publicKey })
    await expect(receiver.open({ ...context, ...sealed, ...change })).rejects.toEqual(refused)
  })

  it('opens nothing that was altered in a single bit', async () => {
    const receiver = await generateReceiver()
    const sealed = await sealShare({ ...context, share, pk: receiver.publicKey })
    for (const field of ['enc', 'ciphertext'] as const) {
      const length = field === 'enc' ? 32 : 48
      for (const at of [0, 15, length - 1]) {
        const bytes = Buffer.from(sealed[field], 'base64url')
        bytes[at] = (bytes[at] ?? 0) ^ 1
        const altered = { ...context, ...sealed, [field]: bytes.toString('base64url') }
        await expect(receiver.open(altered)).rejects.toEqual(refused)
      }
    }
  })

  it.each([
    ['zero', '00'.repeat(32)],
    ['one', `01${'00'.repeat(31)}`],
    ['order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
    ['order 8, the other', '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'],
    ['p - 1', `ec${'ff'.repeat(30)}7f`],
    ['p', `ed${'ff'.repeat(30)}7f`],
    ['p + 1', `ee${'ff'.repeat(30)}7f`],
    ['2^256 - 1', 'ff'.repeat(32)],
    ['31 bytes', '09'.repeat(31)],
    ['33 bytes', '09'.repeat(33)],
    ['no bytes', ''],
  ])('refuses a public key of %s, on both sides', async (_, hex) => {
    const pk = Buffer.from(hex, 'hex')
    const text = pk.toString('base64url')
    await expect(sealShare({ ...context, share, pk })).rejects.toEqual(refused)
    await expect(sealShare({ ...context, share, pk: text })).rejects.toEqual(refused)
    const receiver = await generateReceiver()
    const sealed = { enc: text, ciphertext: Buffer.alloc(48).toString('base64url') }
    await expect(receiver.open({ ...context, ...sealed })).rejects.toEqual(refused)
  })

  it('refuses a share that is not 32 bytes, naming the participant', async () => {
    const { publicKey: pk } = await generateReceiver()
    for (const length of [0, 31, 33]) {
      await expect(sealShare({ ...context, share: Buffer.alloc(length), pk })).rejects.toEqual(
        expect.objectContaining({ code: 'MCBN_SHARE_INVALID', participant: 'bob' }),
      )
    }
  })

  it('blames nobody and tells nothing when it does not open', async () => {
    const receiver = await generateReceiver()
    const sealed = await sealShare({ ...context, share, pk: receiver.publicKey })
    const error = await receiver.open({ ...context, ...sealed, label: 'carol' }).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ code: 'MCBN_RELEASE_INVALID' })
    expect(error).not.toHaveProperty('participant')
    expect(error).not.toHaveProperty('cause')
  })

  it('shows no private key in inspect or JSON', async () => {
    const receiver = await generateReceiver()
    expect(Object.keys(receiver)).toEqual(['publicKey', 'openLease', 'open'])
    expect(inspect(receiver, { depth: 9, showHidden: true })).not.toContain('CryptoKey')
  })

  it('hashes tokens as UTF-8', () => {
    expect(tokenHash('abc').toString('hex')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
  })
})
