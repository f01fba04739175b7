// The attestation report of AMD SEV-SNP: 1,184 bytes, little-endian (SEV-SNP ABI specification, 56860,
// table 23). Read strictly: what is reserved is zero, so that a report has one spelling.

import { refused } from '../refuse.js'

export const REPORT_BYTES = 1184
/** What the signature covers; it follows, R and S little-endian in 72 bytes each (table 138). */
const SIGNED_BYTES = 0x2a0
const COMPONENT_FIELD = 72
const COMPONENT = 48
/** ECDSA P-384 with SHA-384 (table 136), the only one. */
const ECDSA_P384_SHA384 = 1
const VERSIONS = { min: 2, max: 5 } as const

/** Versions of firmware, as TCB_VERSION has them; `fmc` from Turin on. */
export interface SnpTcb {
  readonly bootloader: number
  readonly tee: number
  readonly snp: number
  readonly microcode: number
  readonly fmc: number | undefined
}

export interface SnpReport {
  readonly version: number
  readonly guestSvn: number
  readonly policy: {
    readonly abi: string
    readonly smt: boolean
    readonly migrateMa: boolean
    readonly debug: boolean
    readonly singleSocket: boolean
  }
  readonly familyId: Buffer
  readonly imageId: Buffer
  readonly vmpl: number
  /** Whether simultaneous multithreading is on in the machine. */
  readonly platformSmt: boolean
  readonly signingKey: 'vcek' | 'vlek'
  readonly reportData: Buffer
  readonly measurement: Buffer
  readonly hostData: Buffer
  readonly idKeyDigest: Buffer
  readonly authorKeyDigest: Buffer
  readonly reportId: Buffer
  /** What the signing key was derived for; how its bytes are read depends on the processor. */
  readonly reportedTcb: Buffer
  readonly chipId: Buffer
  /** What was signed. */
  readonly signed: Buffer
  /** R and S, big-endian, 48 bytes each: IEEE P1363. */
  readonly signature: Buffer
}

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the field. */
export function parseSnpReport(bytes: Buffer): SnpReport {
  if (bytes.length !== REPORT_BYTES) {
    throw refused('report', `expected ${REPORT_BYTES} bytes, got ${bytes.length}`)
  }
  const version = bytes.readUInt32LE(0)
  if (version < VERSIONS.min || version > VERSIONS.max) {
    throw refused('report version', `expected ${VERSIONS.min} to ${VERSIONS.max}`)
  }
  if (bytes.readUInt32LE(0x34) !== ECDSA_P384_SHA384) {
    throw refused('report signature algorithm', 'expected ECDSA P-384 with SHA-384')
  }
  const policy = bytes.readBigUInt64LE(0x08)
  const bit = (at: number) => ((policy >> BigInt(at)) & 1n) === 1n
  return {
    version,
    guestSvn: bytes.readUInt32LE(0x04),
    policy: {
      abi: `${bytes[0x09]}.${bytes[0x08]}`,
      smt: bit(16),
      migrateMa: bit(18),
      debug: bit(19),
      singleSocket: bit(20),
    },
    familyId: bytes.subarray(0x10, 0x20),
    imageId: bytes.subarray(0x20, 0x30),
    vmpl: bytes.readUInt32LE(0x30),
    platformSmt: ((bytes[0x40] ?? 0) & 1) === 1,
    signingKey: signingKeyOf(bytes.readUInt32LE(0x48)),
    reportData: bytes.subarray(0x50, 0x90),
    measurement: bytes.subarray(0x90, 0xc0),
    hostData: bytes.subarray(0xc0, 0xe0),
    idKeyDigest: bytes.subarray(0xe0, 0x110),
    authorKeyDigest: bytes.subarray(0x110, 0x140),
    reportId: bytes.subarray(0x140, 0x160),
    reportedTcb: bytes.subarray(0x180, 0x188),
    chipId: bytes.subarray(0x1a0, 0x1e0),
    signed: bytes.subarray(0, SIGNED_BYTES),
    signature: Buffer.concat([component(bytes, 0), component(bytes, 1)]),
  }
}

/** The key that signed, if one did: bits 2 to 4, and MASK_CHIP_KEY. */
function signingKeyOf(flags: number): SnpReport['signingKey'] {
  const key = (flags >> 2) & 7
  if ((flags & 2) !== 0 || key > 1) {
    throw refused(
      'report signing key',
      'expected the VCEK or the VLEK; this report has no signature',
    )
  }
  return key === 0 ? 'vcek' : 'vlek'
}

function component(bytes: Buffer, index: number): Buffer {
  const start = SIGNED_BYTES + index * COMPONENT_FIELD
  const field = bytes.subarray(start, start + COMPONENT_FIELD)
  // The 24 bytes that a component does not need, and, once, all behind the second.
  const rest = [field.subarray(COMPONENT), bytes.subarray(SIGNED_BYTES + 2 * COMPONENT_FIELD)]
  if (rest.some((part) => part.some((byte) => byte !== 0))) {
    throw refused('report signature', 'expected zeros where nothing is')
  }
  return Buffer.from(field.subarray(0, COMPONENT)).reverse()
}

/** From Turin on (which has an FMC) the bytes have another order (table 4). */
export function tcbOf(bytes: Buffer, hasFmc: boolean): SnpTcb {
  const [a = 0, b = 0, c = 0, d = 0, , , g = 0, h = 0] = bytes
  return hasFmc
    ? { fmc: a, bootloader: b, tee: c, snp: d, microcode: h }
    : { fmc: undefined, bootloader: a, tee: b, snp: g, microcode: h }
}
