// Microsoft Azure Attestation: tokens about a SEV-SNP guest (`sevsnpvm`) or a TDX domain (`tdxvm`) whose report
// data is this challenge's. The policy names the issuers: anybody can have an instance of the service,
// with rules of attestation that say what they like.
// https://learn.microsoft.com/azure/attestation/claim-sets

import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import type { CheckedToken } from '../claims.js'
import { type JsonObject, own } from '../json.js'
import {
  AMD_SEV_SNP,
  AZURE_MAA,
  measurementDigest,
  noContainer,
  platformSection,
} from '../platform.js'
import { refused } from '../refuse.js'
import type { AttestedFacts, Verifier } from '../types.js'
import { hexOf, simpleClaims, textOf } from './claims.js'
import { SERVICE_OPTIONS, type ServiceOptions, serviceVerifier } from './service-verifier.js'
import { tdxFacts, tdxReportData } from './tdx-claims.js'

export interface MaaVerifierOptions extends ServiceOptions {
  /** E.g. `https://sharedeus2.eus2.attest.azure.net`: 1 to 16, each `https://` and a host. */
  readonly issuers: readonly string[]
}

const OPTIONS = SERVICE_OPTIONS satisfies OptionTable<MaaVerifierOptions>

const TYPE = 'x-ms-attestation-type'
const SNP = 'x-ms-sevsnpvm-'
const SNP_BYTES = { reportdata: 64, launchmeasurement: 48, reportid: 32 } as const

/**
 * A verifier of `azure-maa`. Makes no request before the first token arrives.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for options out of their ranges.
 */
export function createMaaVerifier(options: MaaVerifierOptions): Verifier {
  refuseUnknown('createMaaVerifier', options, OPTIONS)
  return serviceVerifier(
    {
      kind: AZURE_MAA,
      algorithm: 'RS256',
      reportDataName: 'report data',
      reportData: reportDataOf,
      facts: factsOf,
    },
    options,
  )
}

function isTdx(payload: JsonObject): boolean {
  const type = textOf(payload, TYPE)
  if (type === 'tdxvm') return true
  if (type === 'sevsnpvm') return false
  throw refused(TYPE, 'expected sevsnpvm or tdxvm')
}

function reportDataOf(payload: JsonObject): Buffer {
  return isTdx(payload) ? tdxReportData(payload) : snpBytes(payload, 'reportdata')
}

function snpBytes(payload: JsonObject, name: keyof typeof SNP_BYTES): Buffer {
  const bytes = hexOf(payload, `${SNP}${name}`, SNP_BYTES[name])
  if (bytes === undefined) throw refused(`${SNP}${name}`, `expected ${SNP_BYTES[name]} bytes`)
  return bytes
}

function factsOf(token: CheckedToken, payload: JsonObject): AttestedFacts {
  const about = isTdx(payload) ? tdxFacts(payload) : snpFacts(payload)
  return Object.freeze<AttestedFacts>({
    ...token,
    ...about,
    ...noContainer(),
    platform: platformSection(AZURE_MAA, simpleClaims(payload)),
  })
}

function snpFacts(
  payload: JsonObject,
): Pick<AttestedFacts, 'hardware' | 'debug' | 'imageDigest' | 'instance'> {
  const measurement = snpBytes(payload, 'launchmeasurement')
  const debuggable = own(payload, `${SNP}is-debuggable`)
  return {
    hardware: 'AMD_SEV_SNP',
    debug:
      debuggable === false ? 'disabled-since-boot' : debuggable === true ? 'enabled' : undefined,
    imageDigest: measurementDigest(AMD_SEV_SNP, { measurement }),
    instance: snpBytes(payload, 'reportid').toString('hex'),
  }
}
