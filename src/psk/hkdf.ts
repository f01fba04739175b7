// HKDF (RFC 5869) in its two steps. node:crypto's hkdfSync always does both, but mcbn/1 keeps one
// PRK for several keys, and RFC 9258 puts a TLS label between them.

import { createHmac } from 'node:crypto'
import { McbnError } from '../errors.js'
import { secretBytes } from '../secret-bytes.js'
import { uint16 } from './encoding.js'
import type { PskHash } from './types.js'

/** HashLen of RFC 5869, in bytes. */
export const HASH_BYTES = { sha256: 32, sha384: 48 } as const satisfies Record<PskHash, number>

/** What stands before every label of a protocol (RFC 8446 section 7.1, RFC 9147 section 5.9). */
export type LabelPrefix = 'tls13 ' | 'dtls13'

/**
 * HKDF-Extract (RFC 5869 section 2.2).
 *
 * @param salt - not secret; empty means HashLen zero bytes, as the RFC says.
 * @param ikm - the input keying material; borrowed, never modified.
 * @returns the PRK, HashLen fresh bytes; the caller owns and wipes them.
 */
export function hkdfExtract(hash: PskHash, salt: Uint8Array, ikm: Uint8Array): Buffer {
  const key = salt.length === 0 ? Buffer.alloc(HASH_BYTES[hash]) : salt
  return createHmac(hash, key).update(ikm).digest()
}

/**
 * HKDF-Expand (RFC 5869 section 2.3).
 *
 * @param prk - at least HashLen bytes; borrowed, never modified.
 * @param info - the context that separates this key from every other; may be empty.
 * @param length - bytes of output, 1 to 255 * HashLen. 0 is refused: nobody means an empty key.
 * @returns fresh bytes, outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_OPTION_RANGE` for a PRK too short or a length out of range.
 */
export function hkdfExpand(
  hash: PskHash,
  prk: Uint8Array,
  info: Uint8Array,
  length: number,
): Buffer {
  const hashBytes = HASH_BYTES[hash]
  if (prk.length < hashBytes) {
    throw outOfRange('prk', `at least ${hashBytes} bytes`, `${prk.length}`)
  }
  if (!Number.isInteger(length) || length < 1 || length > 255 * hashBytes) {
    throw outOfRange('length', `an integer from 1 to ${255 * hashBytes}`, String(length))
  }
  const output = secretBytes(length)
  let block: Buffer = Buffer.alloc(0)
  for (let counter = 1, at = 0; at < length; counter += 1, at += hashBytes) {
    const next = createHmac(hash, prk).update(block).update(info).update(Uint8Array.of(counter))
    block.fill(0)
    block = next.digest()
    block.copy(output, at)
  }
  block.fill(0)
  return output
}

/**
 * HKDF-Expand-Label (RFC 8446 section 7.1; RFC 9147 section 5.9 for the prefix of DTLS 1.3).
 *
 * @param secret - at least HashLen bytes; borrowed, never modified.
 * @param label - ASCII, without the prefix; with it at most 255 bytes.
 * @param context - at most 255 bytes, usually a hash.
 * @param length - bytes of output, 1 to 255 * HashLen.
 * @returns fresh bytes, outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_OPTION_RANGE` when an input is out of range.
 */
export function hkdfExpandLabel(
  hash: PskHash,
  secret: Uint8Array,
  prefix: LabelPrefix,
  label: string,
  context: Uint8Array,
  length: number,
): Buffer {
  const fullLabel = Buffer.from(prefix + label, 'latin1')
  if (fullLabel.length > 255) throw outOfRange('label', 'at most 255 bytes', `${fullLabel.length}`)
  if (context.length > 255) throw outOfRange('context', 'at most 255 bytes', `${context.length}`)
  if (!Number.isInteger(length) || length < 1 || length > 255 * HASH_BYTES[hash]) {
    throw outOfRange('length', `an integer from 1 to ${255 * HASH_BYTES[hash]}`, String(length))
  }
  const hkdfLabel = Buffer.concat([
    uint16(length),
    Uint8Array.of(fullLabel.length),
    fullLabel,
    Uint8Array.of(context.length),
    context,
  ])
  return hkdfExpand(hash, secret, hkdfLabel, length)
}

function outOfRange(name: string, expected: string, got: string): McbnError {
  return new McbnError('MCBN_OPTION_RANGE', `${name}: expected ${expected}, got ${got}`)
}
