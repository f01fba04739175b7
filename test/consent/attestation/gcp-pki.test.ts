// PKI tokens: a chain of exactly three certificates down from a pinned root.

import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createGcpPkiVerifier,
  createLauncherAttester,
  createLocalIssuer,
  GCP_CS_ISSUER,
  McbnError,
  serveLauncher,
} from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import {
  certificatePem,
  issueCertificate,
} from '../../../src/consent/attestation/local/certificates.js'
import {
  EXPECTED,
  expectRefused,
  goodClaims,
  IMAGE,
  jwt,
  NOW,
  rsaKey,
  verify,
} from '../../support/evidence.js'

const DAY = 86_400_000
const rootKey = rsaKey()
const middleKey = rsaKey()
const leafKey = rsaKey()
const claims = goodClaims({ iss: GCP_CS_ISSUER })

interface Link {
  readonly subject: string
  readonly issuer: string
  readonly key: KeyObject
  readonly signer: KeyObject
  readonly ca: boolean
  readonly signs?: 'certificates' | 'data'
  readonly from?: number
  readonly to?: number
}

const ROOT: Link = { subject: 'root', issuer: 'root', key: rootKey, signer: rootKey, ca: true }
const MIDDLE: Link = { subject: 'mid', issuer: 'root', key: middleKey, signer: rootKey, ca: true }
const LEAF: Link = { subject: 'leaf', issuer: 'mid', key: leafKey, signer: middleKey, ca: false }

function der(link: Link): Buffer {
  return issueCertificate({
    subject: link.subject,
    issuer: link.issuer,
    publicKey: createPublicKey(link.key),
    signingKey: link.signer,
    ca: link.ca,
    ...(link.signs !== undefined && { signs: link.signs }),
    validFrom: link.from ?? NOW - DAY,
    validUntil: link.to ?? NOW + DAY,
  })
}

const [root, middle, leaf] = [der(ROOT), der(MIDDLE), der(LEAF)]
const verifier = createGcpPkiVerifier({ roots: [root] })

function token(chain: readonly (Buffer | string)[], signer = leafKey): string {
  const x5c = chain.map((one) => (typeof one === 'string' ? one : one.toString('base64')))
  return jwt({ alg: 'RS256', typ: 'JWT', x5c }, claims, signer)
}

