// Images that are approved by signatures: which digests enough signers have spoken for. Decided when the bundles
// are read, not when a workload asks: a release looks a digest up in a set.

import { createHash, createPublicKey } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { openBundle, openKeylessBundle } from '../../signatures/bundle.js'
import { signingKey } from '../../signatures/key.js'
import { canonicalBytes } from '../base/canonical.js'
import { ROLES } from '../descriptor/types.js'
import { POLICY_DEFAULTS } from './defaults.js'
import type { ImageSigner, Policy, SignedImageRule } from './types.js'

/** Digests by the name of the rule that approves them. */
export type SignedImages = ReadonlyMap<string, ReadonlySet<string>>

/** A Sigstore bundle as JSON, and what to call it. */
export interface ImageBundle {
  readonly name: string
  readonly text: string
}

export interface SignedImagesFound {
  readonly approved: SignedImages
  /** Bundles that count for nothing, and why. */
  readonly passedOver: readonly { readonly name: string; readonly reason: string }[]
}

/**
 * The name of a rule, in the form of an image digest, so that a descriptor can list it among a role's images: then
 * all participants have agreed that such signatures approve images, those of later days too.
 *
 * sha256:hex(SHA-256(lp("mcbn/1 image rule") || canonical({subject, statement, atLeast, signers})))
 *
 * A signer is {publicKey}, DER (SubjectPublicKeyInfo) in base64url, or {identity, issuer}; they are sorted by their
 * canonical form.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` for what is no public key.
 */
export function imageRuleName(rule: SignedImageRule): string {
  const known = names.get(rule)
  if (known !== undefined) return known
  const { subject, statement, atLeast = POLICY_DEFAULTS.atLeast } = rule
  const signers = rule.signers
    .map((signer) => ({ signer: plain(signer), text: signerText(signer) }))
    .sort((a, b) => (a.text < b.text ? -1 : 1))
    .map(({ signer }) => signer)
  const named = canonicalBytes({ subject, statement, atLeast, signers })
  const hash = createHash('sha256').update(lengthPrefixed('mcbn/1 image rule')).update(named)
  const name = `sha256:${hash.digest('hex')}`
  names.set(rule, name)
  return name
}

/** Rules of a parsed policy are frozen. */
const names = new WeakMap<SignedImageRule, string>()

/**
 * One text for each signer, however its key was written.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` for what is no public key.
 */
export function signerText(signer: ImageSigner): string {
  return canonicalBytes(plain(signer)).toString('utf8')
}

function plain({ publicKey, identity, issuer }: ImageSigner): object {
  if (publicKey === undefined) return { identity, issuer }
  const key = signingKey(() => createPublicKey(publicKey), 'a public key, PEM')
  return { publicKey: key.export({ type: 'spki', format: 'der' }).toString('base64url') }
}

/**
 * Verifies bundles against a policy's rules. Nothing is fetched.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` for a `trustedRoot` that is none; `MCBN_IMAGE_SOURCE_UNAVAILABLE`
 * where a rule names an identity and the packages that check it are not installed.
 */
export async function signedImages(
  policy: Policy,
  bundles: Iterable<ImageBundle>,
): Promise<SignedImagesFound> {
  const all = [...bundles]
  const counted = new Set<ImageBundle>()
  const reasons = new Map<ImageBundle, string>()
  const approved = new Map<string, ReadonlySet<string>>()
  for (const rule of rulesOf(policy)) {
    const speakers = new Map<string, Set<ImageSigner>>()
    for (const bundle of all) {
      for (const signer of rule.signers) {
        const found = await digestsOf(bundle, rule, signer, policy.trustedRoot)
        if (typeof found === 'string') {
          reasons.set(bundle, found)
          continue
        }
        counted.add(bundle)
        for (const digest of found) {
          speakers.set(digest, (speakers.get(digest) ?? new Set()).add(signer))
        }
      }
    }
    const atLeast = rule.atLeast ?? POLICY_DEFAULTS.atLeast
    const enough = [...speakers].filter(([, by]) => by.size >= atLeast).map(([digest]) => digest)
    approved.set(imageRuleName(rule), new Set(enough))
  }
  const passedOver = all
    .filter((bundle) => !counted.has(bundle))
    .map((bundle) => ({
      name: bundle.name,
      reason: reasons.get(bundle) ?? 'no role of the policy has signedImages',
    }))
  return { approved, passedOver }
}

function rulesOf(policy: Policy): readonly SignedImageRule[] {
  return ROLES.flatMap((role) => policy.roles[role]?.signedImages ?? [])
}

/** The images that a signer speaks for under a rule, or the reason for none. */
async function digestsOf(
  { text }: ImageBundle,
  { statement, subject }: SignedImageRule,
  { publicKey, identity, issuer }: ImageSigner,
  trustedRoot: object | undefined,
): Promise<readonly string[] | string> {
  try {
    const by = { identity: `${identity}`, issuer: `${issuer}` }
    const signed =
      publicKey === undefined
        ? await openKeylessBundle(
            text,
            { ...by, trustedRoot: JSON.stringify(trustedRoot) },
            statement,
          )
        : openBundle(text, publicKey, statement)
    const about = signed.subject.filter(({ name }) => name === subject)
    if (about.length > 0) return about.map(({ digest }) => `sha256:${digest.sha256}`)
    return `about no image named ${JSON.stringify(subject)}`
  } catch (error) {
    if (error instanceof McbnError && error.code === 'MCBN_IMAGE_INVALID') return error.message
    throw error
  }
}
