// The decision itself: attested facts against a policy. Pure: no clock, no state, no I/O. Everything that
// the facts do not say is refused, and so is everything that the policy does not.

import { CLOCK_TOLERANCE_SECONDS } from '../attestation/clock-tolerance.js'
import type { AttestedFacts } from '../attestation/types.js'
import type { Seconds, UnixMilliseconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Role } from '../descriptor/types.js'
import { container, place } from './container.js'
import { POLICY_DEFAULTS } from './defaults.js'
import { expected, quote } from './detail.js'
import { platform, rootOf, rulesFor } from './platform.js'
import { imageRuleName, type SignedImages } from './signed-images.js'
import type { Policy, PolicyRole } from './types.js'
import { windowState } from './window.js'

/** What {@link evaluatePolicy} decides about. */
export interface PolicyQuestion {
  readonly role: Role
  /** From evidence that has been verified. */
  readonly facts: AttestedFacts
  /** The participant's wall clock. */
  readonly now: UnixMilliseconds
  readonly descriptor: VerifiedDescriptor
  /** What signatures approve, see `signedImages`. @defaultValue none */
  readonly signed?: SignedImages
}

export type PolicyDecision =
  | { readonly allowed: true }
  | {
      readonly allowed: false
      /** `not-yet` only where nothing but time is in the way. */
      readonly code: 'policy' | 'not-yet'
      /**
       * Everything that was wrong, in the order of the checks; for the participant's own log, never for
       * the wire. Contains names and arguments that a stranger chose: quoted as JSON, cut short, and
       * escape them wherever they are shown. Values of environment variables are left out.
       */
      readonly details: readonly string[]
      /** With `not-yet`: seconds until the window opens, at least 1. */
      readonly retryAfter?: Seconds
    }

/** Most details handed out; a token can hold thousands of variables. */
const MOST_DETAILS = 32

/**
 * Decides whether a policy allows a release, in the order of the protocol's step 4: the platform's claims;
 * image digests; arguments and environment; project and service account; the window. All checks are made,
 * so that a reader of the log sees everything at once.
 *
 * Not decided here, since it needs state: how many instances there are, a person's approval, withdrawal.
 */
export function evaluatePolicy(policy: Policy, question: PolicyQuestion): PolicyDecision {
  const { role, facts, now, descriptor, signed } = question
  const rules = policy.roles[role]
  const details: string[] = [...belonging(policy, descriptor)]
  if (rules === undefined) {
    details.push(`role: the policy has no rules for the ${quote(role)}`)
  } else {
    const shown = facts.parts ?? [facts]
    details.push(...vouching(rules, shown))
    for (const one of shown) {
      const section = rulesFor(rules, one.platform.name)
      const found = [
        ...origin(policy, rules, one),
        ...platform(policy, rules, section, one),
        ...age(policy, one, now),
        ...image(rules, one, descriptor, role, signed),
        ...(section === undefined ? [] : container(policy, section, one)),
        ...place(section ?? {}, one),
      ]
      details.push(...(shown.length === 1 ? found : found.map((line) => `${one.kind}: ${line}`)))
    }
  }
  if (details.length > 0) return { allowed: false, code: 'policy', details: bounded(details) }
  return inTime(policy, descriptor, now)
}

/** A participant checks this when it starts; here it costs nothing and cannot be forgotten. */
function* belonging(policy: Policy, { descriptor, hashHex }: VerifiedDescriptor): Iterable<string> {
  if (policy.network !== descriptor.network || policy.descriptorHash !== hashHex) {
    yield 'descriptor: the policy is for another one'
  }
}

/** Each of them is judged too: those that are wrong about something vouch for nothing. */
function* vouching(
  { rootsOfTrust = POLICY_DEFAULTS.rootsOfTrust }: PolicyRole,
  shown: readonly AttestedFacts[],
): Iterable<string> {
  const roots = new Set(shown.map(({ kind, issuer }) => rootOf(kind, issuer)))
  if (roots.size >= rootsOfTrust) return
  yield expected('rootsOfTrust', `evidence of ${rootsOfTrust}`, [...roots].join(', '))
}

