// Intel TDX as attestation services tell it: Azure's and Intel's use the same names (draft-kdyxy-rats-tdx-eat-
// profile, after the fields of the TD quote's body), and EAT's `dbgstat` (RFC 9711 section 4.2.9).

import { tdxImageDigest, tdxInstance } from '../hardware/tdx-registers.js'
import { type JsonObject, own } from '../json.js'
import { refused } from '../refuse.js'
import type { AttestedFacts } from '../types.js'
import { hexOf } from './claims.js'

const REGISTER_BYTES = 48
const DATA_BYTES = 64

type TdxFacts = Pick<AttestedFacts, 'hardware' | 'debug' | 'imageDigest' | 'instance'>

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function tdxFacts(claims: JsonObject): TdxFacts {
  const register = (name: string) => {
    const bytes = hexOf(claims, `tdx_${name}`, REGISTER_BYTES)
    if (bytes === undefined) throw refused(`tdx_${name}`, 'expected a register')
    return bytes
  }
  const [rtmr0, rtmr1, rtmr2, rtmr3] = ['rtmr0', 'rtmr1', 'rtmr2', 'rtmr3'].map(register) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ]
  return {
    hardware: 'INTEL_TDX',
    debug: debugOf(claims),
    imageDigest: tdxImageDigest({ mrtd: register('mrtd'), rtmr0, rtmr1, rtmr2 }),
    instance: tdxInstance(rtmr3),
  }
}

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function tdxReportData(claims: JsonObject): Buffer {
  const data = hexOf(claims, 'tdx_report_data', DATA_BYTES)
  if (data === undefined) throw refused('tdx_report_data', `expected ${DATA_BYTES} bytes`)
  return data
}

/** Undefined unless the domain's own attribute says that it cannot be debugged, and nothing else contradicts. */
function debugOf(claims: JsonObject): string | undefined {
  const said = ['tdx_td_attributes_debug', 'tdx_is_debuggable'].map((name) => own(claims, name))
  if (said.some((one) => one === true)) return 'enabled'
  if (said.every((one) => one === undefined)) return undefined
  if (said.some((one) => one !== undefined && one !== false)) {
    throw refused('tdx_td_attributes_debug', 'expected true or false')
  }
  return 'disabled-since-boot'
}
