// The arguments and the refusals of exportKeyingMaterial (RFC 5705, RFC 8446 section 7.5).

import { McbnError } from '../errors.js'
import { integerOption, stringOption, typeName } from '../options.js'

/** HKDF-Expand gives at most 255 blocks (RFC 5869 section 2.3); SHA-256's are the smallest in use. */
const MAX_BYTES = 255 * 32

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`. */
export function checkExporterArguments(length: unknown, label: unknown, context: unknown): void {
  if (length === undefined || label === undefined) {
    throw new McbnError('MCBN_OPTION_TYPE', 'exportKeyingMaterial: expected a length and a label')
  }
  integerOption('length', length, { min: 1, max: MAX_BYTES, unit: 'bytes' }, 0)
  stringOption('label', label)
  if (context === undefined || context instanceof Uint8Array) return
  throw new McbnError(
    'MCBN_OPTION_TYPE',
    `context: expected a Uint8Array, got ${typeName(context)}`,
  )
}

export function exporterUnavailable(opened: boolean, closed: boolean): McbnError {
  const why = !opened
    ? 'the handshake is not done; wait for secureConnect'
    : closed
      ? 'the socket is closed'
      : 'the TLS 1.2 peer has no extended master secret (RFC 7627); use TLS 1.3'
  return new McbnError('MCBN_EXPORTER_UNAVAILABLE', `exportKeyingMaterial: ${why}`)
}