describe('attestation/gcp-pki', () => {
  it('accepts leaf, intermediate and pinned root', async () => {
    const facts = await verify(verifier, token([leaf, middle, root]))
    expect(facts).toMatchObject({ kind: 'gcp-cs-pki', issuer: GCP_CS_ISSUER, imageDigest: IMAGE })
  })

  it('takes a root as PEM, as DER, and as fingerprint in either spelling', async () => {
    const { fingerprint256 } = new X509Certificate(root)
    const plain = fingerprint256.replaceAll(':', '').toLowerCase()
    for (const pin of [certificatePem(root), root, fingerprint256, plain]) {
      await verify(createGcpPkiVerifier({ roots: [pin] }), token([leaf, middle, root]))
    }
  })

  it('checks its roots', () => {
    const roots: readonly unknown[] = [[], undefined, ['x'], [leaf], [1], [Buffer.alloc(9)]]
    for (const wrong of roots) {
      expect(() => createGcpPkiVerifier({ roots: wrong as string[] })).toThrow(McbnError)
    }
  })

  it('serves and verifies tokens end to end, over the launcher', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mcbn-pki-'))
    const issuer = await createLocalIssuer({ issuer: GCP_CS_ISSUER })
    const socketPath = join(folder, 's')
    const launcher = await serveLauncher({ socketPath, issuer, workload: { imageDigest: IMAGE } })
    try {
      const attester = createLauncherAttester({ socketPath, tokenType: 'PKI' })
      const evidence = await attester.evidence(EXPECTED)
      expect(evidence.kind).toBe('gcp-cs-pki')
      const pinned = createGcpPkiVerifier({ roots: [await issuer.rootCertificate()] })
      const facts = await pinned.verify(evidence, { ...EXPECTED, now: Date.now() })
      expect(facts.imageDigest).toBe(IMAGE)
      await expectRefused(verifier, evidence.token, /ends in a pinned root/, { now: Date.now() })
    } finally {
      await launcher.close()
      await rm(folder, { recursive: true })
    }
  })

  const otherKey = rsaKey()
  const smallKey = rsaKey(1024)
  const chains: readonly [string, string, RegExp][] = [
    ['in another order', token([root, middle, leaf]), /ends in a pinned root/],
    ['with the root twice', token([leaf, root, root]), /leaf: .*(issued by|signature)/],
    [
      'whose intermediate another key signed under the same name',
      token([leaf, der({ ...MIDDLE, signer: otherKey }), root]),
      /intermediate: .*(issued by|signature)/,
    ],
    [
      'whose leaf another key signed under the same name',
      token([der({ ...LEAF, signer: otherKey }), middle, root]),
      /leaf: .*(issued by|signature)/,
    ],
    [
      'whose names do not meet',
      token([der({ ...LEAF, issuer: 'elsewhere' }), middle, root]),
      /leaf: .*(issued by|signature)/,
    ],
    [
      'whose intermediate is no CA although its key may sign certificates',
      token([leaf, der({ ...MIDDLE, ca: false, signs: 'certificates' }), root]),
      /: path validation|issued by/,
    ],
    [
      'whose intermediate is a CA although its key may not sign certificates',
      token([leaf, der({ ...MIDDLE, signs: 'data' }), root]),
      /: path validation|issued by/,
    ],
    [
      'whose leaf is a CA',
      token([der({ ...LEAF, ca: true }), middle, root]),
      /leaf: expected no CA/,
    ],
    [
      'with an expired leaf',
      token([der({ ...LEAF, from: NOW - 2 * DAY, to: NOW - 1_000 }), middle, root]),
      /leaf: .*has expired/,
    ],
    [
      'with a leaf of tomorrow',
      token([der({ ...LEAF, from: NOW + 1_000 }), middle, root]),
      /leaf: .*not yet valid/,
    ],
    [
      'with an expired intermediate',
      token([leaf, der({ ...MIDDLE, from: NOW - 2 * DAY, to: NOW - 1_000 }), root]),
      /intermediate: .*has expired/,
    ],
    [
      'with a leaf key of 1024 bits',
      token([der({ ...LEAF, key: smallKey }), middle, root], smallKey),
      /leaf: .*key too weak/,
    ],
    ['signed by another key than the leaf', token([leaf, middle, root], otherKey), /signature/],
    ['in base64url', token([leaf.toString('base64url'), middle, root]), /leaf: expected one/],
    [
      'with bytes after a certificate',
      token([Buffer.concat([leaf, Buffer.from('more')]), middle, root]),
      /leaf: expected one certificate/,
    ],
    [
      'with PEM in base64',
      token([Buffer.from(certificatePem(leaf)), middle, root]),
      /leaf: expected one certificate/,
    ],
    ['with a long certificate', token(['A'.repeat(16_385), middle, root]), /leaf: expected one/],
  ]
  for (const [name, chain, message] of chains) {
    it(`refuses a chain ${name}`, async () => {
      await expectRefused(verifier, chain, message)
    })
  }

  it('refuses an expired pinned root: pin the next one', async () => {
    const old = der({ ...ROOT, from: NOW - 9 * DAY, to: NOW - DAY })
    const pinned = createGcpPkiVerifier({ roots: [old] })
    await expectRefused(pinned, token([leaf, middle, old]), /root: .*has expired/)
  })

  it('refuses another issuer under the right root', async () => {
    const x5c = [leaf, middle, root].map((one) => one.toString('base64'))
    const foreign = jwt({ alg: 'RS256', x5c }, goodClaims(), leafKey)
    await expectRefused(verifier, foreign, /iss/)
  })
})
