// How current a TDX machine is, in Intel's words: its processor, its TDX module, its quoting enclave, each held
// against what Intel signs (Intel TDX DCAP Quoting Library API; SGX and TDX PCS, "TCB info" and "enclave identity").

import { isObject, type JsonObject, own } from '../json.js'
import { refused } from '../refuse.js'
import type { PckFacts } from './pck.js'
import type { SignedInfo } from './tdx-collateral.js'
import type { TdxQuote } from './tdx-quote.js'

/** The worst counts. A machine that was revoked is refused whatever a policy says. */
const WORSE = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const

export interface TcbLevel {
  readonly status: string
  /** RFC 3339, of the oldest part. */
  readonly date: string
  readonly advisories: readonly string[]
}

export interface TdxTcb extends TcbLevel {
  readonly evaluationDataNumber: number
}

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function tdxTcb(
  { tcbInfo, qeIdentity }: SignedInfo,
  quote: TdxQuote,
  pck: PckFacts,
): TdxTcb {
  expectText(tcbInfo, 'tcb_info', { id: 'TDX', version: 3 })
  expectText(qeIdentity, 'qe_identity', { id: 'TD_QE', version: 2 })
  if (
    !bytesOf(tcbInfo, 'fmspc').equals(pck.fmspc) ||
    !bytesOf(tcbInfo, 'pceId').equals(pck.pceId)
  ) {
    throw refused('tcb_info', "expected that of the processor in the quote's certificate")
  }
  checkQe(qeIdentity, quote)
  const parts = [
    platformLevel(tcbInfo, quote, pck),
    moduleLevel(tcbInfo, quote),
    levelOf(qeIdentity, 'qe_identity', ({ isvsvn }) => atMost(isvsvn, quote.qeReport.isvSvn)),
  ].filter((level) => level !== undefined)
  const status = WORSE[Math.max(...parts.map((level) => rankOf(level.status)))]
  if (status === undefined || status === 'Revoked') {
    throw refused(
      'TCB status',
      'expected a machine that is not revoked, in a state that Intel documents',
    )
  }
  return {
    status,
    date: parts.map(({ date }) => date).sort()[0] ?? '',
    advisories: [...new Set(parts.flatMap(({ advisories }) => advisories))].sort(),
    evaluationDataNumber: Math.min(numberOf(tcbInfo), numberOf(qeIdentity)),
  }
}

function numberOf(info: JsonObject): number {
  const value = own(info, 'tcbEvaluationDataNumber')
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw refused('tcbEvaluationDataNumber', 'expected a whole number')
}

/** NaN, where Intel has a word that is not known here, passes no comparison. */
function rankOf(status: string): number {
  const at = (WORSE as readonly string[]).indexOf(status)
  return at < 0 ? Number.NaN : at
}

/** The quoting enclave is Intel's, in production, and none that is another. */
function checkQe(identity: JsonObject, { qeReport }: TdxQuote): void {
  const fields = [
    ['miscselect', qeReport.miscSelect, bytesOf(identity, 'miscselectMask')],
    ['attributes', qeReport.attributes, bytesOf(identity, 'attributesMask')],
  ] as const
  for (const [name, got, mask] of fields) {
    if (!masked(got, mask).equals(masked(bytesOf(identity, name), mask))) {
      throw refused(`QE ${name}`, "expected those of Intel's quoting enclave")
    }
  }
  // SGX attributes, bit 1: DEBUG.
  if (((qeReport.attributes[0] ?? 0) & 2) !== 0) throw refused('QE attributes', 'expected no debug')
  if (
    !bytesOf(identity, 'mrsigner').equals(qeReport.mrSigner) ||
    own(identity, 'isvprodid') !== qeReport.isvProdId
  ) {
    throw refused('QE identity', "expected Intel's quoting enclave")
  }
}

