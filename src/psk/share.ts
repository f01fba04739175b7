// One participant's share: 32 bytes, or the 64 lower-case hex digits that stand for them. Every
// refusal names the participant, since the person who reads it has to know whom to ask.

import { timingSafeEqual } from 'node:crypto'
import { types } from 'node:util'
import { McbnError } from '../errors.js'
import { secretCopy } from '../secret-bytes.js'
import { decodeHex } from './hex.js'

/** Bytes of a share. */
export const SHARE_BYTES = 32

/** A share as callers hand it over: 32 bytes, or 64 lower-case hex digits. Bytes can be wiped. */
export type Share = Uint8Array | string

/** A participant's name in a descriptor: 1 to 63 of `a-z 0-9 . _ -`, the first a letter or digit. */
export const LABEL = /^[a-z0-9][a-z0-9._-]{0,62}$/

/** A share that has been checked, with the name its participant goes by in messages. */
export interface CheckedShare {
  readonly participant: string
  /** A copy, 32 bytes; the caller owns and wipes it. */
  readonly bytes: Buffer
}

/**
 * Checks and copies all shares of one derivation; if one is refused, the copies are wiped.
 *
 * @param shares - participant and share, in the order in which they enter the derivation.
 * @returns copies, in the same order; the caller owns and wipes them with {@link wipeShares}.
 * @throws {McbnError} `MCBN_SHARE_INVALID` with `participant`: fewer than two shares, a wrong type or
 * length, text that is not 64 lower-case hex digits, all bytes equal, the same share twice.
 */
export function checkShares(shares: Iterable<readonly [string, Share]>): CheckedShare[] {
  const checked: CheckedShare[] = []
  try {
    for (const [participant, share] of shares) {
      const bytes = copyShare(share, participant)
      const earlier = checked.find((other) => timingSafeEqual(other.bytes, bytes))
      checked.push({ participant, bytes })
      if (bytes.every((byte) => byte === bytes[0])) {
        throw invalid(participant, 'expected random bytes, got 32 equal ones')
      }
      if (earlier !== undefined) {
        throw invalid(
          participant,
          `expected a share that no other participant has, got that of ${earlier.participant}`,
        )
      }
    }
    if (checked.length < 2) {
      throw new McbnError(
        'MCBN_SHARE_INVALID',
        `shares: expected those of at least 2 participants, got ${checked.length}`,
      )
    }
    return checked
  } catch (error) {
    wipeShares(checked)
    throw error
  }
}

/** Overwrites the copies that {@link checkShares} made. */
export function wipeShares(shares: readonly CheckedShare[]): void {
  for (const { bytes } of shares) bytes.fill(0)
}

function copyShare(share: Share, participant: string): Buffer {
  if (typeof share === 'string') {
    if (/^[0-9a-f]*$/.test(share) && share.length !== SHARE_BYTES * 2) {
      throw invalid(participant, `expected ${SHARE_BYTES * 2} hex digits, got ${share.length}`)
    }
    return decodeHex(share, name(participant), 'MCBN_SHARE_INVALID', 'lower', participant)
  }
  if (!types.isUint8Array(share)) {
    const got = share === null ? 'null' : typeof share
    throw invalid(participant, `expected ${SHARE_BYTES} bytes as Uint8Array, got ${got}`)
  }
  if (share.length !== SHARE_BYTES) {
    throw invalid(participant, `expected ${SHARE_BYTES} bytes, got ${share.length}`)
  }
  return secretCopy(share)
}

function name(participant: string): string {
  return `share of ${participant}`
}

function invalid(participant: string, problem: string): McbnError {
  return new McbnError('MCBN_SHARE_INVALID', `${name(participant)}: ${problem}`, { participant })
}