function* origin(
  policy: Policy,
  rules: PolicyRole,
  { kind, issuer }: AttestedFacts,
): Iterable<string> {
  if (!rules.attestation.includes(kind)) {
    yield expected('attestation', rules.attestation.join(' or '), kind)
  }
  if (kind === 'local' && !policy.localIssuers?.some((local) => local.issuer === issuer)) {
    yield `issuer: expected one of localIssuers, got ${quote(issuer)}`
  }
}

function* age(
  policy: Policy,
  { attestedAt, expiresAt }: AttestedFacts,
  now: UnixMilliseconds,
): Iterable<string> {
  const most = policy.tokenAgeSeconds ?? POLICY_DEFAULTS.tokenAgeSeconds
  const seconds = (now - attestedAt) / 1000
  // Written so that NaN, which compares with nothing, is refused.
  if (!(seconds <= most)) {
    yield `iat: expected a token at most ${most} s old, got one of ${Math.round(seconds)} s`
  }
  if (!(seconds >= -CLOCK_TOLERANCE_SECONDS)) {
    yield `iat: expected at most ${CLOCK_TOLERANCE_SECONDS} s in the future, got ${Math.round(-seconds)} s`
  }
  if (!(now <= expiresAt + CLOCK_TOLERANCE_SECONDS * 1000)) yield 'exp: the token has expired'
}

function* image(
  { images = [], signedImages = [] }: PolicyRole,
  { imageDigest }: AttestedFacts,
  { descriptor }: VerifiedDescriptor,
  role: Role,
  signed: SignedImages | undefined,
): Iterable<string> {
  const approving = signedImages
    .map(imageRuleName)
    .filter((rule) => imageDigest !== undefined && signed?.get(rule)?.has(imageDigest) === true)
  if (imageDigest === undefined || (!images.includes(imageDigest) && approving.length === 0)) {
    const orSigned = signedImages.length === 0 ? '' : ', or one with the signatures it asks for'
    yield expected('image_digest', `one of the policy's for the ${role}${orSigned}`, imageDigest)
    return
  }
  // What all participants have agreed on: this image, or that such signatures approve one.
  const agreed = descriptor.roles[role].images
  if (![imageDigest, ...approving].some((one) => agreed.includes(one))) {
    const orRule = approving.length === 0 ? '' : `, or the rule ${approving[0]} there`
    yield expected('image_digest', `one of the descriptor's for the ${role}${orRule}`, imageDigest)
  }
}

function inTime(policy: Policy, { descriptor }: VerifiedDescriptor, now: number): PolicyDecision {
  const { notBefore, notAfter } = descriptor.validity
  if (!(now / 1000 <= notAfter)) return never("validity: the descriptor's time is over")
  // Before the descriptor begins, the next opening is looked for from there.
  const state = windowState(policy.window, Math.max(now, notBefore * 1000))
  const opensAt = state.open ? Math.max(now, notBefore * 1000) : state.opensAt
  if (opensAt === now) return { allowed: true }
  if (opensAt === undefined || opensAt / 1000 > notAfter) {
    return never(`window: ${state.open ? 'closed' : state.why}`)
  }
  const details = [
    ...(now < notBefore * 1000
      ? [`validity: begins at ${new Date(notBefore * 1000).toISOString()}`]
      : []),
    ...(state.open ? [] : [`window: ${state.why}`]),
  ]
  const retryAfter = Math.max(1, Math.ceil((opensAt - now) / 1000))
  return { allowed: false, code: 'not-yet', details, retryAfter }
}

function never(detail: string): PolicyDecision {
  return { allowed: false, code: 'policy', details: [detail] }
}

function bounded(details: readonly string[]): readonly string[] {
  if (details.length <= MOST_DETAILS) return details
  const kept = details.slice(0, MOST_DETAILS - 1)
  return [...kept, `and ${details.length - kept.length} more`]
}
