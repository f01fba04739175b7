// A TDX quote, versions 4 and 5 (Intel TDX DCAP Quoting Library API, appendix A), little-endian. Read strictly:
// each length says what is there, and nothing is left over.

import type { X509Certificate } from 'node:crypto'
import { refused } from '../refuse.js'
import { ByteReader } from './byte-reader.js'
import { certificatesOfPem } from './der.js'

const TEE_TDX = 0x81
/** ECDSA on P-256 with SHA-256, the only one. */
const ECDSA_P256 = 2
/** Intel's quoting enclaves. */
const INTEL_QE_VENDOR = '939a7233f79c4ca9940a0db3957f0607'
const HEADER_BYTES = 48
const BODY_10_BYTES = 584
/** Of TDX 1.5: the body of 1.0, then a second TCB and MRSERVICETD. */
const BODY_15_BYTES = 648
const BODY_TYPES: Readonly<Record<number, number>> = { 2: BODY_10_BYTES, 3: BODY_15_BYTES }
const QE_REPORT_BYTES = 384
/** Types of certification data: a quoting enclave's report, and a chain in PEM. */
const QE_REPORT_CERTIFICATION = 6
const PCK_CHAIN = 5
const MOST_QE_AUTH_BYTES = 1024
const CHAIN_NAMES = ['PCK certificate', 'PCK intermediate', 'root'] as const

export interface TdxQuote {
  readonly version: number
  readonly body: TdBody
  /** Header and body: what the attestation key signs. */
  readonly signed: Buffer
  /** R and S, big-endian: IEEE P1363. */
  readonly signature: Buffer
  /** X and Y of a point on P-256. */
  readonly attestationKey: Buffer
  readonly qeReport: QeReport
  readonly qeReportSignature: Buffer
  readonly qeAuthData: Buffer
  /** PCK, its issuer, the root. */
  readonly chain: readonly X509Certificate[]
  /** Bytes of the quote: what comes with it begins behind. */
  readonly length: number
}

export interface TdBody {
  readonly teeTcbSvn: Buffer
  readonly mrSeam: Buffer
  readonly mrSignerSeam: Buffer
  readonly seamAttributes: Buffer
  readonly tdAttributes: Buffer
  readonly xfam: Buffer
  readonly mrTd: Buffer
  readonly mrConfigId: Buffer
  readonly mrOwner: Buffer
  readonly mrOwnerConfig: Buffer
  readonly rtmr: readonly [Buffer, Buffer, Buffer, Buffer]
  readonly reportData: Buffer
  readonly mrServiceTd: Buffer | undefined
}

/** The quoting enclave's own report (an SGX report body). */
export interface QeReport {
  readonly bytes: Buffer
  readonly miscSelect: Buffer
  readonly attributes: Buffer
  readonly mrSigner: Buffer
  readonly isvProdId: number
  readonly isvSvn: number
  readonly reportData: Buffer
}

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the field. */
export function parseTdxQuote(bytes: Buffer): TdxQuote {
  const quote = new ByteReader(bytes, 'quote')
  const version = header(quote.take(HEADER_BYTES))
  const bodyBytes = version === 4 ? BODY_10_BYTES : typedBody(quote)
  const body = bodyOf(quote.take(bodyBytes))
  const signed = bytes.subarray(0, quote.at)
  const auth = new ByteReader(quote.take(quote.u32()), 'quote signature data')
  const signature = auth.take(64)
  const attestationKey = auth.take(64)
  const certification = certified(auth, QE_REPORT_CERTIFICATION)
  auth.end()
  const qeReport = qeReportOf(certification.take(QE_REPORT_BYTES))
  const qeReportSignature = certification.take(64)
  const authBytes = certification.u16()
  if (authBytes > MOST_QE_AUTH_BYTES) {
    throw refused('QE authentication data', `expected at most ${MOST_QE_AUTH_BYTES} bytes`)
  }
  const qeAuthData = certification.take(authBytes)
  const pck = certified(certification, PCK_CHAIN)
  certification.end()
  const chain = certificatesOfPem(pck.rest(), CHAIN_NAMES)
  return {
    ...{ version, body, signed, signature, attestationKey, qeReport, qeReportSignature },
    ...{ qeAuthData, chain, length: quote.at },
  }
}

function header(bytes: Buffer): number {
  const version = bytes.readUInt16LE(0)
  if (version !== 4 && version !== 5) throw refused('quote version', 'expected 4 or 5')
  if (bytes.readUInt16LE(2) !== ECDSA_P256) {
    throw refused('attestation key type', 'expected ECDSA on P-256')
  }
  if (bytes.readUInt32LE(4) !== TEE_TDX) throw refused('TEE type', 'expected TDX')
  if (bytes.toString('hex', 12, 28) !== INTEL_QE_VENDOR) {
    throw refused('QE vendor', "expected Intel's")
  }
  return version
}

function typedBody(quote: ByteReader): number {
  const bytes = BODY_TYPES[quote.u16()]
  if (bytes === undefined || quote.u32() !== bytes) {
    throw refused('quote body', 'expected that of TDX 1.0 or 1.5')
  }
  return bytes
}

function certified(reader: ByteReader, type: number): ByteReader {
  if (reader.u16() !== type) throw refused('certification data', `expected type ${type}`)
  return new ByteReader(reader.take(reader.u32()), 'certification data')
}

function bodyOf(bytes: Buffer): TdBody {
  const body = new ByteReader(bytes, 'quote body')
  const take = (length: number) => body.take(length)
  const [teeTcbSvn, mrSeam, mrSignerSeam, seamAttributes] = [take(16), take(48), take(48), take(8)]
  const [tdAttributes, xfam] = [take(8), take(8)]
  const [mrTd, mrConfigId, mrOwner, mrOwnerConfig] = [take(48), take(48), take(48), take(48)]
  const rtmr = [take(48), take(48), take(48), take(48)] as const
  const reportData = take(64)
  const isNewer = bytes.length === BODY_15_BYTES
  if (isNewer) take(16)
  const mrServiceTd = isNewer ? take(48) : undefined
  return {
    ...{ teeTcbSvn, mrSeam, mrSignerSeam, seamAttributes, tdAttributes, xfam },
    ...{ mrTd, mrConfigId, mrOwner, mrOwnerConfig, rtmr, reportData, mrServiceTd },
  }
}

function qeReportOf(bytes: Buffer): QeReport {
  return {
    bytes,
    miscSelect: bytes.subarray(16, 20),
    attributes: bytes.subarray(48, 64),
    mrSigner: bytes.subarray(128, 160),
    isvProdId: bytes.readUInt16LE(256),
    isvSvn: bytes.readUInt16LE(258),
    reportData: bytes.subarray(320, 384),
  }
}
