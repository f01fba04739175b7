// A participant out of its folder: everything it is made of, as it was kept.

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import type { Verifier } from '../attestation/types.js'
import { createVerifiers, type VerifiersOptions } from '../attestation/verifiers.js'
import { toBase64url } from '../base/base64url.js'
import { type Clock, systemClock } from '../base/clock.js'
import { toUnixSeconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Withdrawal } from '../release/messages.js'
import { signWithdrawal } from '../release/sign.js'
import type { Store } from '../store/store.js'
import { PARTICIPANT_LIMITS, type ParticipantLimits } from './options.js'
import { createParticipant, type Participant } from './participant.js'
import { Will } from './will.js'

export interface StoredParticipantOptions {
  /** Roots to trust, and verifiers of other kinds; what the policy names is made from this. */
  readonly attestation?: VerifiersOptions
  /** In place of `attestation`. */
  readonly verifiers?: Iterable<Verifier>
  readonly limits?: ParticipantLimits
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
}

const OPTIONS = {
  attestation: undefined,
  verifiers: undefined,
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
  store: Store,
  options: StoredParticipantOptions = {},
): Participant {
  refuseUnknown('participantOfStore', options, OPTIONS)
  const { attestation, verifiers, limits, clock } = options
  const descriptor = descriptorOf(store)
  const { policy } = store
  if (policy === undefined) {
    throw new McbnError(
      'MCBN_STORE_INVALID',
      `${store.dir}: expected policy.json, got none; without rules nothing is released`,
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
      ...(clock !== undefined && { clock }),
      ...(limits !== undefined && { limits }),
    })
  } finally {
    share.fill(0)
  }
}

/**
 * Puts the folder's policy in force as it is now, if it is another one.
 *
 * @returns whether it is.
 * @throws {McbnError} as `Store.reloadPolicy` and `Participant.replacePolicy`: the policy before stays in force.
 */
export async function reloadStoredPolicy(
  store: Store,
  participant: Participant,
  { attestation, verifiers }: StoredParticipantOptions = {},
): Promise<boolean> {
  let usable = verifiers
  const changed = await store.reloadPolicy((policy) => {
    usable ??= [...createVerifiers(policy, attestation).values()]
  })
  const { policy, policyHash } = store
  if (!changed || !policy || !policyHash || !usable) return false
  participant.replacePolicy({ policy, policyHash, verifiers: usable })
  return true
}

/**
 * Withdraws while no participant runs: signed, stored, in the audit. Needs no policy.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` before the first epoch: there is nothing to withdraw from.
 */
export async function withdrawStored(
  store: Store,
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

function descriptorOf(store: Store): VerifiedDescriptor {
  if (store.descriptor === undefined) throw missing(store)
  return store.descriptor
}

function missing({ dir }: Store): McbnError {
  return new McbnError(
    'MCBN_STORE_INVALID',
    `${dir}: expected share and descriptor of a ceremony, got none; install them first`,
  )
}
