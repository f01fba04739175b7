// The certificate chain of a PKI token: exactly leaf, intermediate, root (RFC 7515 section 4.1.6), the
// last one pinned. OpenSSL checks signatures from the root down, so that no key is used before it is
// trusted: a sender of a chain with a huge key makes nobody calculate with it.

import { type KeyObject, X509Certificate } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { typeName } from '../../options.js'
import { checkPath } from './path.js'
import { refused } from './refuse.js'

const NAMES = ['leaf', 'intermediate', 'root'] as const
const MODULUS_BITS = { min: 2048, max: 8192 } as const
/** Longest certificate in base64; Google's have 2,000 to 2,500 characters. */
const MOST_LENGTH = 16_384

/** Upper-case fingerprints with colons, as `X509Certificate.fingerprint256` has them. */
export function pinnedRoots(roots: unknown): ReadonlySet<string> {
  if (!Array.isArray(roots)) {
    throw new McbnError('MCBN_OPTION_TYPE', `roots: expected an array, got ${typeName(roots)}`)
  }
  if (roots.length === 0) throw new McbnError('MCBN_OPTION_RANGE', 'roots: expected at least one')
  return new Set(roots.map((root: unknown, at) => fingerprintOf(root, `roots[${at}]`)))
}

function fingerprintOf(root: unknown, name: string): string {
  if (typeof root === 'string' && /^([0-9a-f]{2}:?){31}[0-9a-f]{2}$/i.test(root)) {
    const pairs = root.replaceAll(':', '').toUpperCase().match(/../g) ?? []
    return pairs.join(':')
  }
  if (typeof root !== 'string' && !(root instanceof Uint8Array)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `${name}: expected a certificate or its SHA-256 fingerprint, got ${typeName(root)}`,
    )
  }
  try {
    const certificate = new X509Certificate(root)
    if (certificate.ca) return certificate.fingerprint256
  } catch {
    // Said below, without OpenSSL's words for it.
  }
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `${name}: expected a CA certificate (PEM or DER) or its SHA-256 fingerprint in hex`,
  )
}

/** A chain of three whose root is pinned; nothing else of it is checked yet. */
export interface PinnedChain {
  readonly leaf: X509Certificate
  readonly intermediate: X509Certificate
  readonly root: X509Certificate
}

/**
 * @param roots - fingerprints, of {@link pinnedRoots}.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`.
 */
export function pinnedChain(
  certificates: readonly X509Certificate[],
  roots: ReadonlySet<string>,
): PinnedChain {
  const [leaf, intermediate, root] = certificates
  if (leaf === undefined || intermediate === undefined || root === undefined) {
    throw refused('certificates', `expected ${NAMES.length}`)
  }
  if (!roots.has(root.fingerprint256)) throw refused('root', 'expected a pinned root')
  return { leaf, intermediate, root }
}

/**
 * The leaf's key of a valid chain.
 *
 * @param roots - fingerprints, of {@link pinnedRoots}.
 * @param now - milliseconds since 1970.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the certificate.
 */
export function leafOf(x5c: unknown, roots: ReadonlySet<string>, now: number): KeyObject {
  if (!Array.isArray(x5c) || x5c.length !== NAMES.length) {
    const got = Array.isArray(x5c) ? `${x5c.length}` : 'none'
    throw refused('header x5c', `expected exactly ${NAMES.length} certificates, got ${got}`)
  }
  const root = certificateOf(x5c[2], 'root')
  if (!roots.has(root.fingerprint256)) {
    throw refused('header x5c', 'expected a chain that ends in a pinned root')
  }
  const intermediate = certificateOf(x5c[1], 'intermediate')
  const leaf = certificateOf(x5c[0], 'leaf')
  // A leaf that is a CA could be any CA below the root, made to sign something else.
  if (leaf.ca) throw refused('leaf', 'expected no CA certificate')
  checkPath({ leaf, intermediates: [intermediate], root, now, names: NAMES })

  const bits = leaf.publicKey.asymmetricKeyDetails?.modulusLength ?? 0
  if (
    leaf.publicKey.asymmetricKeyType !== 'rsa' ||
    bits < MODULUS_BITS.min ||
    bits > MODULUS_BITS.max
  ) {
    throw refused('leaf', `expected an RSA key of ${MODULUS_BITS.min} to ${MODULUS_BITS.max} bits`)
  }
  return leaf.publicKey
}

type CertificateName = (typeof NAMES)[number]

function certificateOf(text: unknown, name: CertificateName): X509Certificate {
  if (typeof text === 'string' && text.length <= MOST_LENGTH) {
    const der = Buffer.from(text, 'base64')
    try {
      const certificate = new X509Certificate(der)
      // DER only, nothing behind it, in standard base64: the constructor would take PEM and more.
      if (certificate.raw.toString('base64') === text) return certificate
    } catch {
      // Said below.
    }
  }
  throw refused(name, 'expected one certificate, DER in base64')
}
