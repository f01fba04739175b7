import { createHash } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed, uint32 } from '../../psk/encoding.js'
import { SHARE_BYTES } from '../../psk/share.js'

/** What a commitment binds a share to. */
export interface CommitmentInput {
  readonly network: string
  readonly epoch: number
  readonly label: string
  /** 32 bytes; borrowed, never modified. */
  readonly share: Uint8Array
}

/**
 * The commitment to a share, n-of-n: SHA-256(lp("mcbn/1 commit") || lp(network) || u32(epoch) || lp(label) ||
 * lp(share)). A share is 32 random bytes, so its hash can be published.
 *
 * @returns 32 bytes, public.
 * @throws {McbnError} `MCBN_SHARE_INVALID` with `participant` for another length.
 */
export function shareCommitment({ network, epoch, label, share }: CommitmentInput): Buffer {
  if (share.length !== SHARE_BYTES) {
    throw new McbnError(
      'MCBN_SHARE_INVALID',
      `share of ${label}: expected ${SHARE_BYTES} bytes, got ${share.length}`,
      { participant: label },
    )
  }
  const field = lengthPrefixed(share)
  try {
    return createHash('sha256')
      .update(lengthPrefixed('mcbn/1 commit'))
      .update(lengthPrefixed(network))
      .update(uint32(epoch))
      .update(lengthPrefixed(label))
      .update(field)
      .digest()
  } finally {
    field.fill(0)
  }
}
