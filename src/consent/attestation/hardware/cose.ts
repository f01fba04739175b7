// COSE_Sign1 (RFC 9052 section 4.2) with ES384 (RFC 9053 section 2.1), in one spelling: what is not signed has
// nothing in it and no second form. CBOR (RFC 8949) is read by cborg: shortest lengths, no key twice, no tags.

import { type KeyObject, verify } from 'node:crypto'
import { decode, encode } from 'cborg'
import { refused } from '../refuse.js'

/** { 1: -35 }: the algorithm is ES384, and nothing besides. */
const PROTECTED = Buffer.from('a1013822', 'hex')
/** R and S (RFC 9053 section 2.1). */
const SIGNATURE_BYTES = 96

export interface CoseSign1 {
  readonly payload: Buffer
  readonly signature: Buffer
}

export type CborMap = ReadonlyMap<unknown, unknown>

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function parseCoseSign1(bytes: Uint8Array): CoseSign1 {
  const message = read(bytes, 'document', false)
  if (!Array.isArray(message) || message.length !== 4) {
    throw refused('document', 'expected a COSE_Sign1, untagged: a list of four')
  }
  const [head, unprotected, payload, signature]: unknown[] = message
  if (!(head instanceof Uint8Array) || !PROTECTED.equals(head)) {
    throw refused('document header', 'expected the algorithm ES384 and nothing else')
  }
  if (!(unprotected instanceof Map) || unprotected.size !== 0) {
    throw refused('document header', 'expected nothing unprotected')
  }
  if (!(payload instanceof Uint8Array)) throw refused('document payload', 'expected bytes')
  if (!(signature instanceof Uint8Array) || signature.length !== SIGNATURE_BYTES) {
    throw refused('document signature', `expected ${SIGNATURE_BYTES} bytes`)
  }
  return { payload: Buffer.from(payload), signature: Buffer.from(signature) }
}

/**
 * Checks the signature, over the Sig_structure (RFC 9052 section 4.4).
 *
 * @param key - on P-384; whose it is, the caller knows.
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`.
 */
export function checkCoseSignature({ payload, signature }: CoseSign1, key: KeyObject): void {
  const signed = encode(['Signature1', PROTECTED, new Uint8Array(), payload])
  if (!verify('sha384', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)) {
    throw refused('document signature', "expected one that the certificate's key verifies")
  }
}

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function cborMap(bytes: Uint8Array, what: string): CborMap {
  const value = read(bytes, what, true)
  if (!(value instanceof Map)) throw refused(what, 'expected a map (RFC 8949)')
  return value
}

function read(bytes: Uint8Array, what: string, allowIndefinite: boolean): unknown {
  try {
    return decode(bytes, {
      strict: true,
      allowIndefinite,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      useMaps: true,
      rejectDuplicateMapKeys: true,
    })
  } catch {
    // Without the cause, since a parser's errors quote their input.
    throw refused(what, 'expected CBOR in its shortest form, no key twice (RFC 8949)')
  }
}
