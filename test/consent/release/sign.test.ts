import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { exportPrivate } from '../../../src/consent/base/keys.js'
import type { Refused, Release, Withdrawal } from '../../../src/consent/release/messages.js'
import { parseRefused, parseRelease, parseWithdrawal } from '../../../src/consent/release/parse.js'
import { tokenHash } from '../../../src/consent/release/seal.js'
import {
  signRefusal,
  signRelease,
  signWithdrawal,
  verifyRefusal,
  verifyRelease,
  verifyWithdrawal,
} from '../../../src/consent/release/sign.js'
import { need, testNetwork } from '../network.js'
import { canonical, lp, signature, utf8 } from '../spec.js'

const { verified, keys } = testNetwork()
const bob = need(keys, 'bob').ed25519
const mallory = need(testNetwork({ labels: ['mallory', 'x'] }).keys, 'mallory').ed25519
const seed = exportPrivate(need(keys, 'bob')).ed25519
const b64 = (length: number) => randomBytes(length).toString('base64url')
const json = <Value>(value: Value): unknown => JSON.parse(JSON.stringify(value))

const token = 'a.b.c'
const dh = verified.hash.toString('base64url')
const fields = {
  label: 'bob',
  dh,
  role: 'client',
  c: b64(32),
  tokenHash: tokenHash(token).toString('base64url'),
  header: { releaseId: b64(16), epoch: 1, issuedAt: 2, notAfter: 3, leaseSeconds: 600 },
  enc: b64(32),
  ciphertext: b64(48),
} as const
const expected = { label: 'bob', role: 'client', c: fields.c, token } as const

/** Without blame: the operator could have made it. */
const refused = (message: string) =>
  expect.objectContaining({
    code: 'MCBN_RELEASE_INVALID',
    kind: 'peer',
    message: expect.stringContaining(message),
  })

describe('consent/release: signed releases', () => {
  const release = signRelease(fields, bob)

  it('survive the way through JSON', () => {
    expect(() => verifyRelease(parseRelease(json(release)), verified, expected)).not.toThrow()
  })

  it('are Ed25519 over lp(purpose) || the canonical form of the other fields', () => {
    const unsigned = utf8(canonical({ v: 'mcbn/1', ...fields }))
    expect(release.signature).toBe(
      signature(seed, 'mcbn/1 sign release', unsigned).toString('base64url'),
    )
  })

  it('contain nothing that was not signed', () => {
    const more = { ...fields, extra: 'x', signature: 'y' }
    expect(signRelease(more, bob)).toEqual(release)
  })

  it.each<[string, Partial<Release>, string]>([
    ['signature', { signature: b64(64) }, 'a signature of the participant'],
    ['share', { ciphertext: b64(48) }, 'a signature of the participant'],
    ['key', { enc: b64(32) }, 'a signature of the participant'],
    ['header', { header: { ...fields.header, leaseSeconds: 601 } }, 'a signature'],
    ['epoch', { header: { ...fields.header, epoch: 2 } }, 'a signature'],
    ['label', { label: 'carol' }, 'its own label'],
    ['descriptor', { dh: b64(32) }, "the descriptor's hash"],
    ['role', { role: 'server' }, 'the role client'],
    ['challenge', { c: b64(32) }, 'the challenge of this round'],
    ['token', { tokenHash: b64(32) }, 'the token of this round'],
  ])('are refused without blame with another %s', (_, change, message) => {
    const altered = { ...release, ...change }
    expect(() => verifyRelease(altered, verified, expected)).toThrow(refused(message))
    try {
      verifyRelease(altered, verified, expected)
    } catch (error) {
      expect(error).not.toHaveProperty('participant')
    }
  })

  it('are refused when somebody else signed them', () => {
    for (const key of [mallory, need(keys, 'alice').ed25519]) {
      expect(() => verifyRelease(signRelease(fields, key), verified, expected)).toThrow(
        refused('a signature of the participant'),
      )
    }
  })

  it.each<[string, Partial<typeof expected> | object, string]>([
    ['participant', { label: 'carol' }, 'its own label'],
    ['stranger', { label: 'mallory' }, 'a participant of the descriptor'],
    ['role', { role: 'server' }, 'the role server'],
    ['challenge', { c: randomBytes(32) }, 'the challenge'],
    ['token', { token: 'a.b.d' }, 'the token'],
  ])('are no answer to another %s', (_, change, message) => {
    expect(() => verifyRelease(release, verified, { ...expected, ...change })).toThrow(
      refused(message),
    )
  })

  it('blame the participant for a signed release of another epoch', () => {
    const old = signRelease({ ...fields, header: { ...fields.header, epoch: 2 } }, bob)
    expect(() => verifyRelease(old, verified, expected)).toThrow(
      expect.objectContaining({
        code: 'MCBN_SHARE_INVALID',
        participant: 'bob',
        problem: 'wrong-epoch',
        message: 'share of bob: wrong-epoch: expected epoch 1, got 2',
      }),
    )
  })
})

