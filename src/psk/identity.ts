import { types } from 'node:util'
import { McbnError } from '../errors.js'
import type { DtlsVersion } from './types.js'

/**
 * Longest identity of TLS 1.2 and DTLS 1.2, in bytes: what OpenSSL takes (PSK_MAX_IDENTITY_LEN). RFC 4279
 * section 5.3 asks for at least 128.
 */
export const IDENTITY_MAX_BYTES = 256

/**
 * Longest identity of TLS 1.3, in bytes. RFC 8446 section 4.2.11 allows 1 to 65,535, and as many for all
 * extensions of a ClientHello together: the rest of it needs room beside the identity.
 */
export const IDENTITY_MAX_BYTES_TLS13 = 64_000

/**
 * The bytes of an identity as they go on the wire: a string as UTF-8 (RFC 4279 section 5.1), bytes
 * as they are.
 *
 * @param identity - borrowed; copied.
 * @param name - what the identity is called in the message.
 * @param maxBytes - upper limit; TLS 1.3 and the RFC 9258 importer allow more than the default.
 * @returns fresh bytes. Identities are public: they travel in the clear, nobody needs to wipe them.
 * @throws {McbnError} `MCBN_IDENTITY_INVALID` unless a string or Uint8Array of 1 to `maxBytes` bytes;
 * also for a string with a lone surrogate, which has no UTF-8 form and would silently become U+FFFD,
 * the same for every such identity.
 */
export function identityBytes(
  identity: string | Uint8Array,
  name = 'identity',
  maxBytes = IDENTITY_MAX_BYTES,
): Buffer {
  const bytes = toBytes(identity, name)
  // RFC 8446 section 4.2.11 forbids the empty identity; TLS 1.2 allows it, but it names nobody.
  if (bytes.length < 1 || bytes.length > maxBytes) {
    throw invalid(`${name}: expected 1 to ${maxBytes} bytes, got ${bytes.length}`)
  }
  return bytes
}

/**
 * An identity as text for logs and lookups: UTF-8, with U+FFFD for what is not. Not reversible, so
 * two identities that differ can have the same text.
 */
export function identityText(identity: Uint8Array): string {
  return Buffer.from(identity.buffer, identity.byteOffset, identity.byteLength).toString('utf8')
}

/**
 * Whether the identity has a NUL byte. OpenSSL keeps TLS 1.2 and DTLS 1.2 identities as C strings:
 * a client cannot send the NUL and would present a shorter identity, that of somebody else.
 */
export function hasNul(identity: Uint8Array): boolean {
  return identity.includes(0)
}

/** Whether only TLS 1.3 can carry the identity: it has a NUL byte or more than 256 bytes. */
export function needsTls13(identity: Uint8Array): boolean {
  return hasNul(identity) || identity.length > IDENTITY_MAX_BYTES
}

/**
 * For clients that may speak TLS 1.2 or DTLS: refuses an identity that those cannot send. DTLS 1.3 can send a NUL.
 *
 * @param protocol - the version that cannot carry it, for the message.
 * @throws {McbnError} `MCBN_IDENTITY_INVALID` when there is a NUL byte or more than 256 bytes.
 */
export function refuseUnsendable(identity: Uint8Array, protocol: 'TLSv1.2' | DtlsVersion): void {
  const instead =
    protocol === 'TLSv1.2'
      ? "choose another identity, or set maxVersion: 'TLSv1.3'"
      : 'choose another identity'
  if (identity.length > IDENTITY_MAX_BYTES) {
    throw invalid(
      `identity: expected at most ${IDENTITY_MAX_BYTES} bytes for a ${protocol} client, got ${identity.length}; ${instead}`,
    )
  }
  const at = identity.indexOf(0)
  if (at === -1 || protocol === 'DTLSv1.3') return
  throw invalid(
    `identity: expected no NUL byte, got one at offset ${at}, which a ${protocol} client cannot send; ${instead}`,
  )
}

function toBytes(identity: string | Uint8Array, name: string): Buffer {
  if (typeof identity === 'string') {
    // With the u flag \p{Surrogate} matches only surrogates that stand alone.
    if (/\p{Surrogate}/u.test(identity)) {
      throw invalid(`${name}: expected well-formed Unicode, got a lone surrogate`)
    }
    return Buffer.from(identity, 'utf8')
  }
  if (types.isUint8Array(identity)) return Buffer.from(identity)
  throw invalid(
    `${name}: expected a string or Uint8Array, got ${identity === null ? 'null' : typeof identity}`,
  )
}

function invalid(message: string): McbnError {
  return new McbnError('MCBN_IDENTITY_INVALID', message)
}
