import { types } from 'node:util'
import { McbnError } from '../../errors.js'
import { fromBase64url } from '../base/base64url.js'

/** Bytes as the code has them, or base64url as the messages have them. */
export type Binary = Uint8Array | string

/**
 * Takes bytes of exactly one length.
 *
 * @returns fresh bytes.
 * @throws {McbnError} `MCBN_RELEASE_INVALID` naming the field; never its content.
 */
export function binary(value: Binary, length: number, name: string): Buffer {
  const bytes = types.isUint8Array(value) ? Buffer.from(value) : fromBase64url(value, length)
  if (bytes?.length === length) return bytes
  const got = types.isUint8Array(value) ? `${value.length}` : `other ${typeof value}`
  throw new McbnError('MCBN_RELEASE_INVALID', `${name}: expected ${length} bytes, got ${got}`)
}