describe('consent/release: signed refusals', () => {
  const r = b64(32)
  const refusal = signRefusal(
    { label: 'bob', code: 'manual', retryAfter: 5 },
    { dh, refused: r },
    bob,
  )

  it('survive the way through JSON', () => {
    expect(verifyRefusal(parseRefused(json(refusal)), verified, { refused: r })).toBe(true)
    const bare = signRefusal(
      { label: 'bob', code: 'policy' },
      { dh: verified.hash, refused: r },
      bob,
    )
    expect(bare).not.toHaveProperty('retryAfter')
    expect(verifyRefusal(parseRefused(json(bare)), verified, { refused: r })).toBe(true)
  })

  it('are Ed25519 over lp(purpose) || lp(dh) || lp(what is refused) || the canonical form', () => {
    const parts = [
      lp(verified.hash),
      lp(Buffer.from(r, 'base64url')),
      utf8(canonical({ label: 'bob', code: 'manual', retryAfter: 5 })),
    ]
    expect(refusal.signature).toBe(
      signature(seed, 'mcbn/1 sign refusal', ...parts).toString('base64url'),
    )
  })

  it.each<[string, Partial<Refused>]>([
    ['label', { label: 'alice' }],
    ['stranger', { label: 'mallory' }],
    ['code', { code: 'withdrawn' }],
    ['time to wait', { retryAfter: 6 }],
    ['signature', { signature: b64(64) }],
  ])('do not verify with another %s', (_, change) => {
    expect(verifyRefusal({ ...refusal, ...change }, verified, { refused: r })).toBe(false)
  })

  it('answer one request under one descriptor', () => {
    expect(verifyRefusal(refusal, verified, { refused: b64(32) })).toBe(false)
    expect(verifyRefusal(refusal, testNetwork({ keys }).verified, { refused: r })).toBe(false)
  })

  it('are never believed unsigned, busy neither', () => {
    expect(verifyRefusal({ label: 'bob', code: 'busy' }, verified, { refused: r })).toBe(false)
    const { signature: removed, ...unsigned } = refusal
    expect(removed).toHaveLength(86)
    expect(verifyRefusal(unsigned, verified, { refused: r })).toBe(false)
  })
})

describe('consent/release: signed withdrawals', () => {
  const withdrawal = signWithdrawal({ label: 'bob', dh, withdrawnAt: 7 }, bob)

  it('survive the way through JSON', () => {
    expect(verifyWithdrawal(parseWithdrawal(json(withdrawal)), verified)).toBe(true)
  })

  it('are Ed25519 over lp(purpose) || the canonical form of the other fields', () => {
    const unsigned = utf8(canonical({ v: 'mcbn/1', label: 'bob', dh, withdrawnAt: 7 }))
    expect(withdrawal.signature).toBe(
      signature(seed, 'mcbn/1 sign withdrawal', unsigned).toString('base64url'),
    )
  })

  it.each<[string, Partial<Withdrawal>]>([
    ['label', { label: 'alice' }],
    ['stranger', { label: 'mallory' }],
    ['descriptor', { dh: b64(32) }],
    ['time', { withdrawnAt: 8 }],
    ['signature', { signature: b64(64) }],
  ])('do not verify with another %s', (_, change) => {
    expect(verifyWithdrawal({ ...withdrawal, ...change }, verified)).toBe(false)
  })

  it('end one descriptor only', () => {
    expect(verifyWithdrawal(withdrawal, testNetwork({ keys }).verified)).toBe(false)
  })

  it('cannot be made out of a release, which signs for another purpose', () => {
    const release = signRelease(fields, bob)
    expect(verifyWithdrawal({ ...withdrawal, signature: release.signature }, verified)).toBe(false)
  })
})
