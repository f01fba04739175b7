// Certificates that stand one behind the other, in DER (X.690) or PEM (RFC 7468), and values of their extensions.

import { type KeyObject, X509Certificate } from 'node:crypto'
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

/**
 * Exactly as many certificates as there are names, in PEM as OpenSSL writes it, so that there is one spelling;
 * a NUL may end them, as Intel's quoting service ends its.
 *
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the one that is none.
 */
export function certificatesOfPem(
  text: Buffer,
  names: readonly string[],
): readonly X509Certificate[] {
  const end = text.at(-1) === 0 ? text.length - 1 : text.length
  if (end > names.length * MOST_BYTES) throw refused('certificates', 'expected shorter ones')
  const source = text.toString('latin1', 0, end)
  const blocks = source.match(
    /-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?/g,
  )
  if (blocks === null || blocks.length !== names.length || blocks.join('') !== source) {
    throw refused('certificates', `expected ${names.length} in PEM, and nothing besides`)
  }
  return blocks.map((block, at) => {
    const name = names[at] ?? 'certificate'
    const der = Buffer.from(block.replace(/-----[A-Z ]+-----|\n/g, ''), 'base64')
    const certificate = certificateOf(der, name)
    const isLast = at === names.length - 1
    if (block === certificate.toString() || (isLast && `${block}\n` === certificate.toString())) {
      return certificate
    }
    throw refused(name, 'expected lines of 64 characters (RFC 7468)')
  })
}

const CURVES = { 'P-256': 'prime256v1', 'P-384': 'secp384r1' } as const

/** A certificate's key, if it is on this curve. @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function keyOn(
  curve: keyof typeof CURVES,
  certificate: X509Certificate,
  name: string,
): KeyObject {
  try {
    const key = certificate.publicKey
    if (key.asymmetricKeyDetails?.namedCurve === CURVES[curve]) return key
  } catch {
    // A certificate can be read whose key cannot.
  }
  throw refused(name, `expected a key on ${curve}`)
}

/** The elements of a SEQUENCE, each with its tag and content. @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function elementsOf(
  content: Buffer,
): readonly { readonly tag: number; readonly content: Buffer }[] {
  const found: { readonly tag: number; readonly content: Buffer }[] = []
  for (let rest = content; rest.length > 0; ) {
    const { tag, content: inside, length } = elementOf(rest)
    found.push({ tag, content: inside })
    rest = rest.subarray(length)
  }
  return found
}

/** One element with a length of at most two bytes (X.690 section 8.1.3). */
function elementOf(bytes: Buffer): { tag: number; content: Buffer; length: number } {
  const [tag = 0, first = 0] = bytes
  const more = first < 0x80 ? 0 : first - 0x80
  const head = 2 + more
  if (bytes.length < head || more > 2) throw refused('extension', 'expected DER')
  const size = more === 0 ? first : bytes.readUIntBE(2, more)
  if (bytes.length < head + size) throw refused('extension', 'expected DER')
  return { tag, content: bytes.subarray(head, head + size), length: head + size }
}

/** A small INTEGER's value: one content octet, positive. */
export function smallInteger(der: Buffer | undefined): number | undefined {
  if (der === undefined || der[0] !== 2 || der.length < 3 || der.length > 4) return undefined
  // 128 to 255 take a zero octet in front.
  if (der.length === 4 && (der[1] !== 2 || der[2] !== 0)) return undefined
  if (der.length === 3 && (der[1] !== 1 || (der[2] ?? 0) > 127)) return undefined
  return der.at(-1)
}
