// Certificates that stand one behind the other, in DER (X.690).

import { X509Certificate } from 'node:crypto'
import { refused } from '../refuse.js'

/** Longest certificate; AMD's have 1,700 bytes. */
const MOST_BYTES = 8_192

/**
 * Exactly as many certificates as there are names, and nothing behind them.
 *
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the one that is none.
 */
export function certificatesOf(
  bytes: Buffer,
  names: readonly string[],
): readonly X509Certificate[] {
  let rest = bytes
  const found = names.map((name) => {
    // A sequence whose length takes two bytes: every certificate is that long.
    const length = rest.length < 4 || rest.readUInt16BE(0) !== 0x3082 ? 0 : 4 + rest.readUInt16BE(2)
    if (length === 0 || length > MOST_BYTES || length > rest.length) {
      throw refused(name, 'expected a certificate in DER')
    }
    const der = rest.subarray(0, length)
    rest = rest.subarray(length)
    return certificateOf(der, name)
  })
  if (rest.length > 0) throw refused('certificates', `expected ${names.length} and nothing behind`)
  return found
}

function certificateOf(der: Buffer, name: string): X509Certificate {
  try {
    const certificate = new X509Certificate(der)
    if (certificate.raw.equals(der)) return certificate
  } catch {
    // Said below, without OpenSSL's words for it.
  }
  throw refused(name, 'expected a certificate in DER')
}

/** A small INTEGER's value: one content octet, positive. */
export function smallInteger(der: Buffer | undefined): number | undefined {
  if (der === undefined || der[0] !== 2 || der.length < 3 || der.length > 4) return undefined
  // 128 to 255 take a zero octet in front.
  if (der.length === 4 && (der[1] !== 2 || der[2] !== 0)) return undefined
  if (der.length === 3 && (der[1] !== 1 || (der[2] ?? 0) > 127)) return undefined
  return der.at(-1)
}
