import type { ParticipantKeys } from '../../src/consent/base/keys.js'
import { packageHash, signMessage } from '../../src/consent/ceremony/messages.js'
import type { CheckedPlan } from '../../src/consent/ceremony/plan.js'

/** A package that its sender has signed, but never promised. */
export function forgePackage(plan: CheckedPlan, from: string, keys: ParticipantKeys): Buffer {
  const body = {
    commitment: packageHash(plan, from, { commitment: 'A'.repeat(43) }).toString('base64url'),
  }
  return signMessage(plan, keys.ed25519, { round: 'package', from, body })
}
