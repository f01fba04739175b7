import { types } from 'node:util'
import { McbnError } from '../errors.js'
import { secretBytes, secretCopy } from '../secret-bytes.js'
import { decodeHex } from './hex.js'
import type { PskKey } from './types.js'

/** Shortest key, in bytes: 128 bits, the least that RFC 9257 section 6 allows. */
export const KEY_MIN_BYTES = 16
/** Longest key, in bytes: what OpenSSL takes (PSK_MAX_PSK_LEN); RFC 4279 section 5.3 asks for 64. */
export const KEY_MAX_BYTES = 512

/**
 * Copies a key and checks the copy, so that nobody can change the bytes between check and use.
 *
 * The check reads every byte whatever they are, and no message tells more than the length.
 *
 * @param key - borrowed; the caller may wipe it once the call has returned.
 * @param name - what the key is called in the message.
 * @returns fresh bytes, outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_KEY_INVALID` unless a Uint8Array of 16 to 512 bytes, not all zero.
 */
export function copyPskKey(key: PskKey, name = 'key'): Buffer {
  if (!types.isUint8Array(key)) {
    const hint = typeof key === 'string' ? '; decode it first: Buffer.from(text, "hex")' : ''
    throw invalid(`${name}: expected a Uint8Array, got ${typeName(key)}${hint}`)
  }
  const { length } = key
  if (length < KEY_MIN_BYTES || length > KEY_MAX_BYTES) {
    throw invalid(`${name}: expected ${KEY_MIN_BYTES} to ${KEY_MAX_BYTES} bytes, got ${length}`)
  }
  const copy = secretCopy(key)
  // No early exit: how long the check takes must not depend on the key.
  let seen = 0
  for (const byte of copy) seen |= byte
  if (seen === 0) {
    throw invalid(`${name}: all ${copy.length} bytes are zero; use bytes from a random source`)
  }
  return copy
}

/**
 * Reads a key that a person typed: `hex:` and hex digits of either case (the prefix may be left
 * out), or `ascii:` and the key's own characters, space to tilde.
 *
 * `ascii:` exists because published commands use the 64 hex digits of a key as the key itself.
 *
 * @param text - never repeated in a message.
 * @param name - what the key is called in the message.
 * @returns fresh bytes, outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_KEY_INVALID` for other characters, or a key that breaks the rules of
 * {@link copyPskKey}.
 */
export function parseKeyText(text: string, name = 'key'): Buffer {
  const bytes = text.startsWith('ascii:')
    ? decodeAscii(text.slice('ascii:'.length), name)
    : decodeHexKey(text.startsWith('hex:') ? text.slice('hex:'.length) : text, name)
  try {
    return copyPskKey(bytes, name)
  } finally {
    bytes.fill(0)
  }
}

function decodeHexKey(digits: string, name: string): Buffer {
  try {
    return decodeHex(digits, name, 'MCBN_KEY_INVALID')
  } catch (error) {
    if (!(error instanceof McbnError)) throw error
    throw invalid(`${error.message}; for a key that is text write ascii:<key>`)
  }
}

function decodeAscii(characters: string, name: string): Buffer {
  if (!/^[ -~]*$/.test(characters)) {
    throw invalid(`${name}: expected ASCII characters from space to tilde after ascii:`)
  }
  const bytes = secretBytes(characters.length)
  bytes.write(characters, 'latin1')
  return bytes
}

/** The type of a wrong value, never its content. */
function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value !== 'object') return typeof value
  return value.constructor?.name ?? 'object'
}

function invalid(message: string): McbnError {
  return new McbnError('MCBN_KEY_INVALID', message)
}
