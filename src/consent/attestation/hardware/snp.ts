// AMD SEV-SNP: a report that the processor signs, by a key that AMD certifies for this chip (VCEK) or this
// cloud (VLEK) at one level of firmware. No service is asked: AMD's root keys are all that is trusted.
//
// The token is base64url of the report, the VCEK's or VLEK's certificate, AMD's intermediate (ASK or ASVK)
// and root (ARK), one behind the other, certificates in DER.
//
// A report has no time in it: the challenge, which lives 120 s at most, is what dates it.

import { verify, type X509Certificate } from 'node:crypto'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { pinnedChain, pinnedRoots } from '../chain.js'
import { checkPath } from '../path.js'
import { AMD_SEV_SNP, measurementDigest, noContainer, platformSection } from '../platform.js'
import { refused } from '../refuse.js'
import type { AttestedFacts, Evidence, Verifier, VerifyRequest } from '../types.js'
import { checkReportData } from './binding.js'
import { certificatesOf, keyOn, smallInteger } from './der.js'
import { parseSnpReport, REPORT_BYTES, type SnpReport, type SnpTcb, tcbOf } from './snp-report.js'
import { tokenBytes } from './token.js'

/** SHA-256 of AMD's root certificates: ARK-Milan, ARK-Genoa, ARK-Turin (kdsintf.amd.com). */
export const AMD_ROOTS: readonly string[] = [
  '69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd',
  '4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1',
  '1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a',
]

export interface SnpVerifierOptions {
  /**
   * The roots trusted: a certificate (PEM text or DER bytes) or its SHA-256 fingerprint.
   * @defaultValue AMD's, for Milan, Genoa and Turin
   */
  readonly roots?: readonly (string | Uint8Array)[]
}

const OPTIONS = { roots: undefined } as const satisfies OptionTable<SnpVerifierOptions>

/** How long a verified report is good for: as long as a challenge lives. */
const LIFETIME_MS = 120_000
const NAMES = ['signing key', 'intermediate', 'root'] as const

/** Extensions of AMD's certificates (VCEK certificate specification, 57230, table 8). */
const OID = {
  product: '1.3.6.1.4.1.3704.1.2',
  bootloader: '1.3.6.1.4.1.3704.1.3.1',
  tee: '1.3.6.1.4.1.3704.1.3.2',
  snp: '1.3.6.1.4.1.3704.1.3.3',
  microcode: '1.3.6.1.4.1.3704.1.3.8',
  fmc: '1.3.6.1.4.1.3704.1.3.9',
  chip: '1.3.6.1.4.1.3704.1.4',
  provider: '1.3.6.1.4.1.3704.1.5',
} as const

/**
 * A verifier of `amd-sev-snp`. Needs the addon, see `checkPath`; needs no network.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` if a root is none, or there is none.
 */
export function createSnpVerifier(options: SnpVerifierOptions = {}): Verifier {
  refuseUnknown('createSnpVerifier', options, OPTIONS)
  const roots = pinnedRoots(options.roots ?? AMD_ROOTS)
  return {
    kind: AMD_SEV_SNP,
    async verify(evidence: Evidence, expected: VerifyRequest) {
      const bytes = tokenBytes(evidence, AMD_SEV_SNP)
      const { report, facts } = verifySnp(bytes, roots, expected.now)
      checkReportData('report data', report.reportData, expected)
      return facts
    },
  }
}

/**
 * All but what the report is about: chain, signature, the signing key's chip and firmware.
 *
 * @param roots - fingerprints, of `pinnedRoots`.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, saying which check failed.
 */
export function verifySnp(
  bytes: Buffer,
  roots: ReadonlySet<string>,
  now: number,
): { readonly report: SnpReport; readonly facts: AttestedFacts } {
  const report = parseSnpReport(bytes.subarray(0, REPORT_BYTES))
  const certificates = certificatesOf(bytes.subarray(REPORT_BYTES), NAMES)
  const { leaf, intermediate, root } = pinnedChain(certificates, roots)
  // One curve, so a stranger's key costs what a right one does; whose it is, the path says next.
  checkSignature(report, leaf)
  // AMD's leaves name no key identifiers and no usages: not strict, the key's kind is checked instead.
  const rules = { strict: false, digitalSignature: false, names: NAMES }
  const said = checkPath({ leaf, intermediates: [intermediate], root, now, ...rules })
  const tcb = tcbOf(report.reportedTcb, said.has(OID.fmc))
  checkTcb(tcb, said)
  checkChip(report, said)
  return { report, facts: factsOf(report, tcb, said, now) }
}

