// X.509 certificates (RFC 5280) for the local issuer's PKI tokens. Node reads certificates but makes none,
// so the few lines of DER (X.690) that three of them need are here.

import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto'
import type { UnixMilliseconds } from '../../base/time.js'

export interface CertificateRequest {
  /** Common names. */
  readonly subject: string
  readonly issuer: string
  /** RSA. */
  readonly publicKey: KeyObject
  /** The issuer's private key, RSA. */
  readonly signingKey: KeyObject
  readonly ca: boolean
  /** What the key may sign. @defaultValue certificates for a CA, else data */
  readonly signs?: 'certificates' | 'data'
  readonly validFrom: UnixMilliseconds
  readonly validUntil: UnixMilliseconds
}

const OID = {
  sha256WithRsa: '2a864886f70d01010b',
  commonName: '550403',
  basicConstraints: '551d13',
  keyUsage: '551d0f',
  subjectKeyId: '551d0e',
  authorityKeyId: '551d23',
} as const

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  bytes: 0x04,
  nothing: 0x05,
  oid: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
  keyId: 0x80,
  version: 0xa0,
  extensions: 0xa3,
} as const

/** A certificate as DER, signed with RSA and SHA-256. */
export function issueCertificate(request: CertificateRequest): Buffer {
  const algorithm = sequence(oid(OID.sha256WithRsa), der(TAG.nothing))
  const body = sequence(
    der(TAG.version, integer(Buffer.from([2]))),
    integer(serialNumber()),
    algorithm,
    name(request.issuer),
    sequence(time(request.validFrom), time(request.validUntil)),
    name(request.subject),
    request.publicKey.export({ type: 'spki', format: 'der' }),
    der(
      TAG.extensions,
      sequence(basicConstraints(request.ca), keyUsage(request), ...keyIds(request)),
    ),
  )
  return sequence(body, algorithm, bitString(sign('sha256', body, request.signingKey)))
}

/** PEM of a certificate (RFC 7468). */
export function certificatePem(certificate: Uint8Array): string {
  const lines =
    Buffer.from(certificate)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** 16 bytes, positive, without leading zeros (RFC 5280 section 4.1.2.2). */
function serialNumber(): Buffer {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

function basicConstraints(ca: boolean): Buffer {
  return extension(OID.basicConstraints, sequence(...(ca ? [truth()] : [])))
}

/** keyCertSign or digitalSignature (RFC 5280 section 4.2.1.3). */
function keyUsage({ ca, signs = ca ? 'certificates' : 'data' }: CertificateRequest): Buffer {
  return extension(
    OID.keyUsage,
    der(TAG.bits, signs === 'certificates' ? Buffer.from([2, 0x04]) : Buffer.from([7, 0x80])),
  )
}

/** Subject's and authority's key identifiers (RFC 5280 sections 4.2.1.1 and 4.2.1.2; hash as RFC 7093 has it). */
function keyIds({ publicKey, signingKey }: CertificateRequest): readonly Buffer[] {
  const issuerKey = createPublicKey(signingKey)
  return [
    extension(OID.subjectKeyId, der(TAG.bytes, keyId(publicKey)), false),
    extension(OID.authorityKeyId, sequence(der(TAG.keyId, keyId(issuerKey))), false),
  ]
}

function keyId(key: KeyObject): Buffer {
  const info = key.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(info).digest().subarray(0, 20)
}

function extension(id: string, value: Buffer, critical = true): Buffer {
  return sequence(oid(id), ...(critical ? [truth()] : []), der(TAG.bytes, value))
}

function name(common: string): Buffer {
  return sequence(
    der(TAG.set, sequence(oid(OID.commonName), der(TAG.utf8, Buffer.from(common, 'utf8')))),
  )
}

/** UTCTime up to 2049, then GeneralizedTime (RFC 5280 section 4.1.2.5). */
function time(milliseconds: UnixMilliseconds): Buffer {
  const digits = new Date(milliseconds).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return digits < '2050'
    ? der(TAG.utcTime, Buffer.from(digits.slice(2)))
    : der(TAG.generalizedTime, Buffer.from(digits))
}

function truth(): Buffer {
  return der(TAG.boolean, Buffer.from([0xff]))
}

function integer(bytes: Buffer): Buffer {
  return der(TAG.integer, bytes)
}

function bitString(bytes: Buffer): Buffer {
  return der(TAG.bits, Buffer.concat([Buffer.from([0]), bytes]))
}

function oid(hex: string): Buffer {
  return der(TAG.oid, Buffer.from(hex, 'hex'))
}

function sequence(...items: readonly Buffer[]): Buffer {
  return der(TAG.sequence, Buffer.concat(items))
}

function der(tag: number, content: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content])
}

/** Definite lengths, as short as they can be (X.690 section 10.1). */
function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  if (length < 0x100) return Buffer.from([0x81, length])
  return Buffer.from([0x82, length >> 8, length & 0xff])
}
