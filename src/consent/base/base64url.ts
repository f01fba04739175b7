// Bytes inside JSON: base64url without padding (RFC 4648 section 5), one spelling for each value.

/** The text of some bytes. */
export function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/**
 * Reads text of exactly `length` bytes. Refuses padding, other alphabets, white space and unused bits that
 * are not zero, so that no two texts stand for the same bytes.
 *
 * @returns fresh bytes outside Node's shared pool; `undefined` for anything else.
 */
export function fromBase64url(text: unknown, length: number): Buffer | undefined {
  if (typeof text !== 'string' || text.length !== Math.ceil((length * 4) / 3)) return undefined
  const decoded = Buffer.from(text, 'base64url')
  if (decoded.length !== length || decoded.toString('base64url') !== text) return undefined
  const bytes = Buffer.alloc(length)
  bytes.set(decoded)
  decoded.fill(0)
  return bytes
}
