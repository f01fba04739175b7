// What must fit together before a participant starts: a mistake found here costs a minute, found by the
// workloads it costs everybody's afternoon.

import { McbnError } from '../../errors.js'
import type { Verifier } from '../attestation/types.js'
import { publicKeys } from '../base/keys.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { checkPolicyAgainst } from '../policy/parse.js'
import type { Policy } from '../policy/types.js'
import { checkReleasedShare } from '../shares/check.js'
import type { ParticipantOptions } from './options.js'

/** @throws {McbnError} as `createParticipant` says. */
export function checkParticipant({
  descriptor,
  label,
  keys,
  share,
  policy,
  verifiers,
  audit,
}: ParticipantOptions & { readonly verifiers: readonly Verifier[] }): void {
  const { participants } = descriptor.descriptor
  const self = participants.find((participant) => participant.label === label)
  if (self === undefined) {
    const labels = participants.map((participant) => participant.label).join(', ')
    throw conflict(`label: expected a participant of the descriptor (${labels}), got another one`)
  }
  const own = publicKeys(keys)
  if (own.ed25519 !== self.ed25519 || own.x25519 !== self.x25519) {
    throw conflict(`keys: expected those that the descriptor has for ${label}, got others`)
  }
  checkPolicy(policy, descriptor, verifiers)
  if (audit !== undefined && typeof audit.append !== 'function') {
    throw new McbnError('MCBN_OPTION_TYPE', 'audit: expected an object with append()')
  }
  checkReleasedShare(descriptor, label, share)
}

/** What a policy needs around it. @throws {McbnError} `MCBN_POLICY_INVALID`, `MCBN_OPTION_CONFLICT`. */
export function checkPolicy(
  policy: Policy,
  descriptor: VerifiedDescriptor,
  verifiers: readonly Verifier[],
): void {
  checkPolicyAgainst(policy, descriptor)
  const kinds = verifiers.map(({ kind }) => kind)
  for (const role of [policy.roles.client, policy.roles.server]) {
    const missing = role?.attestation.find((kind) => !kinds.includes(kind))
    if (missing === undefined) continue
    throw conflict(`verifiers: expected one for each kind of the policy, got none for ${missing}`)
  }
}

function conflict(message: string): McbnError {
  return new McbnError('MCBN_OPTION_CONFLICT', message)
}