function checkSignature(report: SnpReport, leaf: X509Certificate): void {
  const signer = { key: keyOn('P-384', leaf, 'signing key'), dsaEncoding: 'ieee-p1363' } as const
  if (!verify('sha384', report.signed, signer, report.signature)) {
    throw refused('report signature', "expected one that the certificate's key verifies")
  }
}

/** A key is derived for one level of firmware: the certificate of another would vouch for what is not there. */
function checkTcb(tcb: SnpTcb, said: ReadonlyMap<string, Buffer>): void {
  for (const name of ['bootloader', 'tee', 'snp', 'microcode', 'fmc'] as const) {
    if (smallInteger(said.get(OID[name])) !== tcb[name]) {
      throw refused(`reported TCB ${name}`, "expected the version in the signing key's certificate")
    }
  }
}

function checkChip({ signingKey, chipId }: SnpReport, said: ReadonlyMap<string, Buffer>): void {
  const chip = said.get(OID.chip)
  if (signingKey === 'vlek') {
    if (chip !== undefined || !said.has(OID.provider)) {
      throw refused('signing key', "expected a VLEK's certificate, as the report says")
    }
    return
  }
  // Turin's have 8 bytes, the report's field is filled up with zeros.
  const padded = Buffer.concat([chip ?? Buffer.alloc(0), Buffer.alloc(64)]).subarray(0, 64)
  if (chip === undefined || chip.length < 8 || chip.length > 64 || !padded.equals(chipId)) {
    throw refused('chip id', "expected the one in the signing key's certificate")
  }
}

function factsOf(
  report: SnpReport,
  tcb: SnpTcb,
  said: ReadonlyMap<string, Buffer>,
  now: number,
): AttestedFacts {
  const { policy } = report
  return Object.freeze<AttestedFacts>({
    kind: AMD_SEV_SNP,
    issuer: 'AMD',
    attestedAt: now,
    expiresAt: now + LIFETIME_MS,
    hardware: 'AMD_SEV_SNP',
    debug: policy.debug ? 'enabled' : 'disabled-since-boot',
    imageDigest: measurementDigest(AMD_SEV_SNP, { measurement: report.measurement }),
    ...noContainer(),
    instance: report.reportId.toString('hex'),
    platform: platformSection(AMD_SEV_SNP, {
      product: textOf(said.get(OID.product)),
      signing_key: report.signingKey,
      provider: textOf(said.get(OID.provider)),
      version: report.version,
      guest_svn: report.guestSvn,
      vmpl: report.vmpl,
      'policy.abi': policy.abi,
      'policy.smt': policy.smt,
      'policy.migrate_ma': policy.migrateMa,
      'policy.single_socket': policy.singleSocket,
      'platform.smt': report.platformSmt,
      'tcb.bootloader': tcb.bootloader,
      'tcb.tee': tcb.tee,
      'tcb.snp': tcb.snp,
      'tcb.microcode': tcb.microcode,
      'tcb.fmc': tcb.fmc,
      measurement: report.measurement.toString('hex'),
      host_data: report.hostData.toString('hex'),
      family_id: report.familyId.toString('hex'),
      image_id: report.imageId.toString('hex'),
      id_key_digest: report.idKeyDigest.toString('hex'),
      author_key_digest: report.authorKeyDigest.toString('hex'),
      chip_id: report.chipId.toString('hex'),
    }),
  })
}

/** A short IA5String. */
function textOf(der: Buffer | undefined): string | undefined {
  if (der === undefined || der[0] !== 0x16 || der[1] !== der.length - 2) return undefined
  return der.toString('latin1', 2)
}
