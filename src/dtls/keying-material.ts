// What exportKeyingMaterial is asked for, and what it says when there is nothing to export.

import { types } from 'node:util'
import { McbnError } from '../errors.js'
import { integerOption, stringOption, typeName } from '../options.js'
import type { SocketHome } from './socket-home.js'

const MAX_EXPORT_BYTES = 16_384

/** @returns the label. @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`. */
export function checkedLabel(length: unknown, label: unknown, context: unknown): string {
  integerOption('length', length, { min: 1, max: MAX_EXPORT_BYTES, unit: 'bytes' }, 0)
  // Anything else would count as no context at all, and give other bytes than were asked for.
  if (context !== undefined && !types.isUint8Array(context)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `context: expected a Uint8Array, got ${typeName(context)}`,
    )
  }
  return stringOption('label', label === undefined ? null : label, 249) ?? ''
}

/** @throws {McbnError} `MCBN_EXPORTER_UNAVAILABLE`. */
export function keyingMaterialOf(
  home: SocketHome | undefined,
  session: number,
  length: number,
  label: string,
  context: Uint8Array | undefined,
): Buffer {
  const made = home?.thread.native.exportKeyingMaterial(
    home.endpoint,
    session,
    length,
    label,
    context,
  )
  if (made) return made
  throw noKeyingMaterial('open')
}

export function noKeyingMaterial(state: 'opening' | 'open' | 'closed'): McbnError {
  return new McbnError(
    'MCBN_EXPORTER_UNAVAILABLE',
    state === 'open'
      ? 'the DTLS 1.2 peer does not support the extended master secret (RFC 7627), so nothing can be exported ' +
          'safely; or more than 255 hashes were asked of DTLS 1.3'
      : `expected an open socket, it is ${state}`,
  )
}
