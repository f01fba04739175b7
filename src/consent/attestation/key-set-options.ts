// How the keys of an issuer are fetched and kept, for every kind of evidence that needs them.

import type { OptionTable } from '../../option-names.js'
import { functionOption, integerOption } from '../../options.js'
import { type Clock, systemClock } from '../base/clock.js'
import { RemoteKeys } from './jwks.js'
import type { JwtAlgorithm } from './jwt.js'
import { refused } from './refuse.js'

/** All durations in milliseconds. */
export interface KeySetOptions {
  /** How the key set is fetched. @defaultValue the global fetch. */
  readonly fetch?: typeof globalThis.fetch
  /** Age from which keys are fetched again. 1 to 86,400,000. @defaultValue 600_000 */
  readonly cacheMaxAge?: number
  /**
   * Age up to which keys are used while the address cannot be reached: a key that the issuer has revoked is
   * accepted no longer than this. At least `cacheMaxAge`, at most 86,400,000. @defaultValue 3_600_000
   */
  readonly staleMaxAge?: number
  /** Least time between two fetches, whatever arrives. 0 to 3,600,000. @defaultValue 30_000 */
  readonly cooldown?: number
  /** How long one fetch may take. 1 to 60,000. @defaultValue 5_000 */
  readonly timeout?: number
  /** Its monotonic clock counts the ages. @defaultValue systemClock */
  readonly clock?: Clock
}

export const KEY_SET_OPTIONS = {
  fetch: undefined,
  cacheMaxAge: undefined,
  staleMaxAge: undefined,
  cooldown: undefined,
  timeout: undefined,
  clock: undefined,
} as const satisfies OptionTable<KeySetOptions>

/** The one place where defaults are written. */
export const KEY_SET_DEFAULTS = {
  cacheMaxAge: 600_000,
  staleMaxAge: 3_600_000,
  cooldown: 30_000,
  timeout: 5_000,
} as const satisfies Partial<KeySetOptions>

const DAY = 86_400_000

/**
 * The key set at an address, which is fetched when the first token arrives.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for options out of their ranges.
 */
export function remoteKeys(
  address: string,
  algorithm: JwtAlgorithm,
  options: KeySetOptions,
): RemoteKeys {
  const cacheMaxAge = duration('cacheMaxAge', options.cacheMaxAge, 1, DAY)
  const least = options.staleMaxAge === undefined ? 1 : cacheMaxAge
  return new RemoteKeys({
    address,
    algorithm,
    fetch: functionOption('fetch', options.fetch) ?? globalThis.fetch,
    cacheMaxAge,
    staleMaxAge: Math.max(cacheMaxAge, duration('staleMaxAge', options.staleMaxAge, least, DAY)),
    cooldown: duration('cooldown', options.cooldown, 0, 3_600_000),
    timeout: duration('timeout', options.timeout, 1, 60_000),
    clock: options.clock ?? systemClock,
  })
}

/** The key id of a header. */
export function keyIdOf(kid: unknown): string {
  if (typeof kid !== 'string' || kid.length < 1 || kid.length > 256) {
    throw refused('header kid', 'expected 1 to 256 characters')
  }
  return kid
}

function duration(
  name: keyof typeof KEY_SET_DEFAULTS,
  value: unknown,
  min: number,
  max: number,
): number {
  return integerOption(name, value, { min, max, unit: 'ms' }, KEY_SET_DEFAULTS[name])
}
