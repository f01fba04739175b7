// What may be handed to `send`.

import { types } from 'node:util'
import { McbnError } from '../errors.js'
import { typeName } from '../options.js'

/** What a socket sends: bytes, or a string as UTF-8. */
export type Datagram = string | Uint8Array | DataView

/**
 * A message that may be sent.
 *
 * @param limit - bytes of the largest.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_MESSAGE_TOO_LARGE`.
 */
export function checkedBytes(data: Datagram, limit: number): Uint8Array {
  const message = bytesOf(data)
  if (message.length === 0) {
    throw new McbnError('MCBN_OPTION_RANGE', 'data: expected at least 1 byte, got 0')
  }
  if (message.length > limit) {
    throw new McbnError(
      'MCBN_MESSAGE_TOO_LARGE',
      `data: expected at most maxDatagramSize (${limit}) bytes, got ` +
        `${message.length}; split the message, or raise mtu where the path carries more`,
    )
  }
  return message
}

function bytesOf(data: Datagram): Uint8Array {
  if (types.isUint8Array(data)) return data
  if (typeof data === 'string') return Buffer.from(data)
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  throw new McbnError(
    'MCBN_OPTION_TYPE',
    `data: expected a string or Uint8Array, got ${typeName(data)}`,
  )
}
