// What has to be kept secret between the steps of a ceremony, and how it becomes bytes to be sealed:
//
//   share        0x01 || 32 bytes
//   polynomial   0x02 || identifier || t || t scalars || t points || proof     of 1, 1, 32 t, 32 t, 64 bytes
//
// The points follow from the scalars; they stand here to save t multiplications at each start.

import { McbnError } from '../../errors.js'
import { secretBytes } from '../../secret-bytes.js'
import type { Polynomial } from './dkg.js'

/** n-of-n: the share from the start. t-of-n: a polynomial, until the share is made. */
export type CeremonySecret =
  | { readonly kind: 'share'; readonly share: Buffer }
  | { readonly kind: 'polynomial'; readonly polynomial: Polynomial }

const SHARE = 1
const POLYNOMIAL = 2

/** @returns fresh bytes; the caller seals and wipes them. */
export function encodeSecret(secret: CeremonySecret): Buffer {
  if (secret.kind === 'share') return join([Buffer.of(SHARE), secret.share])
  const { coefficients, public: shown } = secret.polynomial
  return join([
    Buffer.of(POLYNOMIAL, shown.identifier, coefficients.length),
    ...coefficients,
    ...shown.commitment,
    shown.proof,
  ])
}

/**
 * @param bytes - of {@link encodeSecret}, opened and so authenticated; borrowed.
 * @returns copies; the caller wipes them with {@link wipeSecret}.
 */
export function decodeSecret(bytes: Uint8Array): CeremonySecret {
  const [kind, identifier = 0, t = 0] = bytes
  if (kind === SHARE && bytes.length === 33) return { kind: 'share', share: copy(bytes, 1, 32) }
  if (kind === POLYNOMIAL && t > 0 && bytes.length === 3 + 64 * t + 64) {
    const scalars = Array.from({ length: t }, (_, at) => copy(bytes, 3 + 32 * at, 32))
    const points = Array.from({ length: t }, (_, at) => copy(bytes, 3 + 32 * (t + at), 32))
    const proof = copy(bytes, 3 + 64 * t, 64)
    const shown = { identifier, commitment: points, proof }
    return { kind: 'polynomial', polynomial: { coefficients: scalars, public: shown } }
  }
  throw new McbnError('MCBN_STORE_INVALID', 'secrets: expected those of a ceremony, got others')
}

/** Overwrites what of it is bytes. The library's own numbers are beyond reach: JavaScript cannot wipe them. */
export function wipeSecret(secret: CeremonySecret): void {
  if (secret.kind === 'share') secret.share.fill(0)
  else for (const scalar of secret.polynomial.coefficients) scalar.fill(0)
}

/** Outside Node's shared pool, where a secret would linger. */
function join(pieces: readonly Uint8Array[]): Buffer {
  const out = secretBytes(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
  }
  return out
}

function copy(bytes: Uint8Array, from: number, length: number): Buffer {
  const out = secretBytes(length)
  out.set(bytes.subarray(from, from + length))
  return out
}
