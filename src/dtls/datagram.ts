// What may be handed to `send`.

import { types } from 'node:util'
import { McbnError } from '../errors.js'
import { typeName } from '../options.js'

/** What a socket sends: bytes, or a string as UTF-8. */
export type Datagram = string | Uint8Array | DataView

/** @throws {McbnError} `MCBN_OPTION_TYPE`. */
export function bytesOf(data: Datagram): Uint8Array {
  if (types.isUint8Array(data)) return data
  if (typeof data === 'string') return Buffer.from(data)
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  throw new McbnError(
    'MCBN_OPTION_TYPE',
    `data: expected a string or Uint8Array, got ${typeName(data)}`,
  )
}
