import type { McbnErrorCode } from '../errors.js'
import { McbnError } from '../errors.js'

/** Which digits count as hex: everything people type, or only the one canonical spelling. */
export type HexCase = 'any' | 'lower'

const EVERY_DIGIT = { any: /^[0-9a-fA-F]*$/, lower: /^[0-9a-f]*$/ } as const

/**
 * Reads hex digits, all of them or none: Buffer.from(text, 'hex') stops silently at the first other
 * character, which would turn a typing error into a short key.
 *
 * @param name - what the text is, for the message; the text itself is never shown.
 * @returns fresh bytes, outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `code`, when a character is not a hex digit or one digit is missing.
 */
export function decodeHex(
  text: string,
  name: string,
  code: McbnErrorCode,
  digits: HexCase = 'any',
  participant?: string,
): Buffer {
  const refuse = (expected: string, got: string) =>
    new McbnError(code, `${name}: expected ${expected}, got ${got}`, { participant })
  if (!EVERY_DIGIT[digits].test(text)) {
    throw refuse(digits === 'lower' ? 'lower-case hex digits' : 'hex digits', describe(text))
  }
  if (text.length % 2 !== 0) throw refuse('an even number of hex digits', `${text.length}`)
  const bytes = Buffer.alloc(text.length / 2)
  bytes.write(text, 'hex')
  return bytes
}

/**
 * Writes bytes as lower-case hex digits into bytes, not into a string: a Buffer can be wiped.
 *
 * @returns fresh ASCII bytes, twice as many; the caller owns and wipes them.
 */
export function encodeHex(bytes: Uint8Array): Buffer {
  const text = Buffer.alloc(bytes.length * 2)
  for (const [at, byte] of bytes.entries()) {
    text[at * 2] = digit(byte >> 4)
    text[at * 2 + 1] = digit(byte & 15)
  }
  return text
}

function digit(value: number): number {
  return value < 10 ? 0x30 + value : 0x61 + value - 10
}

/** What is wrong with the text, without repeating any of it: it can be most of a key. */
function describe(text: string): string {
  if (/^\s|\s$/.test(text)) return 'white space before or after them'
  if (/\s/.test(text)) return 'white space between them'
  if (/^0x/i.test(text)) return 'a 0x prefix'
  if (/^[0-9a-fA-F]*$/.test(text)) return 'upper-case letters'
  return 'other characters'
}
