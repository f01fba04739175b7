// Google Confidential Space, OIDC tokens: RS256 under keys that Google publishes at one fixed address.
// https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-validation-endpoint-fields

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { functionOption, integerOption } from '../../options.js'
import { type Clock, systemClock } from '../base/clock.js'
import { own } from './json.js'
import { RemoteKeys } from './jwks.js'
import { verifyJwt } from './jwt.js'
import { refused } from './refuse.js'
import type { Verifier } from './types.js'

export const GCP_CS_OIDC = 'gcp-cs-oidc'

/** The issuer of Confidential Space's tokens, both OIDC and PKI. */
export const GCP_CS_ISSUER = 'https://confidentialcomputing.googleapis.com'

/** Where its keys are: what the issuer's discovery document names, pinned so that nothing can redirect. */
export const GCP_CS_JWKS_URI =
  'https://www.googleapis.com/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com'

/** All durations in milliseconds. */
export interface GcpOidcOptions {
  /** How the key set is fetched. @defaultValue the global fetch. */
  readonly fetch?: typeof globalThis.fetch
  /** Age from which keys are fetched again. 1 to 86,400,000. @defaultValue 600_000 */
  readonly cacheMaxAge?: number
  /**
   * Age up to which keys are used while the address cannot be reached: a key that Google has revoked is
   * accepted no longer than this. At least `cacheMaxAge`, at most 86,400,000. @defaultValue 3_600_000
   */
  readonly staleMaxAge?: number
  /** Least time between two fetches, whatever arrives. 0 to 3,600,000. @defaultValue 30_000 */
  readonly cooldown?: number
  /** How long one fetch may take. 1 to 60,000. @defaultValue 5_000 */
  readonly timeout?: number
  /** Its monotonic clock counts the ages. @defaultValue systemClock */
  readonly clock?: Clock
  /** For tests: another address of the key set. Anyone who controls it can forge evidence. */
  readonly testing?: { readonly jwksUri: string }
}

const OPTIONS = {
  fetch: undefined,
  cacheMaxAge: undefined,
  staleMaxAge: undefined,
  cooldown: undefined,
  timeout: undefined,
  clock: undefined,
  testing: undefined,
} as const satisfies OptionTable<GcpOidcOptions>

/** The one place where defaults are written. */
export const GCP_OIDC_DEFAULTS = {
  cacheMaxAge: 600_000,
  staleMaxAge: 3_600_000,
  cooldown: 30_000,
  timeout: 5_000,
} as const satisfies Partial<GcpOidcOptions>

const DAY = 86_400_000

/**
 * A verifier of `gcp-cs-oidc`. Makes no request before the first token arrives.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for options out of their ranges.
 */
export function createGcpOidcVerifier(options: GcpOidcOptions = {}): Verifier {
  refuseUnknown('createGcpOidcVerifier', options, OPTIONS)
  const cacheMaxAge = duration('cacheMaxAge', options.cacheMaxAge, 1, DAY)
  const keys = new RemoteKeys({
    address: addressOf(options),
    fetch: functionOption('fetch', options.fetch) ?? globalThis.fetch,
    cacheMaxAge,
    staleMaxAge: Math.max(
      cacheMaxAge,
      duration(
        'staleMaxAge',
        options.staleMaxAge,
        options.staleMaxAge === undefined ? 1 : cacheMaxAge,
        DAY,
      ),
    ),
    cooldown: duration('cooldown', options.cooldown, 0, 3_600_000),
    timeout: duration('timeout', options.timeout, 1, 60_000),
    clock: options.clock ?? systemClock,
  })
  return {
    kind: GCP_CS_OIDC,
    verify: (evidence, expected) =>
      verifyJwt(
        {
          kind: GCP_CS_OIDC,
          accepts: (issuer) => issuer === GCP_CS_ISSUER,
          key: async (header) => keys.key(keyIdOf(own(header, 'kid'))),
        },
        evidence,
        expected,
      ),
  }
}

/** The key id of a header. */
export function keyIdOf(kid: unknown): string {
  if (typeof kid !== 'string' || kid.length < 1 || kid.length > 256) {
    throw refused('header kid', 'expected 1 to 256 characters')
  }
  return kid
}

function duration(
  name: keyof typeof GCP_OIDC_DEFAULTS,
  value: unknown,
  min: number,
  max: number,
): number {
  return integerOption(name, value, { min, max, unit: 'ms' }, GCP_OIDC_DEFAULTS[name])
}

function addressOf(options: GcpOidcOptions): string {
  const address = options.testing?.jwksUri
  if (address === undefined) return GCP_CS_JWKS_URI
  if (!URL.canParse(address)) {
    throw new McbnError('MCBN_OPTION_RANGE', 'testing.jwksUri: expected a URL')
  }
  return address
}
