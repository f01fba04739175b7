// What all evidence in the form of a JWT (RFC 7519) has in common: bounds, header, signature, audience,
// nonce, times. Each kind adds its issuers and its source of keys; keys never come from the token, except in
// a certificate chain that ends in a pinned root.
//
// Choices, all on the strict side:
// - One algorithm for a kind, RS256 or PS384, and nothing else: no `none`, no HS256 with a public key as its
//   secret (RFC 8725 section 3.1).
// - `aud` is a string, equal. An array is refused even if it holds just the right value: the platform
//   documents a string, and a token for two audiences would be good for two participants.
// - `eat_nonce` is a string or an array of exactly one; more nonces would make one token good for more
//   releases.
// - Header fields that bring or point to keys (jku, jwk, x5u, x5c) are refused, not ignored. Where a service
//   always sends `jku`, it has to be the address that the keys are taken from in any case.

import { constants, type KeyObject, verify } from 'node:crypto'
import { fromUnixSeconds, type UnixMilliseconds } from '../base/time.js'
import { type CheckedToken, seconds } from './claims.js'
import { CLOCK_TOLERANCE_SECONDS } from './clock-tolerance.js'
import type { JsonObject } from './json.js'
import { objectOf, own } from './json.js'
import { refused } from './refuse.js'
import type { AttestedFacts, Evidence, VerifyRequest } from './types.js'

/** Longest token looked at, in characters. Real ones have 3,000 (OIDC) to 12,000 (PKI). */
export const MOST_TOKEN_LENGTH = 65_536

/** The audience of the token that Google Cloud itself takes as a credential. */
export const DEFAULT_AUDIENCE = 'https://sts.googleapis.com'

/** What one kind of JWT adds. */
export interface JwtKind {
  readonly kind: string
  /** @defaultValue 'RS256' */
  readonly algorithm?: JwtAlgorithm
  /** Header field that the kind uses although {@link KEY_FIELDS} has it. */
  readonly usesHeader?: 'x5c' | 'jku'
  accepts(issuer: string): boolean
  /** The key that must have signed; throws `MCBN_EVIDENCE_REFUSED`. `now`: milliseconds since 1970. */
  key(header: JsonObject, issuer: string, now: number): Promise<KeyObject>
  /** Whether it is about this audience and nonce; throws `MCBN_EVIDENCE_REFUSED`. */
  checkAbout(payload: JsonObject, expected: VerifyRequest): void
  /** What it says; throws `MCBN_EVIDENCE_REFUSED` for a claim of the wrong type. */
  facts(token: CheckedToken, payload: JsonObject): AttestedFacts
}

/** Signatures by RSA keys: RFC 7518 sections 3.3 and 3.5, with a salt as long as the hash. */
const SIGNATURES = {
  RS256: { hash: 'sha256', padding: constants.RSA_PKCS1_PADDING },
  PS384: {
    hash: 'sha384',
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  },
} as const
export type JwtAlgorithm = keyof typeof SIGNATURES

/** Fields that bring keys, name certificates, or change how the rest is to be read (RFC 7515 4.1). */
const KEY_FIELDS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc'] as const

const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/

/**
 * Verifies a token and reads its claims.
 *
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, saying which check failed.
 */
export async function verifyJwt(
  kind: JwtKind,
  evidence: Evidence,
  expected: VerifyRequest,
): Promise<AttestedFacts> {
  const { token } = evidence
  if (evidence.kind !== kind.kind) throw refused('kind', `expected ${kind.kind}`)
  if (typeof token !== 'string') throw refused('token', 'expected text')
  if (token.length > MOST_TOKEN_LENGTH) {
    throw refused('token', `expected at most ${MOST_TOKEN_LENGTH} characters, got ${token.length}`)
  }
  const [, head = '', body = '', signature = ''] = COMPACT.exec(token) ?? []
  if (signature === '') throw refused('token', 'expected a JWT: three parts of base64url')

  const header = objectOf(head, 'header')
  checkHeader(header, kind)
  // Not yet verified, used to choose the key only; the signature covers the very text it was read from.
  const payload = objectOf(body, 'payload')
  const issuer = own(payload, 'iss')
  if (typeof issuer !== 'string' || !kind.accepts(issuer)) {
    throw refused('iss', `expected an issuer trusted for ${kind.kind}`)
  }
  const key = await kind.key(header, issuer, expected.now)
  checkSignature(`${head}.${body}`, signature, key, kind.algorithm ?? 'RS256')

  kind.checkAbout(payload, expected)
  const times = checkTimes(payload, expected.now)
  return kind.facts({ kind: kind.kind, issuer, ...times }, payload)
}

