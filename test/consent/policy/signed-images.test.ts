// Images that are approved by signatures: whose words count, about what, and how many it takes.

import { createPublicKey } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { AttestedFacts } from '../../../src/consent/attestation/types.js'
import { evaluatePolicy } from '../../../src/consent/policy/evaluate.js'
import { readSignedImages } from '../../../src/consent/policy/image-folder.js'
import { checkPolicyAgainst, parseImageRule } from '../../../src/consent/policy/parse.js'
import {
  imageRuleName,
  type SignedImages,
  signedImages,
} from '../../../src/consent/policy/signed-images.js'
import type { Policy, SignedImageRule } from '../../../src/consent/policy/types.js'
import { signStatement } from '../../../src/signatures/sign.js'
import { type StatementKind, statementAbout } from '../../../src/signatures/statement.js'
import { temporaryFolder } from '../../support/paths.js'
import { ISSUER, identityToken, keyPair, sigstore } from '../../support/sigstore.js'
import {
  CLIENT_IMAGE,
  factsWith,
  NOON,
  descriptor as ofImages,
  policyWith,
  verifiedDescriptor,
} from './fixture.js'

const INVALID = { code: 'MCBN_POLICY_INVALID' }
const LATER_IMAGE = `sha256:${'1a'.repeat(32)}`
const ann = keyPair()
const ben = keyPair('ec')
const eve = keyPair()
const reviewers = [{ publicKey: ann.publicKey }, { publicKey: ben.publicKey }]

const rule = (changes: Partial<SignedImageRule> = {}): SignedImageRule => ({
  ...{ subject: 'my-client', statement: 'rebuilt', atLeast: 2, signers: reviewers },
  ...changes,
})

async function bundle(
  by: { readonly privateKey: string },
  {
    kind = 'rebuilt',
    subject = 'my-client',
    digest = CLIENT_IMAGE,
  }: { kind?: StatementKind; subject?: string; digest?: string } = {},
): Promise<string> {
  const statement = statementAbout(kind, subject, digest, {})
  return JSON.stringify(await signStatement(statement, { key: by.privateKey }))
}

/** By signature alone: no digest is listed. */
function policyBy(rules: readonly SignedImageRule[], pinned = ofImages): Policy {
  const { images: _, ...role } = policyWith().roles.client ?? { attestation: [] }
  return {
    ...policyWith(),
    descriptorHash: pinned.hashHex,
    roles: { client: { ...role, signedImages: rules } },
  }
}

async function approvedBy(rules: readonly SignedImageRule[], texts: readonly string[]) {
  const bundles = texts.map((text, at) => ({ name: `${at}.json`, text }))
  return await signedImages(policyBy(rules), bundles)
}

function decide(
  policy: Policy,
  signed: SignedImages | undefined,
  facts: Partial<AttestedFacts> = {},
  descriptor = ofImages,
) {
  const env = new Map([...factsWith().env, ['MCBN_DESCRIPTOR_HASH', descriptor.hashHex]])
  const overriddenEnv = new Map([['MCBN_DESCRIPTOR_HASH', descriptor.hashHex]])
  return evaluatePolicy(policy, {
    ...{ role: 'client', facts: factsWith({ env, overriddenEnv, ...facts }), now: NOON },
    descriptor,
    ...(signed !== undefined && { signed }),
  })
}

