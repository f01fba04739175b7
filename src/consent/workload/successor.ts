// Whether one descriptor may follow another.

import { McbnError } from '../../errors.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'

/**
 * Both are signed by all that they list, but anybody can list themselves. What makes the next one the
 * word of the same people is that they all have signed it, with the same keys; or that it is pinned.
 *
 * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID`.
 */
export function demandSuccessor(
  current: VerifiedDescriptor,
  next: VerifiedDescriptor,
  pinned: boolean,
): void {
  const { network, epoch, participants } = current.descriptor
  if (next.descriptor.network !== network) {
    throw invalid('network: expected the same as before, got another one')
  }
  if (next.descriptor.epoch <= epoch) {
    throw invalid(`epoch: expected one after ${epoch}, got ${next.descriptor.epoch}`)
  }
  if (pinned) return
  for (const { label, ed25519 } of participants) {
    if (next.participant(label)?.ed25519 === ed25519) continue
    throw invalid(
      `${label}: expected the same participant and key as in epoch ${epoch}; ` +
        'if this is meant, pin the descriptor with descriptorHash',
      label,
    )
  }
}

function invalid(problem: string, participant?: string): McbnError {
  return new McbnError('MCBN_DESCRIPTOR_INVALID', `next descriptor, ${problem}`, { participant })
}
