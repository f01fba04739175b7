// Claims of attestation services: strict types, nothing coerced, named as the service names them.

import { isObject, type JsonObject, own } from '../json.js'
import { refused } from '../refuse.js'
import type { ClaimValue } from '../types.js'

const MOST_CLAIMS = 128
const MOST_TEXT = 4096

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function textOf(object: JsonObject, name: string): string | undefined {
  const value = own(object, name)
  if (value === undefined || typeof value === 'string') return value
  throw refused(name, 'expected a string')
}

/** Bytes in hex, in lower case and exactly so many. @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function hexOf(object: JsonObject, name: string, bytes: number): Buffer | undefined {
  const text = textOf(object, name)
  if (text === undefined) return undefined
  if (text.length === 2 * bytes && /^[0-9a-f]*$/.test(text)) return Buffer.from(text, 'hex')
  throw refused(name, `expected ${bytes} bytes in lower-case hex`)
}

/** An object of claims; absent ones are empty. @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function objectIn(object: JsonObject, name: string): JsonObject {
  const value = own(object, name)
  if (value === undefined) return {}
  if (isObject(value)) return value
  throw refused(name, 'expected an object')
}

/**
 * What a token says of itself and of one challenge (RFC 7519 section 4.1, RFC 9711 section 4.1). It has been
 * checked, and it is no part of what a person approves: another token about the same machine is no other machine.
 */
const OF_THE_TOKEN: ReadonlySet<string> = new Set([
  ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'nonce', 'eat_nonce'],
  ...['tdx_report_data', 'x-ms-sevsnpvm-reportdata', 'attester_held_data', 'attester_user_data'],
  'verifier_instance_ids',
])

/**
 * All claims that a policy can rule: text, whole number, truth, or a list of texts. Objects and others are
 * left out: what a policy cannot see, it cannot allow either.
 */
export function simpleClaims(object: JsonObject): Record<string, ClaimValue> {
  const entries = Object.entries(object).filter(
    ([name, value]) => !OF_THE_TOKEN.has(name) && isName(name) && isSimple(value),
  )
  if (entries.length > MOST_CLAIMS) throw refused('claims', `expected at most ${MOST_CLAIMS}`)
  return Object.fromEntries(entries) as Record<string, ClaimValue>
}

/** As policies may name a claim; never `__proto__`. */
function isName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)
}

function isSimple(value: unknown): value is ClaimValue {
  if (typeof value === 'string') return value.length <= MOST_TEXT
  if (typeof value === 'number') return Number.isSafeInteger(value)
  if (typeof value === 'boolean') return true
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}
