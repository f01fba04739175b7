// Intel TDX: a quote that Intel's quoting enclave signs about a trust domain, under a key that Intel certifies
// for this processor. No service is asked: Intel's statements about processors (collateral) come with the quote.
//
// The token is base64url of the quote, then the collateral as JSON. What is older than Intel's newest statement,
// but not yet out of date, is taken: rule `tcb_evaluation_data_number` to insist on newer ones.
//
// A quote has no time in it: the challenge, which lives 120 s at most, is what dates it.

import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { pinnedChain, pinnedRoots } from '../chain.js'
import { checkPath } from '../path.js'
import { INTEL_TDX, noContainer, platformSection } from '../platform.js'
import { refused } from '../refuse.js'
import type { AttestedFacts, ClaimValue, Evidence, Verifier, VerifyRequest } from '../types.js'
import { checkReportData } from './binding.js'
import { keyOn } from './der.js'
import { pckFactsOf, SGX_EXTENSION } from './pck.js'
import { checkCollateral, hexOf, parseCollateral } from './tdx-collateral.js'
import { parseTdxQuote, type TdxQuote } from './tdx-quote.js'
import { tdxImageDigest, tdxInstance } from './tdx-registers.js'
import { type TdxTcb, tdxTcb } from './tdx-tcb.js'
import { tokenBytes } from './token.js'

/** SHA-256 of the Intel SGX root certificate, valid until 2049; it is TDX's as well. */
export const INTEL_ROOTS: readonly string[] = [
  '44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3',
]

export interface TdxVerifierOptions {
  /**
   * The roots trusted: a certificate (PEM text or DER bytes) or its SHA-256 fingerprint.
   * @defaultValue Intel's
   */
  readonly roots?: readonly (string | Uint8Array)[]
}

const OPTIONS = { roots: undefined } as const satisfies OptionTable<TdxVerifierOptions>

/** How long a verified quote is good for: as long as a challenge lives. */
const LIFETIME_MS = 120_000
const NAMES = ['PCK certificate', 'PCK intermediate', 'root'] as const
/** TDATTRIBUTES: DEBUG, and the other bits of its group, which mean that the domain is not trusted. */
const UNTRUSTED_BITS = 0xff

/**
 * A verifier of `intel-tdx`. Needs the addon, see `checkPath`; needs no network.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` if a root is none, or there is none.
 */
export function createTdxVerifier(options: TdxVerifierOptions = {}): Verifier {
  refuseUnknown('createTdxVerifier', options, OPTIONS)
  const roots = pinnedRoots(options.roots ?? INTEL_ROOTS)
  return {
    kind: INTEL_TDX,
    async verify(evidence: Evidence, expected: VerifyRequest) {
      const bytes = tokenBytes(evidence, INTEL_TDX)
      const { quote, facts } = verifyTdx(bytes, roots, expected.now)
      checkReportData('report data', quote.body.reportData, expected)
      return facts
    },
  }
}

/**
 * All but what the quote is about: signatures, chains, revocation, Intel's statements and their times.
 *
 * @param roots - fingerprints, of `pinnedRoots`.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, saying which check failed.
 */
export function verifyTdx(
  bytes: Buffer,
  roots: ReadonlySet<string>,
  now: number,
): { readonly quote: TdxQuote; readonly facts: AttestedFacts } {
  const quote = parseTdxQuote(bytes)
  const collateral = parseCollateral(bytes.subarray(quote.length))
  const { leaf, intermediate, root } = pinnedChain(quote.chain, roots)
  // One curve, so a stranger's key costs what a right one does; whose it is, the path says next.
  checkSignatures(quote, keyOn('P-256', leaf, NAMES[0]))
  const crls = [hexOf(collateral, 'root_ca_crl'), hexOf(collateral, 'pck_crl')]
  const path = { leaf, intermediates: [intermediate], root, now, names: NAMES, crls }
  const pck = pckFactsOf(checkPath(path).get(SGX_EXTENSION))
  const tcb = tdxTcb(checkCollateral(collateral, root, now), quote, pck)
  return { quote, facts: factsOf(quote, tcb, pck.fmspc, now) }
}

