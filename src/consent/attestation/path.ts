// Path validation (RFC 5280 section 6) by OpenSSL's own X509_verify_cert, through the addon: path length,
// name constraints, unknown critical extensions, key usages, sizes of keys and digests (security level 2).
//
// Why the addon: node:crypto compares names and checks one signature, and knows none of the rest; the
// packages that validate paths in JavaScript (pkijs, @peculiar/x509) have neither security levels nor
// OpenSSL's strictness. It is loaded when the first chain is judged, so mcbn/consent is without it until then.

import type { X509Certificate } from 'node:crypto'
import { type NativePath, validatePath } from '../../native/path.js'
import type { UnixMilliseconds } from '../base/time.js'
import { refused } from './refuse.js'

export interface PathToCheck {
  readonly leaf: X509Certificate
  /** From the leaf's issuer on. */
  readonly intermediates: readonly X509Certificate[]
  /** Pinned, self-signed. */
  readonly root: X509Certificate
  readonly now: UnixMilliseconds
  /** What refusals call them, the leaf first. */
  readonly names: readonly string[]
  /** Revocation lists in DER; where there are some, every certificate but the root needs one. */
  readonly crls?: readonly Uint8Array[]
  /**
   * RFC 5280 to the letter, key identifiers and all; false for makers whose certificates are not.
   * @defaultValue true
   */
  readonly strict?: boolean
  /** Whether the leaf has to have the key usage digitalSignature. @defaultValue true */
  readonly digitalSignature?: boolean
}

/**
 * Checks a chain.
 *
 * @returns the leaf's extensions, by object identifier.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the certificate and saying OpenSSL's reason;
 * `MCBN_ADDON_UNAVAILABLE` where this process cannot load the addon.
 */
export function checkPath(path: PathToCheck): ReadonlyMap<string, Buffer> {
  const { leaf, intermediates, root, now, names, crls, strict, digitalSignature } = path
  const chain = [leaf, ...intermediates, root]
  for (const [at, certificate] of chain.slice(0, -1).entries()) {
    // One that the path passes by would be bytes that nobody has judged.
    if (!certificate.checkIssued(chain[at + 1] as X509Certificate)) {
      throw refused(names[at] ?? 'certificate', 'expected a certificate issued by the next one')
    }
  }
  // A `now` that is no number is no time at which anything is valid.
  const time = Number.isFinite(now) ? Math.floor(now / 1000) : -1
  const found: NativePath = validatePath({
    leaf: leaf.raw,
    intermediates: intermediates.map(({ raw }) => raw),
    roots: [root.raw],
    crls: crls ?? [],
    time,
    strict: strict ?? true,
    digitalSignature: digitalSignature ?? true,
  })
  if (found.failure !== '') {
    const name = names[found.depth] ?? 'certificate'
    throw refused(name, `path validation (RFC 5280 section 6): ${found.failure}`)
  }
  return new Map(found.extensions)
}
