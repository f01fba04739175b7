import { createHash } from 'node:crypto'
import { lengthPrefixed, publicFields } from '../../psk/encoding.js'
import type { Role } from '../descriptor/types.js'
import { type Binary, binary } from './binary.js'

const TITLE = lengthPrefixed('mcbn/1 release')

/** Everything that one piece of evidence is bound to. */
export interface NonceInput {
  /** Hash of the descriptor, 32 bytes. */
  readonly dh: Binary
  readonly role: Role
  /** The participant that asks for the evidence. */
  readonly label: string
  /** The participant's challenge, 32 bytes. */
  readonly c: Binary
  /** The workload's random bytes, 32. */
  readonly r: Binary
  readonly suite: string
  /** The workload's X25519 public key, 32 bytes. */
  readonly pk: Binary
}

/**
 * The nonce of one round: base64url(SHA-256(lp("mcbn/1 release") || dh || lp(role) || lp(label) || lp(c) || lp(r) ||
 * lp(suite) || lp(pk))). Anyone who alters any of these gets evidence for something else.
 *
 * @returns 43 characters.
 * @throws {McbnError} `MCBN_RELEASE_INVALID` for bytes of another length.
 */
export function releaseNonce({ dh, role, label, c, r, suite, pk }: NonceInput): string {
  return createHash('sha256')
    .update(TITLE)
    .update(binary(dh, 32, 'dh'))
    .update(
      publicFields(
        role,
        label,
        binary(c, 32, 'c'),
        binary(r, 32, 'r'),
        suite,
        binary(pk, 32, 'pk'),
      ),
    )
    .digest('base64url')
}

/** The audience of evidence for one participant: `mcbn://<network>/<label>`. */
export function audience(network: string, label: string): string {
  return `mcbn://${network}/${label}`
}
