// What verifiers of attestation services' tokens have in common: a JWT of an issuer that the policy names, about a
// machine whose report data is this challenge's.

import type { CheckedToken } from '../claims.js'
import { checkReportData } from '../hardware/binding.js'
import type { JsonObject } from '../json.js'
import { type JwtAlgorithm, verifyJwt } from '../jwt.js'
import { KEY_SET_OPTIONS, type KeySetOptions } from '../key-set-options.js'
import type { AttestedFacts, Verifier } from '../types.js'
import { issuerKeys } from './issuer-keys.js'

/** Of any service. */
export interface ServiceOptions extends KeySetOptions {
  readonly issuers: readonly string[]
}

export const SERVICE_OPTIONS = { ...KEY_SET_OPTIONS, issuers: undefined } as const

/** What is the service's own. */
export interface Service {
  readonly kind: string
  readonly algorithm: JwtAlgorithm
  /** How an error names the claim. */
  readonly reportDataName: string
  reportData(payload: JsonObject): Buffer
  facts(token: CheckedToken, payload: JsonObject): AttestedFacts
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for options out of their ranges. */
export function serviceVerifier(service: Service, options: ServiceOptions): Verifier {
  const { kind, algorithm, facts } = service
  const keys = issuerKeys(options.issuers, algorithm, options)
  return {
    kind,
    verify: (evidence, expected) =>
      verifyJwt(
        {
          kind,
          algorithm,
          usesHeader: 'jku',
          accepts: keys.accepts,
          key: (header, issuer) => keys.key(header, issuer),
          checkAbout: (payload, request) =>
            checkReportData(service.reportDataName, service.reportData(payload), request),
          facts,
        },
        evidence,
        expected,
      ),
  }
}
