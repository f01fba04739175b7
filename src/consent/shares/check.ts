import { timingSafeEqual } from 'node:crypto'
import { types } from 'node:util'
import { McbnError } from '../../errors.js'
import { SHARE_BYTES } from '../../psk/share.js'
import { fromBase64url } from '../base/base64url.js'
import { decodeElement, verifyingShare } from '../descriptor/group.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { DescriptorParticipant } from '../descriptor/types.js'
import { shareCommitment } from './commitment.js'
import { InvalidShareError } from './problem.js'
import { decodeScalar, publicElement } from './scalar.js'

/**
 * Checks one participant's share against what all participants have signed: the commitment (n-of-n), or the
 * verifying share, which itself has to be the joint polynomial's (t-of-n).
 *
 * @param share - 32 bytes; borrowed, never modified.
 * @throws {InvalidShareError} `MCBN_SHARE_INVALID` with `participant` and `problem`: `malformed`,
 * `degenerate` or `commitment-mismatch`. {@link McbnError} of the same code for a stranger's label.
 */
export function checkReleasedShare(
  verified: VerifiedDescriptor,
  label: string,
  share: Uint8Array,
): void {
  const participant = demandShape(verified, label, share)
  if (share.every((byte) => byte === share[0])) {
    throw new InvalidShareError(label, 'degenerate', 'expected random bytes, got 32 equal ones')
  }
  if (verified.descriptor.mode === 'n-of-n') checkCommitment(verified, participant, share)
  else checkVerifyingShare(verified, participant, share)
}

/**
 * What can be said about a share without its content: that it is 32 bytes, of somebody whom the descriptor
 * knows.
 *
 * @throws as {@link checkReleasedShare}: `malformed`, or a stranger's label.
 */
export function demandShape(
  verified: VerifiedDescriptor,
  label: string,
  share: Uint8Array,
): DescriptorParticipant {
  const participant = verified.participant(label)
  if (participant === undefined) {
    const shown = String(label).slice(0, 63)
    throw new McbnError(
      'MCBN_SHARE_INVALID',
      `share of ${shown}: expected one of the descriptor's participants, got nobody of this label`,
      { participant: shown },
    )
  }
  if (!types.isUint8Array(share)) {
    throw new InvalidShareError(label, 'malformed', `expected a Uint8Array, got ${typeof share}`)
  }
  if (share.length !== SHARE_BYTES) {
    const detail = `expected ${SHARE_BYTES} bytes, got ${share.length}`
    throw new InvalidShareError(label, 'malformed', detail)
  }
  return participant
}

function checkCommitment(
  { descriptor }: VerifiedDescriptor,
  { label, commitment }: DescriptorParticipant,
  share: Uint8Array,
): void {
  const { network, epoch } = descriptor
  const expected = fromBase64url(commitment, 32)
  const actual = shareCommitment({ network, epoch, label, share })
  if (expected !== undefined && timingSafeEqual(expected, actual)) return
  throw new InvalidShareError(
    label,
    'commitment-mismatch',
    'expected the share that the descriptor commits to, got another one',
  )
}

function checkVerifyingShare(
  verified: VerifiedDescriptor,
  { label, commitment }: DescriptorParticipant,
  share: Uint8Array,
): void {
  const scalar = decodeScalar(share)
  if (scalar === undefined) {
    throw new InvalidShareError(
      label,
      'malformed',
      "expected a scalar below the group's order, got other bytes",
    )
  }
  // Unreachable after the check for equal bytes; publicElement() depends on it.
  if (scalar === 0n) throw new InvalidShareError(label, 'degenerate', 'expected a scalar, got zero')
  const actual = publicElement(scalar)
  const group = (verified.descriptor.group ?? []).map(decodeElement)
  const listed = decodeElement(commitment)
  // The descriptor's own check has compared the two already; a share must not depend on that.
  if (
    listed?.equals(actual) &&
    verifyingShare(
      group.filter((element) => element !== undefined),
      verified.position(label),
    ).equals(actual)
  ) {
    return
  }
  throw new InvalidShareError(
    label,
    'commitment-mismatch',
    'expected the share that the descriptor has the verifying share of, got another one',
  )
}
