// The option `sessionStore`, checked where the public call comes in.

import { resolve } from 'node:path'
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

/** The option with nothing left open. */
export interface ResolvedSessionStore {
  readonly store: SessionStore
  /** Equal for options that name the same store. */
  readonly place: string | SessionStore
  /** A copy. */
  readonly sealingKey: Buffer
}

/**
 * @returns what makes the rows of a server that begins to listen; undefined: there is no store.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_UNKNOWN`.
 */
export function sessionRowsOption(
  value: unknown,
  onOutage: (error: McbnError) => void,
): (() => SessionRows) | undefined {
  if (value === undefined) return undefined
  const { store, sealingKey } = sessionStoreOption(value)
  return () => new SessionRows(store, sealingKey, onOutage)
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_UNKNOWN`. */
export function sessionStoreOption(value: unknown): ResolvedSessionStore {
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
  const place = typeof given === 'string' ? resolve(given) : store
  return { store, place, sealingKey: key }
}