/** `aud` and `eat_nonce`, as Confidential Space has them. */
export function checkAudienceAndNonce(payload: JsonObject, expected: VerifyRequest): void {
  checkAudience(payload, expected.audience)
  checkNonce(payload, expected.nonce)
}

function checkHeader(header: JsonObject, kind: JwtKind): void {
  const algorithm = kind.algorithm ?? 'RS256'
  if (own(header, 'alg') !== algorithm) throw refused('header alg', `expected ${algorithm}`)
  for (const field of KEY_FIELDS) {
    if (field !== kind.usesHeader && Object.hasOwn(header, field)) {
      throw refused(`header ${field}`, 'not allowed: a token does not bring its own keys')
    }
  }
  const type = own(header, 'typ')
  if (type !== undefined && type !== 'JWT') throw refused('header typ', 'expected JWT')
}

/**
 * At once, on this thread: verifying takes a twentieth of a millisecond, and a turn through the thread pool twice
 * that. Keys are of 2,048 to 8,192 bits wherever they come from.
 *
 * @param signed - RFC 7515 section 5.1, step 5.
 */
function checkSignature(
  signed: string,
  signature: string,
  key: KeyObject,
  algorithm: JwtAlgorithm,
): void {
  const bytes = Buffer.from(signature, 'base64url')
  // Unused bits of the last character are not signed: allow one spelling, so that a hash names a token.
  if (bytes.toString('base64url') !== signature) {
    throw refused('signature', 'expected base64url without padding (RFC 7515 section 2)')
  }
  const { hash, ...scheme } = SIGNATURES[algorithm]
  // An elliptic curve's key would be asked for another kind of signature.
  const isRsa = key.asymmetricKeyType === 'rsa'
  if (isRsa && verify(hash, Buffer.from(signed, 'latin1'), { key, ...scheme }, bytes)) return
  throw refused('signature', "expected one that the issuer's key verifies")
}

function checkAudience(payload: JsonObject, audience: string): void {
  const value = own(payload, 'aud')
  if (value === audience && audience !== DEFAULT_AUDIENCE) return
  if (value === DEFAULT_AUDIENCE || (Array.isArray(value) && value.includes(DEFAULT_AUDIENCE))) {
    throw refused(
      'aud',
      `this token is for ${DEFAULT_AUDIENCE}: it is a credential that must never be sent to anyone; ` +
        'ask the launcher for a token with the audience of the challenge',
    )
  }
  throw refused(
    'aud',
    `expected the string ${audience}${Array.isArray(value) ? ', got an array' : ''}`,
  )
}

function checkNonce(payload: JsonObject, nonce: string): void {
  const value = own(payload, 'eat_nonce')
  if (Array.isArray(value) && value.length !== 1) {
    throw refused('eat_nonce', `expected exactly one nonce, got ${value.length}`)
  }
  const only: unknown = Array.isArray(value) ? value[0] : value
  if (typeof only !== 'string') throw refused('eat_nonce', 'expected one string')
  if (only !== nonce) throw refused('eat_nonce', 'expected the nonce of this challenge')
}

function checkTimes(
  payload: JsonObject,
  now: UnixMilliseconds,
): Pick<AttestedFacts, 'attestedAt' | 'expiresAt'> {
  const iat = seconds(payload, 'iat')
  const nbf = seconds(payload, 'nbf')
  const exp = seconds(payload, 'exp')
  const clock = now / 1000
  // The comparisons are written so that a `now` that is not a number passes none of them.
  if (!(iat <= clock + CLOCK_TOLERANCE_SECONDS)) {
    throw refused(
      'iat',
      `issued in the future, by more than ${CLOCK_TOLERANCE_SECONDS} s: compare the clocks`,
    )
  }
  if (!(nbf <= clock + CLOCK_TOLERANCE_SECONDS)) throw refused('nbf', 'not valid yet')
  if (!(clock < exp + CLOCK_TOLERANCE_SECONDS))
    throw refused('exp', 'expired: ask for a fresh token')
  if (exp <= iat) throw refused('exp', 'expected a time after iat')
  return { attestedAt: fromUnixSeconds(iat), expiresAt: fromUnixSeconds(exp) }
}
