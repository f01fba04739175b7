// A participant out of its folder: everything it is made of, as it was kept.

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import type { Verifier } from '../attestation/types.js'
import { createVerifiers, type VerifiersOptions } from '../attestation/verifiers.js'
import type { AuditEntry } from '../audit/events.js'
import { toBase64url } from '../base/base64url.js'
import { type Clock, systemClock } from '../base/clock.js'
import { toUnixSeconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { SignedImages } from '../policy/signed-images.js'
import type { Policy } from '../policy/types.js'
import type { Withdrawal } from '../release/messages.js'
import { signWithdrawal } from '../release/sign.js'
import type { ParticipantStore } from '../store/replicas.js'
import type { Decision } from '../store/state.js'
import { PARTICIPANT_LIMITS, type ParticipantLimits } from './options.js'
import { createParticipant, type Participant } from './participant.js'
import { Will } from './will.js'

export interface StoredParticipantOptions {
  /** Roots to trust, and verifiers of other kinds; what the policy names is made from this. */
  readonly attestation?: VerifiersOptions
  /** In place of `attestation`. */
  readonly verifiers?: Iterable<Verifier>
  /** Images that signatures approve, see `readSignedImages`. @defaultValue none */
  readonly signedImages?: SignedImages
  readonly limits?: ParticipantLimits
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
}

const OPTIONS = {
  attestation: undefined,
  verifiers: undefined,
  signedImages: undefined,
  limits: undefined,
  clock: undefined,
} as const satisfies OptionTable<StoredParticipantOptions>

/**
 * Makes the participant whose folder is open. Close the participant first, then the store.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` while something is missing: the share and descriptor of a
 * ceremony, or a policy; and as `createParticipant` and `createVerifiers`.
 */
export function participantOfStore(
  store: ParticipantStore,
  options: StoredParticipantOptions = {},
): Participant {
  refuseUnknown('participantOfStore', options, OPTIONS)
  const { attestation, verifiers, signedImages, limits, clock } = options
  const descriptor = descriptorOf(store)
  const { policy } = store
  if (policy === undefined) {
    throw new McbnError(
      'MCBN_STORE_INVALID',
      `${store.name}: expected policy.json, got none; without rules nothing is released`,
    )
  }
  const share = store.share()
  if (share === undefined) throw missing(store)
  try {
    return createParticipant({
      descriptor,
      label: store.label,
      keys: store.keys,
      share,
      policy,
      ...(store.policyHash !== undefined && { policyHash: store.policyHash }),
      verifiers: verifiers ?? createVerifiers(policy, attestation),
      audit: store.audit,
      state: store.state,
      leases: store.leases,
      ...(store.replicas !== undefined && { replicas: store.replicas }),
      ...(signedImages !== undefined && { signedImages }),
      ...(clock !== undefined && { clock }),
      ...(limits !== undefined && { limits }),
    })
  } finally {
    share.fill(0)
  }
}

/** For `reloadStoredPolicy`. */
export interface ReloadPolicyOptions
  extends Pick<StoredParticipantOptions, 'attestation' | 'verifiers'> {
  /** What signatures approve under a policy; asked each time. @defaultValue nothing */
  readonly signedImages?: (policy: Policy) => Promise<SignedImages>
  /** Asks `signedImages` also where the policy is the same. @defaultValue false */
  readonly again?: boolean
}

/**
 * Puts the folder's policy in force as it is now, if it is another one, and what signatures approve under it.
 *
 * @returns whether the policy is another one.
 * @throws {McbnError} as `Store.reloadPolicy`, `Participant.replacePolicy` and `signedImages`: what was in force
 * stays in force.
 */
export async function reloadStoredPolicy(
  store: ParticipantStore,
  participant: Participant,
  { attestation, verifiers, signedImages: read, again = false }: ReloadPolicyOptions = {},
): Promise<boolean> {
  let usable = verifiers
  const changed = await store.reloadPolicy((policy) => {
    usable ??= [...createVerifiers(policy, attestation).values()]
  })
  const { policy, policyHash } = store
  if (!policy || !policyHash || (!changed && !again)) return false
  usable ??= [...createVerifiers(policy, attestation).values()]
  const signedImages = await read?.(policy)
  // Another reload was faster.
  if (store.policyHash !== policyHash) return changed
  participant.replacePolicy({
    ...{ policy, policyHash, verifiers: usable },
    ...(signedImages !== undefined && { signedImages }),
  })
  return changed
}

/**
 * Withdraws while no participant runs: signed, stored, in the audit. Needs no policy.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` before the first epoch: there is nothing to withdraw from.
 */
export async function withdrawStored(
  store: ParticipantStore,
  clock: Clock = systemClock,
): Promise<Withdrawal> {
  const { label } = store
  const dh = toBase64url(descriptorOf(store).hash)
  const { pending } = PARTICIPANT_LIMITS
  const will = new Will({
    clock,
    state: store.state,
    pending,
    write: (line) => store.audit.append(line),
  })
  const withdrawnAt = toUnixSeconds(clock.wall())
  const { withdrawal } = await will.withdraw(() =>
    signWithdrawal({ label, dh, withdrawnAt }, store.keys.ed25519),
  )
  return withdrawal
}

/**
 * Decides beside the processes that run, in a store that several share; they hear of it.
 *
 * @param digits - the id of a waiting request or earlier decision, or the first 16 digits of it or more.
 * @throws {McbnError} `MCBN_OPTION_RANGE` where no id, or more than one, begins like this.
 */
export async function decideStored(
  store: ParticipantStore,
  digits: string,
  decision: Decision['decision'],
  { seconds, clock = systemClock }: { readonly seconds?: number; readonly clock?: Clock } = {},
): Promise<Decision> {
  const { pending } = PARTICIPANT_LIMITS
  const write = (line: AuditEntry) => store.audit.append(line)
  const will = new Will({ clock, state: store.state, pending, write })
  for (const line of store.audit.recent()) {
    if (line.event === 'pending') will.approvals.announce(line)
  }
  const [id, second] = digits.length < 16 ? [] : will.approvals.beginningWith(digits)
  if (id !== undefined && second === undefined) return await will.decide(id, decision, seconds)
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    'id: expected the first 16 digits, or more, of one waiting request or earlier decision, got those of none or of several',
  )
}

function descriptorOf(store: ParticipantStore): VerifiedDescriptor {
  if (store.descriptor === undefined) throw missing(store)
  return store.descriptor
}

function missing({ name }: ParticipantStore): McbnError {
  return new McbnError(
    'MCBN_STORE_INVALID',
    `${name}: expected share and descriptor of a ceremony, got none; install them first`,
  )
}
