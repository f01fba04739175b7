// Bytes inside JSON: base64url without padding (RFC 4648 section 5), one spelling for each value.

/** The text of some bytes. */
export function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/** By how many bytes are left after groups of three: the bits of the last character that stand for nothing are zero. */
const SPELLINGS = [
  /^[A-Za-z0-9_-]*$/,
  /^[A-Za-z0-9_-]*[AQgw]$/,
  /^[A-Za-z0-9_-]*[AEIMQUYcgkosw048]$/,
] as const

/**
 * Whether it is the text of exactly `length` bytes. Refuses padding, other alphabets, white space and unused bits
 * that are not zero, so that no two texts stand for the same bytes.
 */
export function isBase64url(text: unknown, length: number): text is string {
  if (typeof text !== 'string' || text.length !== Math.ceil((length * 4) / 3)) return false
  return SPELLINGS[length % 3]?.test(text) === true
}

/**
 * Reads text of exactly `length` bytes, as {@link isBase64url} has it.
 *
 * @returns fresh bytes outside Node's shared pool; `undefined` for anything else.
 */
export function fromBase64url(text: unknown, length: number): Buffer | undefined {
  if (!isBase64url(text, length)) return undefined
  const bytes = Buffer.alloc(length)
  bytes.write(text, 'base64url')
  return bytes
}
