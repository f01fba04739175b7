// The byte encodings that every mcbn/1 hash is built from: lp(x) is a uint16 length and then x,
// integers are big-endian. Each field says its own length, so that no two inputs that differ can
// ever become the same bytes.

import { McbnError } from '../errors.js'
import { secretBytes } from '../secret-bytes.js'

/** The longest field that {@link lengthPrefixed} can carry, in bytes. */
export const FIELD_MAX_BYTES = 0xffff

/**
 * lp(x): uint16 big-endian length, then the bytes (a string as UTF-8).
 *
 * @returns fresh bytes; the caller owns and, where `field` is secret, wipes them.
 * @throws {McbnError} `MCBN_OPTION_RANGE` above 65,535 bytes.
 */
export function lengthPrefixed(field: string | Uint8Array): Buffer {
  const length = fieldLength(field)
  // Not Buffer.concat: it takes memory from Node's shared pool, where a secret would linger.
  const out = typeof field === 'string' ? Buffer.alloc(2 + length) : secretBytes(2 + length)
  out.writeUInt16BE(length)
  if (typeof field === 'string') out.write(field, 2, 'utf8')
  else out.set(field, 2)
  return out
}

/**
 * lp(x) of one field after another, in one piece. For what is not secret: the memory may be Node's shared pool.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` as {@link lengthPrefixed}.
 */
export function publicFields(...fields: readonly (string | Uint8Array)[]): Buffer {
  let size = 0
  for (const field of fields) size += 2 + fieldLength(field)
  const out = Buffer.allocUnsafe(size)
  let at = 0
  for (const field of fields) {
    const length = Buffer.byteLength(field)
    at = out.writeUInt16BE(length, at)
    if (typeof field === 'string') out.write(field, at, 'utf8')
    else out.set(field, at)
    at += length
  }
  return out
}

function fieldLength(field: string | Uint8Array): number {
  const length = Buffer.byteLength(field)
  if (length <= FIELD_MAX_BYTES) return length
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `field: expected at most ${FIELD_MAX_BYTES} bytes, got ${length}`,
  )
}

/** u16: an integer of 0 to 65,535 as two big-endian bytes. */
export function uint16(value: number): Buffer {
  const out = Buffer.alloc(2)
  out.writeUInt16BE(value)
  return out
}

/** u32: an integer of 0 to 4,294,967,295 as four big-endian bytes. */
export function uint32(value: number): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}

/**
 * Joins secret pieces into one buffer outside Node's shared pool and wipes the pieces.
 *
 * @param pieces - owned by this call from now on.
 * @returns fresh bytes; the caller owns and wipes them.
 */
export function joinAndWipe(pieces: readonly Buffer[]): Buffer {
  const out = secretBytes(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    out.set(piece, at)
    at += piece.length
    piece.fill(0)
  }
  return out
}
