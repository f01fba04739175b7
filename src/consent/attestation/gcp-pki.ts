// Google Confidential Space, PKI tokens: RS256 by a leaf whose chain comes with the token and ends in a
// pinned root. Needs no network at all, which is why a participant may prefer it; in return there is no
// revocation but pinning another root.
// https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-validation-endpoint-fields

import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { leafOf, pinnedRoots } from './chain.js'
import { attestedFacts } from './claims.js'
import { GCP_CS_ISSUER } from './gcp-oidc.js'
import { own } from './json.js'
import { checkAudienceAndNonce, verifyJwt } from './jwt.js'
import type { Verifier } from './types.js'

export const GCP_CS_PKI = 'gcp-cs-pki'

export interface GcpPkiOptions {
  /**
   * The roots trusted, at least one: a certificate (PEM text or DER bytes) or its SHA-256 fingerprint (64 hex
   * digits, colons allowed). Google names its root in
   * https://confidentialcomputing.googleapis.com/.well-known/attestation-pki-root; nothing is fetched from
   * there, since a pin that comes over the network pins nothing.
   */
  readonly roots: readonly (string | Uint8Array)[]
}

const OPTIONS = {
  roots: undefined,
} as const satisfies OptionTable<GcpPkiOptions>

/**
 * A verifier of `gcp-cs-pki`.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` if a root is invalid, or none is given.
 */
export function createGcpPkiVerifier(options: GcpPkiOptions): Verifier {
  refuseUnknown('createGcpPkiVerifier', options, OPTIONS)
  const roots = pinnedRoots(options.roots)
  return {
    kind: GCP_CS_PKI,
    verify: (evidence, expected) =>
      verifyJwt(
        {
          kind: GCP_CS_PKI,
          usesHeader: 'x5c',
          accepts: (issuer) => issuer === GCP_CS_ISSUER,
          key: async (header, _issuer, now) => leafOf(own(header, 'x5c'), roots, now),
          checkAbout: checkAudienceAndNonce,
          facts: attestedFacts,
        },
        evidence,
        expected,
      ),
  }
}
