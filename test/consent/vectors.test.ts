// vectors.json pins every byte format of mcbn/1. Each value is computed twice: by spec.ts, which is the
// written protocol in node:crypto, and by the library.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { canonicalBytes } from '../../src/consent/base/canonical.js'
import { importPrivate, publicKeys } from '../../src/consent/base/keys.js'
import {
  descriptorBytes,
  descriptorHash,
  parseDescriptor,
} from '../../src/consent/descriptor/descriptor.js'
import { signDescriptor, verifySignedDescriptor } from '../../src/consent/descriptor/signed.js'
import type { Descriptor, Role } from '../../src/consent/descriptor/types.js'
import type { ReleaseHeader } from '../../src/consent/release/messages.js'
import { audience, releaseNonce } from '../../src/consent/release/nonce.js'
import { tokenHash } from '../../src/consent/release/seal.js'
import { checkReleasedShare } from '../../src/consent/shares/check.js'
import { shareCommitment } from '../../src/consent/shares/commitment.js'
import { deriveNetworkKeys } from '../../src/consent/shares/keys.js'
import { reconstructSecret } from '../../src/consent/shares/threshold.js'
import * as spec from './spec.js'

interface Vector {
  readonly mode: 'n-of-n' | 't-of-n'
  readonly descriptor: Descriptor
  readonly canonical: string
  readonly descriptorHash: string
  readonly signatures: Readonly<Record<string, string>>
  readonly shares: Readonly<Record<string, string>>
  readonly commitments: Readonly<Record<string, string>>
  readonly secret?: string
  readonly prk: string
  readonly keys: Readonly<Record<string, string>>
  readonly kcv: string
  readonly identity: string
  readonly release: {
    readonly role: Role
    readonly label: string
    readonly c: string
    readonly r: string
    readonly suite: string
    readonly pk: string
    readonly token: string
    readonly nonce: string
    readonly audience: string
    readonly header: ReleaseHeader
    readonly aad: string
    readonly info: string
  }
}

const { seeds, vectors } = JSON.parse(
  readFileSync(new URL('vectors.json', import.meta.url), 'utf8'),
) as {
  readonly seeds: Readonly<Record<string, { readonly ed25519: string; readonly x25519: string }>>
  readonly vectors: readonly Vector[]
}

const hex = (text: string | undefined) => Buffer.from(text ?? '', 'hex')
const base64url = (text: string) => Buffer.from(text, 'base64url')

describe('consent/vectors', () => {
  it('has one of each mode', () => {
    expect(vectors.map(({ mode }) => mode)).toEqual(['n-of-n', 't-of-n'])
  })

  it("holds the participants' public keys", () => {
    for (const [label, seed] of Object.entries(seeds)) {
      const raw = { ed25519: hex(seed.ed25519), x25519: hex(seed.x25519) }
      const expected = {
        ed25519: spec.ed25519Public(raw.ed25519).toString('base64url'),
        x25519: spec.x25519Public(raw.x25519).toString('base64url'),
      }
      expect(publicKeys(importPrivate(raw))).toEqual(expected)
      for (const { descriptor } of vectors) {
        const listed = descriptor.participants.find((one) => one.label === label)
        expect(listed).toMatchObject(expected)
      }
    }
  })
})

