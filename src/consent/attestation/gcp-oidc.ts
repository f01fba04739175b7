// Google Confidential Space, OIDC tokens: RS256 under keys that Google publishes at one fixed address.
// https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-validation-endpoint-fields

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { attestedFacts } from './claims.js'
import { own } from './json.js'
import { checkAudienceAndNonce, verifyJwt } from './jwt.js'
import { KEY_SET_OPTIONS, type KeySetOptions, keyIdOf, remoteKeys } from './key-set-options.js'
import type { Verifier } from './types.js'

export const GCP_CS_OIDC = 'gcp-cs-oidc'

/** The issuer of Confidential Space's tokens, both OIDC and PKI. */
export const GCP_CS_ISSUER = 'https://confidentialcomputing.googleapis.com'

/** Where its keys are: what the issuer's discovery document names, pinned so that nothing can redirect. */
export const GCP_CS_JWKS_URI =
  'https://www.googleapis.com/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com'

export interface GcpOidcOptions extends KeySetOptions {
  /** For tests: another address of the key set. Anyone who controls it can forge evidence. */
  readonly testing?: { readonly jwksUri: string }
}

const OPTIONS = {
  ...KEY_SET_OPTIONS,
  testing: undefined,
} as const satisfies OptionTable<GcpOidcOptions>

/**
 * A verifier of `gcp-cs-oidc`. Makes no request before the first token arrives.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for options out of their ranges.
 */
export function createGcpOidcVerifier(options: GcpOidcOptions = {}): Verifier {
  refuseUnknown('createGcpOidcVerifier', options, OPTIONS)
  const keys = remoteKeys(addressOf(options), 'RS256', options)
  return {
    kind: GCP_CS_OIDC,
    verify: (evidence, expected) =>
      verifyJwt(
        {
          kind: GCP_CS_OIDC,
          accepts: (issuer) => issuer === GCP_CS_ISSUER,
          key: async (header) => keys.key(keyIdOf(own(header, 'kid'))),
          checkAbout: checkAudienceAndNonce,
          facts: attestedFacts,
        },
        evidence,
        expected,
      ),
  }
}

function addressOf(options: GcpOidcOptions): string {
  const address = options.testing?.jwksUri
  if (address === undefined) return GCP_CS_JWKS_URI
  if (!URL.canParse(address)) {
    throw new McbnError('MCBN_OPTION_RANGE', 'testing.jwksUri: expected a URL')
  }
  return address
}