/** The attestation key signs the quote, the quoting enclave's report has that key, Intel's key signs the report. */
function checkSignatures(quote: TdxQuote, pckKey: KeyObject): void {
  const { signed, signature, attestationKey, qeReport, qeReportSignature, qeAuthData } = quote
  const p1363 = { dsaEncoding: 'ieee-p1363' } as const
  if (!verify('sha256', signed, { key: pointOf(attestationKey), ...p1363 }, signature)) {
    throw refused('quote signature', 'expected one that the attestation key verifies')
  }
  const hash = createHash('sha256').update(attestationKey).update(qeAuthData).digest()
  if (!qeReport.reportData.equals(Buffer.concat([hash, Buffer.alloc(32)]))) {
    throw refused('QE report', 'expected the attestation key of this quote')
  }
  if (!verify('sha256', qeReport.bytes, { key: pckKey, ...p1363 }, qeReportSignature)) {
    throw refused('QE report signature', "expected one that the certificate's key verifies")
  }
}

function pointOf(bytes: Buffer): KeyObject {
  const part = (from: number) => bytes.toString('base64url', from, from + 32)
  const key = { kty: 'EC', crv: 'P-256', x: part(0), y: part(32) }
  try {
    return createPublicKey({ format: 'jwk', key })
  } catch {
    throw refused('attestation key', 'expected a point on P-256')
  }
}

function factsOf(quote: TdxQuote, tcb: TdxTcb, fmspc: Buffer, now: number): AttestedFacts {
  const { body } = quote
  const [rtmr0, rtmr1, rtmr2, rtmr3] = body.rtmr
  const untrusted = (body.tdAttributes[0] ?? 0) & UNTRUSTED_BITS
  return Object.freeze<AttestedFacts>({
    kind: INTEL_TDX,
    issuer: 'Intel',
    attestedAt: now,
    expiresAt: now + LIFETIME_MS,
    hardware: 'INTEL_TDX',
    debug: untrusted === 0 ? 'disabled-since-boot' : 'enabled',
    imageDigest: tdxImageDigest({ mrtd: body.mrTd, rtmr0, rtmr1, rtmr2 }),
    ...noContainer(),
    instance: tdxInstance(rtmr3),
    platform: platformSection(INTEL_TDX, claimsOf(quote, tcb, fmspc)),
  })
}

function claimsOf(
  { version, body, qeReport }: TdxQuote,
  tcb: TdxTcb,
  fmspc: Buffer,
): Record<string, ClaimValue | undefined> {
  const hex = (bytes: Buffer | undefined) => bytes?.toString('hex')
  return {
    version,
    tcb_status: tcb.status,
    tcb_date: tcb.date,
    tcb_advisories: tcb.advisories,
    tcb_evaluation_data_number: tcb.evaluationDataNumber,
    fmspc: hex(fmspc),
    qe_svn: qeReport.isvSvn,
    tee_tcb_svn: hex(body.teeTcbSvn),
    td_attributes: hex(body.tdAttributes),
    'td_attributes.sept_ve_disable': attribute(body.tdAttributes, 28),
    'td_attributes.migratable': attribute(body.tdAttributes, 29),
    xfam: hex(body.xfam),
    mr_seam: hex(body.mrSeam),
    mr_td: hex(body.mrTd),
    mr_config_id: hex(body.mrConfigId),
    mr_owner: hex(body.mrOwner),
    mr_owner_config: hex(body.mrOwnerConfig),
    mr_service_td: hex(body.mrServiceTd),
    ...Object.fromEntries(body.rtmr.map((register, at) => [`rtmr${at}`, hex(register)])),
  }
}

/** One bit of TDATTRIBUTES (Intel TDX module ABI specification, ATTRIBUTES). */
function attribute(bytes: Buffer, bit: number): boolean {
  return ((bytes.readUInt32LE() >>> bit) & 1) === 1
}
