// A platform's section of attested facts, for tests that say one claim of it differently.

import type { ClaimValue, PlatformSection } from 'mcbn/consent'

/** What a production image of Confidential Space says. */
export const SPACE_CLAIMS = {
  swname: 'CONFIDENTIAL_SPACE',
  swversion: '250800',
  secboot: true,
  support_attributes: ['LATEST', 'STABLE', 'USABLE'],
} as const

/** Confidential Space's section with some claims changed, or, by undefined, left out. */
export function space(
  changes: Readonly<Record<string, ClaimValue | undefined>> = {},
): PlatformSection {
  const all: Readonly<Record<string, ClaimValue | undefined>> = { ...SPACE_CLAIMS, ...changes }
  const claims = Object.entries(all)
  return {
    name: 'confidential-space',
    claims: Object.fromEntries(
      claims.filter((claim): claim is [string, ClaimValue] => claim[1] !== undefined),
    ),
  }
}

export function accounts(...google_service_accounts: readonly string[]): PlatformSection {
  return space({ google_service_accounts })
}