describe('policy/signed images', () => {
  it('counts no signer twice, no stranger, no other statement and no other name', async () => {
    const right = await bundle(ann)
    const wrong: Readonly<Record<string, string>> = {
      'the same signer again': await bundle(ann),
      'a signer whom no rule names': await bundle(eve),
      'how it was made, for that it was made again': await bundle(ben, { kind: 'provenance' }),
      'the image of another role': await bundle(ben, { subject: 'my-server' }),
      'another image': await bundle(ben, { digest: LATER_IMAGE }),
      'no bundle': '{}',
      'no JSON': '{',
    }
    for (const [what, text] of Object.entries(wrong)) {
      const { approved } = await approvedBy([rule()], [right, text])
      expect(
        [...approved.values()].flatMap((digests) => [...digests]),
        what,
      ).toEqual([])
    }
    const { approved, passedOver } = await approvedBy([rule()], [right, await bundle(ben)])
    expect(approved).toEqual(new Map([[imageRuleName(rule()), new Set([CLIENT_IMAGE])]]))
    expect(passedOver).toEqual([])
  })

  it('says of each bundle that counts for nothing why', async () => {
    const texts = ['{}', await bundle(eve), await bundle(ann, { subject: 'my-server' })]
    const { passedOver } = await approvedBy([rule()], texts)
    expect(passedOver).toEqual([
      { name: '0.json', reason: expect.stringMatching(/expected a Sigstore bundle/) },
      { name: '1.json', reason: 'signature: it is not of this key' },
      { name: '2.json', reason: 'signature: it is not of this key' },
    ])
    const [one] = (await approvedBy([rule({ signers: reviewers.slice(0, 1) })], texts.slice(2)))
      .passedOver
    expect(one?.reason).toBe('about no image named "my-client"')
    const { passedOver: all } = await signedImages(policyWith(), [{ name: 'x', text: '{}' }])
    expect(all).toEqual([{ name: 'x', reason: 'no role of the policy has signedImages' }])
  })

  it('holds with every byte as it was signed, and with no other', async () => {
    const one = rule({ atLeast: 1, signers: reviewers.slice(0, 1) })
    const { dsseEnvelope, ...rest } = JSON.parse(await bundle(ann)) as {
      dsseEnvelope: { payload: string; signatures: { sig: string }[] }
    }
    const parts = [dsseEnvelope.payload, dsseEnvelope.signatures[0]?.sig ?? '']
    let flipped = 0
    for (const [part, encoded] of parts.entries()) {
      const bytes = Buffer.from(encoded, 'base64')
      for (let at = 0; at < bytes.length; at++) {
        const changed = Buffer.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ 1
        const now = parts.map((text, i) => (i === part ? changed.toString('base64') : text))
        const signatures = [{ sig: now[1] ?? '' }]
        const text = JSON.stringify({
          ...rest,
          dsseEnvelope: { ...dsseEnvelope, payload: now[0], signatures },
        })
        const { approved } = await approvedBy([one], [text])
        expect(approved.get(imageRuleName(one)), `byte ${at} of part ${part}`).toEqual(new Set())
        flipped++
      }
    }
    expect(flipped).toBeGreaterThan(200)
  })
})

describe('policy/signed images of an identity', () => {
  let services: Awaited<ReturnType<typeof sigstore>>
  let keyless: string

  beforeAll(async () => {
    services = await sigstore()
    const statement = statementAbout('provenance', 'my-client', CLIENT_IMAGE, {})
    keyless = JSON.stringify(await signStatement(statement, { ...services.urls, identityToken }))
    return services.close
  })

  it('counts the whole identity, under the roots of the policy', async () => {
    const signers = [{ identity: 'me@example.test', issuer: ISSUER }]
    const by = (changes: object, root = services.root) =>
      signedImages(
        {
          ...policyBy([
            rule({ atLeast: 1, statement: 'provenance', signers: [{ ...signers[0], ...changes }] }),
          ]),
          trustedRoot: JSON.parse(root) as object,
        },
        [{ name: 'keyless', text: keyless }],
      )
    const digestsOf = async (found: ReturnType<typeof by>) =>
      [...(await found).approved.values()].flatMap((digests) => [...digests])
    const other = await sigstore()
    await other.close()
    expect(await digestsOf(by({ identity: '.*' }))).toEqual([])
    expect(await digestsOf(by({ identity: 'e@example.test' }))).toEqual([])
    expect(await digestsOf(by({ issuer: 'https://issuer.test.evil' }))).toEqual([])
    expect(await digestsOf(by({}, other.root))).toEqual([])
    expect(await digestsOf(by({}))).toEqual([CLIENT_IMAGE])
  })
})

describe('policy/signed images in a decision', () => {
  const signed = new Map([[imageRuleName(rule()), new Set([CLIENT_IMAGE, LATER_IMAGE])]])

  it('takes no image without the signatures, and none that the descriptor does not allow', () => {
    const policy = policyBy([rule()])
    expect(decide(policy, undefined)).toMatchObject({
      allowed: false,
      details: [expect.stringMatching(/image_digest: .*with the signatures it asks for/)],
    })
    expect(decide(policy, new Map())).toMatchObject({ allowed: false })
    expect(decide(policy, signed, { imageDigest: undefined })).toMatchObject({ allowed: false })
    // Signed well enough, but all participants have agreed on other images.
    expect(decide(policy, signed, { imageDigest: LATER_IMAGE })).toMatchObject({
      allowed: false,
      details: [expect.stringContaining(`or the rule ${imageRuleName(rule())} there`)],
    })
    // Signatures that a rule of another strength asked for.
    const weaker = new Map([[imageRuleName(rule({ atLeast: 1 })), new Set([CLIENT_IMAGE])]])
    expect(decide(policy, weaker)).toMatchObject({ allowed: false })
    expect(decide(policy, signed)).toEqual({ allowed: true })
  })

  it('takes an image of later days where the descriptor names the rule', () => {
    const agreed = verifiedDescriptor(1, undefined, [imageRuleName(rule())])
    const policy = policyBy([rule()], agreed)
    checkPolicyAgainst(policy, agreed)
    expect(decide(policy, signed, { imageDigest: LATER_IMAGE }, agreed)).toEqual({ allowed: true })
    // The name of a rule is no image that could run.
    const named = { imageDigest: imageRuleName(rule()) }
    expect(decide(policy, signed, named, agreed)).toMatchObject({ allowed: false })
    const looser = rule({ atLeast: 1 })
    const byLooser = new Map([[imageRuleName(looser), new Set([LATER_IMAGE])]])
    const later = { imageDigest: LATER_IMAGE }
    expect(decide(policyBy([looser], agreed), byLooser, later, agreed)).toMatchObject({
      allowed: false,
    })
  })
})

