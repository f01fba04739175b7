// The public side of t-of-n: the joint polynomial's commitments, and what follows from them for each
// participant. ristretto255 (RFC 9496) has no cofactor, and its encodings are unique.

import { ristretto255 } from '@noble/curves/ed25519.js'
import { fromBase64url } from '../base/base64url.js'

// With its type named: a declaration file cannot spell out an anonymous class.
const Point: typeof ristretto255.Point = ristretto255.Point
/** A ristretto255 element. */
export type GroupElement = InstanceType<typeof Point>

/**
 * Reads an element in its one encoding. The identity is refused (RFC 9591 section 3.1): as a commitment it
 * would mean a coefficient of zero, as a verifying share a share of zero.
 *
 * @param text - base64url, 32 bytes.
 * @returns `undefined` for anything else.
 */
export function decodeElement(text: string): GroupElement | undefined {
  const bytes = fromBase64url(text, 32)
  if (bytes === undefined) return undefined
  try {
    const point = Point.fromBytes(bytes)
    return point.is0() ? undefined : point
  } catch {
    return undefined
  }
}

/**
 * The verifying share of the participant at one position: the joint polynomial, in the exponent, at
 * position + 1 (RFC 9591 appendix C.2).
 *
 * @param group - commitments to the polynomial's coefficients, the constant one first.
 * @param position - the participant's place among the sorted labels, from 0.
 */
export function verifyingShare(group: readonly GroupElement[], position: number): GroupElement {
  const x = BigInt(position + 1)
  // Horner's rule. Everything here is public, so speed may depend on it.
  return group.reduceRight((sum, commitment) => sum.multiplyUnsafe(x).add(commitment), Point.ZERO)
}
