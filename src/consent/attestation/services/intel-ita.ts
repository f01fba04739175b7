// Intel Trust Authority: tokens about a TDX domain whose report data is this challenge's; PS384. Both forms are
// read: version 2 has the domain's claims in `tdx`, version 1 has them beside the others.
// https://portal.trustauthority.intel.com/eat_profile.html

import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import type { CheckedToken } from '../claims.js'
import { type JsonObject, own } from '../json.js'
import { INTEL_TRUST_AUTHORITY, noContainer, platformSection } from '../platform.js'
import { refused } from '../refuse.js'
import type { AttestedFacts, Verifier } from '../types.js'
import { objectIn, simpleClaims } from './claims.js'
import {
  SERVICE_OPTIONS,
  type Service,
  type ServiceOptions,
  serviceVerifier,
} from './service-verifier.js'
import { tdxFacts, tdxReportData } from './tdx-claims.js'

export interface ItaVerifierOptions extends ServiceOptions {
  /** `https://portal.trustauthority.intel.com`, or that of the region: 1 to 16, each `https://` and a host. */
  readonly issuers: readonly string[]
}

const OPTIONS = SERVICE_OPTIONS satisfies OptionTable<ItaVerifierOptions>

/** @internal */
export const ITA_SERVICE: Service = {
  kind: INTEL_TRUST_AUTHORITY,
  algorithm: 'PS384',
  reportDataName: 'tdx_report_data',
  reportData: (payload) => tdxReportData(domainOf(payload)),
  facts: factsOf,
}

/**
 * A verifier of `intel-ita`. Makes no request before the first token arrives.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for options out of their ranges.
 */
export function createItaVerifier(options: ItaVerifierOptions): Verifier {
  refuseUnknown('createItaVerifier', options, OPTIONS)
  return serviceVerifier(ITA_SERVICE, options)
}

function domainOf(payload: JsonObject): JsonObject {
  if (own(payload, 'tdx') === undefined) return payload
  // One of the two, or nobody knows which is meant.
  if (own(payload, 'tdx_mrtd') !== undefined) throw refused('tdx', 'expected its claims once')
  return objectIn(payload, 'tdx')
}

function factsOf(token: CheckedToken, payload: JsonObject): AttestedFacts {
  const domain = domainOf(payload)
  return Object.freeze<AttestedFacts>({
    ...token,
    ...tdxFacts(domain),
    ...noContainer(),
    platform: platformSection(INTEL_TRUST_AUTHORITY, {
      ...simpleClaims(payload),
      ...simpleClaims(domain),
    }),
  })
}