/** The TDX module below the domain: Intel's own, in production. */
function moduleLevel(tcbInfo: JsonObject, { body }: TdxQuote): TcbLevel | undefined {
  const [svn = 0, version = 0] = body.teeTcbSvn
  const id = `TDX_${version.toString(16).padStart(2, '0').toUpperCase()}`
  const module =
    version === 0
      ? own(tcbInfo, 'tdxModule')
      : listIn(tcbInfo, 'tdxModuleIdentities').find((one) => own(one, 'id') === id)
  if (!isObject(module)) throw refused('TDX module', 'expected one that Intel knows')
  const mask = bytesOf(module, 'attributesMask')
  if (
    !bytesOf(module, 'mrsigner').equals(body.mrSignerSeam) ||
    !masked(body.seamAttributes, mask).equals(masked(bytesOf(module, 'attributes'), mask))
  ) {
    throw refused('TDX module', "expected Intel's, in production")
  }
  // Version 0 has its number among the platform's components.
  if (version === 0) return undefined
  return levelOf(module, 'TDX module', ({ isvsvn }) => atMost(isvsvn, svn))
}

function platformLevel(
  tcbInfo: JsonObject,
  { body }: TdxQuote,
  { tcb, pceSvn }: PckFacts,
): TcbLevel {
  // From version 1 on the module's own two numbers are judged by its identity.
  const from = body.teeTcbSvn[1] === 0 ? 0 : 2
  return levelOf(tcbInfo, 'TCB level', (level) => {
    const sgx = svnsOf(level['sgxtcbcomponents'])
    const tdx = svnsOf(level['tdxtcbcomponents'])
    return (
      atMost(level['pcesvn'], pceSvn) &&
      sgx.every((svn, at) => svn <= (tcb[at] ?? -1)) &&
      tdx.every((svn, at) => at < from || svn <= (body.teeTcbSvn[at] ?? -1))
    )
  })
}

/** The first level, the newest first, that the machine has reached. */
function levelOf(
  info: JsonObject,
  name: string,
  reached: (tcb: Readonly<Record<string, unknown>>) => boolean,
): TcbLevel {
  for (const level of listIn(info, 'tcbLevels')) {
    const tcb = own(level, 'tcb')
    if (!isObject(tcb) || !reached({ ...tcb })) continue
    const advisories = own(level, 'advisoryIDs') ?? []
    return {
      status: String(own(level, 'tcbStatus')),
      date: String(own(level, 'tcbDate')),
      advisories: Array.isArray(advisories) ? advisories.map(String) : [],
    }
  }
  throw refused(name, 'expected one that Intel knows')
}

function svnsOf(components: unknown): readonly number[] {
  const svns = Array.isArray(components)
    ? components.map((one: unknown) => (isObject(one) ? own(one, 'svn') : undefined))
    : []
  if (svns.length === 16 && svns.every((svn) => typeof svn === 'number')) return svns as number[]
  throw refused('TCB level', 'expected 16 components')
}

function atMost(wanted: unknown, got: number): boolean {
  return typeof wanted === 'number' && wanted <= got
}

function listIn(info: JsonObject, name: string): readonly JsonObject[] {
  const value = own(info, name)
  if (Array.isArray(value) && value.every(isObject)) return value
  throw refused(name, 'expected a list of objects')
}

function bytesOf(info: JsonObject, name: string): Buffer {
  const value = own(info, name)
  if (typeof value === 'string' && /^([0-9a-fA-F]{2})+$/.test(value))
    return Buffer.from(value, 'hex')
  throw refused(name, 'expected bytes in hex')
}

function masked(bytes: Buffer, mask: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, at) => byte & (mask[at] ?? 0xff)))
}

function expectText(
  info: JsonObject,
  name: string,
  wanted: Readonly<Record<string, unknown>>,
): void {
  for (const [field, value] of Object.entries(wanted)) {
    if (own(info, field) !== value) throw refused(name, `expected ${field} ${value}`)
  }
}
