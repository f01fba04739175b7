// The decision itself: attested facts against a policy. Pure: no clock, no state, no I/O. Everything that
// the facts do not say is refused, and so is everything that the policy does not.

import { CLOCK_TOLERANCE_SECONDS } from '../attestation/clock-tolerance.js'
import type { AttestedFacts } from '../attestation/types.js'
import type { Seconds, UnixMilliseconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Role } from '../descriptor/types.js'
import {
  DEBUG_DISABLED,
  DESCRIPTOR_HASH_VARIABLE,
  HARDWARE_NEVER,
  isNeverAllowed,
  POLICY_DEFAULTS,
} from './defaults.js'
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
 * so that whoever reads the log sees everything at once.
 *
 * Not decided here, since it needs state: how many instances there are, a person's approval, withdrawal.
 */
export function evaluatePolicy(policy: Policy, question: PolicyQuestion): PolicyDecision {
  const { role, facts, now, descriptor } = question
  const rules = policy.roles[role]
  const details: string[] = [...belonging(policy, descriptor)]
  if (rules === undefined) {
    details.push(`role: the policy has no rules for the ${quote(role)}`)
  } else {
    details.push(
      ...platform(policy, rules, facts, now),
      ...image(rules, facts, descriptor, role),
      ...argumentsOf(rules, facts),
      ...environment(policy, rules, facts),
      ...place(rules, facts),
    )
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

function* platform(
  policy: Policy,
  rules: PolicyRole,
  facts: AttestedFacts,
  now: number,
): Iterable<string> {
  const { kind, issuer, software, debug, secureBoot, hardware, support } = facts
  if (!rules.attestation.includes(kind)) {
    yield expected('attestation', rules.attestation.join(' or '), kind)
  }
  if (kind === 'local' && !policy.localIssuers?.some((local) => local.issuer === issuer)) {
    yield `issuer: expected one of localIssuers, got ${quote(issuer)}`
  }
  const softwareAllowed = rules.software ?? POLICY_DEFAULTS.software
  if (software !== softwareAllowed) yield expected('swname', softwareAllowed, software)
  if (debug !== DEBUG_DISABLED) yield expected('dbgstat', DEBUG_DISABLED, debug)
  if (secureBoot !== true) yield expected('secboot', 'true', secureBoot)
  const allowed = rules.hardware ?? POLICY_DEFAULTS.hardware
  if (hardware === undefined || !allowed.includes(hardware) || HARDWARE_NEVER.has(hardware)) {
    yield expected('hwmodel', allowed.join(' or '), hardware)
  }
  const wanted = rules.support ?? POLICY_DEFAULTS.support
  // An experimental image can carry STABLE as well: it is still one with features nobody has reviewed.
  if (
    !support.includes(wanted) ||
    (wanted !== 'EXPERIMENTAL' && support.includes('EXPERIMENTAL'))
  ) {
    yield expected('support_attributes', `${wanted} without EXPERIMENTAL`, support.join(', '))
  }
  yield* age(policy, facts, now)
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
  rules: PolicyRole,
  { imageDigest }: AttestedFacts,
  { descriptor }: VerifiedDescriptor,
  role: Role,
): Iterable<string> {
  if (imageDigest === undefined || !rules.images.includes(imageDigest)) {
    yield expected('image_digest', `one of the policy's for the ${role}`, imageDigest)
  } else if (!descriptor.roles[role].images.includes(imageDigest)) {
    yield expected('image_digest', `one of the descriptor's for the ${role}`, imageDigest)
  }
}

function* argumentsOf(
  rules: PolicyRole,
  { args, overriddenArgs }: AttestedFacts,
): Iterable<string> {
  if (args.length !== rules.args.length) {
    yield expected('args', `${rules.args.length} of them`, args.length)
  }
  for (const [at, arg] of rules.args.entries()) {
    if (at < args.length && args[at] !== arg) yield expected(`args[${at}]`, quote(arg), args[at])
  }
  for (const [at, arg] of args.slice(rules.args.length).entries()) {
    yield expected(`args[${rules.args.length + at}]`, 'no such argument', arg)
  }
  if (overriddenArgs.length > 0 && rules.overrides?.args !== true) {
    yield expected('cmd_override', 'none', overriddenArgs.length)
  }
}

function* environment(policy: Policy, rules: PolicyRole, facts: AttestedFacts): Iterable<string> {
  const allowed = rules.env ?? {}
  const measured = facts.env.get(DESCRIPTOR_HASH_VARIABLE) ?? ''
  // The nonce binds this epoch's hash in any case; the environment says what the machine was started for.
  if (measured !== policy.descriptorHash && !policy.predecessors?.includes(measured)) {
    const got = facts.env.has(DESCRIPTOR_HASH_VARIABLE) ? 'another value' : 'none'
    yield `env ${DESCRIPTOR_HASH_VARIABLE}: expected the pinned hash of the descriptor, got ${got}`
  }
  for (const [name, value] of facts.env) {
    if (isNeverAllowed(name)) {
      yield `env ${quote(name)}: never allowed, whatever a policy names`
    } else if (name === DESCRIPTOR_HASH_VARIABLE) {
      // Checked above.
    } else if (!Object.hasOwn(allowed, name)) {
      yield `env ${quote(name)}: not named by the policy`
    } else if (allowed[name] !== null && allowed[name] !== value) {
      yield `env ${quote(name)}: expected the policy's value, got another one`
    }
  }
  for (const [name, value] of facts.overriddenEnv) {
    if (name !== DESCRIPTOR_HASH_VARIABLE && !rules.overrides?.env?.includes(name)) {
      yield `env_override ${quote(name)}: not among the overrides that the policy allows`
    } else if (facts.env.get(name) !== value) {
      // Then one of the two lists is not what the container got, and nobody knows which.
      yield `env_override ${quote(name)}: expected the same value as in env, got another one`
    }
  }
}

function* place(rules: PolicyRole, facts: AttestedFacts): Iterable<string> {
  const { project, serviceAccounts, instance } = facts
  if (project === undefined || !rules.projects.includes(project)) {
    yield expected('project_id', rules.projects.join(' or '), project)
  }
  const accounts = rules.serviceAccounts
  if (accounts !== undefined) {
    // All of them: with a second account the workload could be reached in another's name.
    if (serviceAccounts.length === 0) yield expected('service accounts', 'one', undefined)
    for (const account of serviceAccounts) {
      if (!accounts.includes(account)) {
        yield expected('service accounts', accounts.join(' or '), account)
      }
    }
  }
  if (instance === undefined || instance === '') {
    yield expected('instance_id', 'one, since leases are counted by it', instance)
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

function expected(claim: string, wanted: string, got: unknown): string {
  return `${claim}: expected ${wanted}, got ${got === undefined ? 'nothing' : quote(got)}`
}

/** JSON, so that no text can break out of the sentence; short, since a stranger may have written it. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? typeof value
  return text.length > 120 ? `${text.slice(0, 119)}…` : text
}

function bounded(details: readonly string[]): readonly string[] {
  if (details.length <= MOST_DETAILS) return details
  const kept = details.slice(0, MOST_DETAILS - 1)
  return [...kept, `and ${details.length - kept.length} more`]
}