describe.each(vectors)('consent/vectors: $mode', (vector) => {
  const { network, epoch, roles, participants } = vector.descriptor
  const dh = hex(vector.descriptorHash)
  const shares = Object.entries(vector.shares).map(([label, share]) => [label, hex(share)] as const)
  const { descriptor, signatures } = vector
  const verified = verifySignedDescriptor({ descriptor, signatures }, { descriptorHash: dh })

  it('D and dh', () => {
    expect(spec.canonical(descriptor)).toBe(vector.canonical)
    expect(spec.descriptorHash(descriptor)).toEqual(dh)
    expect(descriptorBytes(descriptor).toString('utf8')).toBe(vector.canonical)
    expect(descriptorHash(descriptor)).toEqual(dh)
    expect(parseDescriptor(Buffer.from(vector.canonical))).toEqual(descriptor)
    expect(verified.hash).toEqual(dh)
    expect(verified.hashHex).toBe(vector.descriptorHash)
  })

  it('signatures of the descriptor', () => {
    for (const { label } of participants) {
      const raw = { ed25519: hex(seeds[label]?.ed25519), x25519: hex(seeds[label]?.x25519) }
      const expected = spec.signature(raw.ed25519, 'mcbn/1 sign descriptor', dh)
      expect(expected.toString('base64url')).toBe(signatures[label])
      expect(signDescriptor(descriptor, label, importPrivate(raw))).toBe(signatures[label])
    }
  })

  it('shares and commitments', () => {
    for (const { label, commitment } of participants) {
      const share = hex(vector.shares[label])
      expect(base64url(commitment)).toEqual(hex(vector.commitments[label]))
      expect(() => checkReleasedShare(verified, label, share)).not.toThrow()
      if (vector.mode !== 'n-of-n') continue
      const expected = hex(vector.commitments[label])
      expect(spec.commitment(network, epoch, label, share)).toEqual(expected)
      expect(shareCommitment({ network, epoch, label, share })).toEqual(expected)
    }
  })

  it('PRK, keys and key check value', () => {
    const ikm =
      vector.mode === 'n-of-n' ? spec.ikmOfAll(shares) : spec.ikmOfThreshold(hex(vector.secret))
    const prk = spec.extract(dh, ikm)
    expect(prk).toEqual(hex(vector.prk))
    for (const [protocol, expected] of Object.entries(vector.keys)) {
      expect(spec.key(prk, network, epoch, protocol)).toEqual(hex(expected))
    }
    expect(spec.key(prk, network, epoch, 'kcv').toString('hex')).toBe(vector.kcv)

    const derived = deriveNetworkKeys(verified, new Map(shares.slice(0, descriptor.t)))
    const { dtls13, ...expected } = vector.keys
    expect(dtls13).toHaveLength(64)
    expect(
      Object.fromEntries(
        Object.entries(derived.keys).map(([protocol, key]) => [protocol, key.toString('hex')]),
      ),
    ).toEqual(expected)
    expect(derived.kcv).toBe(vector.kcv)
  })

  it.runIf(vector.mode === 't-of-n')('the secret, from any two of three shares', () => {
    const points = shares.map(
      ([label, share], at) =>
        ({ label, share, x: BigInt(at + 1), y: spec.scalarOf(share) }) as const,
    )
    for (const missing of points) {
      const some = points.filter((point) => point !== missing)
      const secret = spec.interpolate(some.map(({ x, y }) => [x, y]))
      expect(spec.scalarBytes(secret)).toEqual(hex(vector.secret))
      expect(
        reconstructSecret(verified, new Map(some.map(({ label, share }) => [label, share]))),
      ).toEqual(hex(vector.secret))
    }
  })

  it('identity', () => {
    expect(spec.identity(dh, roles.client.id, roles.server.id)).toBe(vector.identity)
    expect(verified.identity).toBe(vector.identity)
    expect(vector.identity).toMatch(/^mcbn1\.[A-Za-z0-9_-]{22}$/)
  })

  it('nonce, audience, info and aad of a release', () => {
    const { release } = vector
    const { role, label, suite, token, header } = release
    const c = base64url(release.c)
    const round = { dh, role, label, c }
    expect(spec.nonce(round, base64url(release.r), suite, base64url(release.pk))).toBe(
      release.nonce,
    )
    expect(releaseNonce({ ...release, dh })).toBe(release.nonce)
    expect(releaseNonce({ ...release, ...round })).toBe(release.nonce)
    expect(audience(network, label)).toBe(release.audience)
    expect(spec.sealInfo(round, token).toString('hex')).toBe(release.info)
    expect(spec.sha256(spec.utf8(token))).toEqual(tokenHash(token))
    expect(spec.canonical(header)).toBe(release.aad)
    expect(canonicalBytes(header).toString('utf8')).toBe(release.aad)
  })
})