describe('policy/signed images in a file', () => {
  it.each([
    ['the same key twice', { signers: [reviewers[0], { publicKey: `${ann.publicKey}\n` }] }],
    ['more than there are', { atLeast: 3 }],
    ['no signer', { signers: [] }],
    ['half an identity', { signers: [{ identity: 'me@example.test' }] }],
    [
      'key and identity',
      { signers: [{ ...reviewers[0], identity: 'me@example.test', issuer: ISSUER }] },
    ],
    ['a private key', { signers: [{ publicKey: ann.privateKey }] }],
    ['no key', { signers: [{ publicKey: '-----BEGIN PUBLIC KEY-----\nAAAA\n' }] }],
    ['another statement', { statement: 'approved' }],
    ['a field too many', { until: 1 }],
  ])('refuses %s', (_, changes) => {
    expect(() => parseImageRule({ ...rule(), ...changes })).toThrow(
      expect.objectContaining({
        ...INVALID,
        message: expect.not.stringContaining(ann.privateKey.split('\n')[1] ?? ''),
      }),
    )
  })

  it('refuses an identity without roots, and a role without any image', () => {
    const signers = [{ identity: 'me@example.test', issuer: ISSUER }]
    const byIdentity = rule({ atLeast: 1, signers })
    expect(() => policyWith({ signedImages: [byIdentity] })).toThrow(/^trustedRoot: expected/)
    expect(() => policyWith({ images: undefined as never })).toThrow(/images: expected a value/)
    expect(policyWith({ signedImages: [byIdentity] }, { trustedRoot: {} })).toBeDefined()
  })

  it('names a rule by what it says, not by how it was written', () => {
    const turned = rule({ signers: [...reviewers].reverse() })
    const spki = createPublicKey(ann.publicKey).export({ type: 'spki', format: 'der' })
    const lines = spki.toString('base64')
    const pem = `-----BEGIN PUBLIC KEY-----\n${lines}\n-----END PUBLIC KEY-----`
    const written = rule({ signers: [{ publicKey: pem }, reviewers[1] ?? {}] })
    for (const same of [turned, written, parseImageRule(rule())]) {
      expect(imageRuleName(same)).toBe(imageRuleName(rule()))
    }
    for (const other of [
      rule({ atLeast: 1 }),
      rule({ subject: 'my-server' }),
      rule({ statement: 'provenance' }),
      rule({ signers: [...reviewers, { publicKey: eve.publicKey }] }),
    ]) {
      expect(imageRuleName(other)).not.toBe(imageRuleName(rule()))
    }
  })

  it('is named as the page says', () => {
    const publicKey =
      '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAvRFjGPZ4svOWXU+S0GeX+OFrQZuhJC7PbnmN8Xl54xU=\n-----END PUBLIC KEY-----\n'
    const identity = 'https://ci.test/build'
    const signers = [{ publicKey }, { identity, issuer: ISSUER }]
    expect(imageRuleName(rule({ signers }))).toBe(
      'sha256:3bbcc8d6c7c1562a16b6ba64ba2e2a46678bf8828f1fd3308b3a47d9cd5395a3',
    )
  })
})

describe('policy/a folder of signatures', () => {
  it('passes over what is no bundle, and what is too large or no file', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'folder.json'))
    writeFileSync(join(folder, 'large.json'), Buffer.alloc(1024 * 1024 + 1, ' '))
    writeFileSync(join(folder, 'notes.txt'), 'not looked at')
    writeFileSync(join(folder, 'ann.json'), await bundle(ann))
    writeFileSync(join(folder, 'ben.json'), await bundle(ben))
    const { approved, passedOver } = await readSignedImages(policyBy([rule()]), folder)
    expect(passedOver.map(({ name }) => name)).toEqual(['folder.json', 'large.json'])
    expect(approved.get(imageRuleName(rule()))).toEqual(new Set([CLIENT_IMAGE]))
  })

  it('refuses a folder that is not there, and one with too many bundles', async () => {
    const folder = temporaryFolder()
    const missing = readSignedImages(policyBy([rule()]), join(folder, 'none'))
    await expect(missing).rejects.toMatchObject({ code: 'MCBN_OPTION_RANGE' })
    for (let at = 0; at <= 256; at++) writeFileSync(join(folder, `${at}.json`), '{}')
    const many = readSignedImages(policyBy([rule()]), folder)
    await expect(many).rejects.toThrow(/at most 256 bundles, got 257/)
  })
})
