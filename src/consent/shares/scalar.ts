// The secret side of t-of-n: scalars of ristretto255, as 32 little-endian bytes below the group's order
// (RFC 9496 section 4.4). JavaScript cannot wipe the integers made of them here; they live as short as
// the calls do.

import { ristretto255, ristretto255_FROST } from '@noble/curves/ed25519.js'
import type { GroupElement } from '../descriptor/group.js'

const { Point } = ristretto255

/** @returns `undefined` unless the one encoding of a scalar; zero is one. */
export function decodeScalar(bytes: Uint8Array): bigint | undefined {
  try {
    return Point.Fn.fromBytes(bytes)
  } catch {
    return undefined
  }
}

/** scalar * G; the scalar is not zero. */
export function publicElement(scalar: bigint): GroupElement {
  return Point.BASE.multiply(scalar)
}

/** How the library names the participant at one position of the sorted labels, from 0. */
export function identifier(position: number): string {
  return ristretto255_FROST.Identifier.fromNumber(position + 1)
}
