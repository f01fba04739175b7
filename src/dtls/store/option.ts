// The option `sessionStore`, checked where the public call comes in.

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { objectOption, typeName } from '../../options.js'
import { sealingKeyOption } from '../session-transfer.js'
import { fileSessionStore } from './file-store.js'
import { SessionRows } from './session-rows.js'
import type { DtlsSessionStoreOptions, SessionStore } from './types.js'

const OPTIONS = {
  store: undefined,
  sealingKey: undefined,
} as const satisfies OptionTable<DtlsSessionStoreOptions>
const METHODS = ['open', 'rows', 'write', 'close'] as const satisfies (keyof SessionStore)[]

/**
 * @returns what makes the rows of a server that begins to listen; undefined: there is no store.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_UNKNOWN`.
 */
export function sessionRowsOption(
  value: unknown,
  onOutage: (error: McbnError) => void,
): (() => SessionRows) | undefined {
  if (value === undefined) return undefined
  objectOption('sessionStore', value)
  refuseUnknown('sessionStore', value, OPTIONS)
  const { store: given, sealingKey } = value as Partial<DtlsSessionStoreOptions>
  const key = Buffer.from(sealingKeyOption(sealingKey))
  const store = typeof given === 'string' ? fileSessionStore(given) : given
  const complete =
    typeof store === 'object' &&
    store !== null &&
    METHODS.every((method) => typeof store[method] === 'function')
  if (!complete) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `sessionStore.store: expected a path or a SessionStore, got ${typeName(given)}`,
    )
  }
  return () => new SessionRows(store, key, onOutage)
}
