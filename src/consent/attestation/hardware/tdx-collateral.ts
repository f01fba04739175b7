// What Intel signs about processors and its quoting enclave, and the lists of what it has revoked: it comes with
// the quote, since anybody may carry it (Intel SGX and TDX provisioning certification service, API version 4).

import { verify, type X509Certificate } from 'node:crypto'
import { isObject, type JsonObject, own } from '../json.js'
import { checkPath } from '../path.js'
import { refused } from '../refuse.js'
import { certificatesOfPem, keyOn } from './der.js'

/** As Intel's service and its clients name them: JSON texts, PEM chains, and the rest in hex. */
export const COLLATERAL_FIELDS = [
  'tcb_info',
  'tcb_info_signature',
  'tcb_info_issuer_chain',
  'qe_identity',
  'qe_identity_signature',
  'qe_identity_issuer_chain',
  'pck_crl',
  'root_ca_crl',
] as const

export type TdxCollateral = Readonly<Record<(typeof COLLATERAL_FIELDS)[number], string>>

const NAMES = ['TCB signing certificate', 'root'] as const
const HEX = /^([0-9a-f]{2})+$/

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function parseCollateral(bytes: Buffer): TdxCollateral {
  const value = objectOf(bytes.toString('utf8'), 'collateral')
  const names = Object.keys(value)
  const isWhole = COLLATERAL_FIELDS.every((name) => typeof own(value, name) === 'string')
  if (!isWhole || names.length !== COLLATERAL_FIELDS.length) {
    throw refused('collateral', `expected the texts ${COLLATERAL_FIELDS.join(', ')}`)
  }
  // White space and escapes would be bytes that nobody judges.
  if (JSON.stringify(value) !== bytes.toString('utf8')) {
    throw refused('collateral', 'expected JSON without white space')
  }
  return value as TdxCollateral
}

export interface SignedInfo {
  readonly tcbInfo: JsonObject
  readonly qeIdentity: JsonObject
}

/**
 * Both statements, their signatures, chains and times checked.
 *
 * @param root - the quote's, pinned.
 * @param now - milliseconds since 1970.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`.
 */
export function checkCollateral(
  collateral: TdxCollateral,
  root: X509Certificate,
  now: number,
): SignedInfo {
  const crls = [hexOf(collateral, 'root_ca_crl')]
  const read = (name: 'tcb_info' | 'qe_identity'): JsonObject => {
    const pem = Buffer.from(collateral[`${name}_issuer_chain`], 'latin1')
    const [leaf, top] = certificatesOfPem(pem, NAMES)
    if (leaf === undefined || top === undefined || !top.raw.equals(root.raw)) {
      throw refused(`${name}_issuer_chain`, "expected one that ends in the quote's root")
    }
    checkPath({ leaf, intermediates: [], root, now, names: NAMES, crls })
    const signer = { key: keyOn('P-256', leaf, NAMES[0]), dsaEncoding: 'ieee-p1363' } as const
    const text = Buffer.from(collateral[name], 'utf8')
    if (!verify('sha256', text, signer, hexOf(collateral, `${name}_signature`))) {
      throw refused(name, "expected Intel's signature")
    }
    const info = objectOf(collateral[name], name)
    checkDates(info, name, now)
    return info
  }
  return { tcbInfo: read('tcb_info'), qeIdentity: read('qe_identity') }
}

export function hexOf(collateral: TdxCollateral, name: (typeof COLLATERAL_FIELDS)[number]): Buffer {
  if (HEX.test(collateral[name])) return Buffer.from(collateral[name], 'hex')
  throw refused(name, 'expected bytes in lower-case hex')
}

/** Written so that a time that is no number is refused. */
function checkDates(info: JsonObject, name: string, now: number): void {
  const [issued, next] = ['issueDate', 'nextUpdate'].map((field) =>
    Date.parse(String(own(info, field))),
  ) as [number, number]
  if (!(issued <= now)) throw refused(name, 'issued in the future: compare the clocks')
  if (!(now <= next)) throw refused(name, 'out of date: fetch newer collateral')
}

function objectOf(text: string, name: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    // Said below: a parser's errors quote their input.
  }
  throw refused(name, 'expected a JSON object')
}
