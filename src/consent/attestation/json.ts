// JSON of a token. Read by own properties only, so that a key `__proto__` is a key like any other. Of a
// name given twice the last one counts (RFC 7519 section 4 allows this or refusing).

import { UTF_8 } from '../base/utf8.js'
import { refused } from './refuse.js'

/** An object as JSON.parse made it: to be asked by {@link own} only. */
export type JsonObject = Readonly<Record<string, unknown>>

/** An own property's value; `undefined` if there is no such property. */
export function own(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

export function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/**
 * Reads one base64url part of a token as a JSON object.
 *
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`; without a cause, since a parser's errors quote their input.
 */
export function objectOf(part: string, what: string): JsonObject {
  const bytes = Buffer.from(part, 'base64url')
  // Buffer ignores what it does not understand; a token with two spellings would be two tokens.
  if (bytes.toString('base64url') !== part) {
    throw refused(what, 'expected base64url without padding (RFC 7515 section 2)')
  }
  let value: unknown
  try {
    value = JSON.parse(UTF_8.decode(bytes))
  } catch {
    throw refused(what, 'expected JSON in UTF-8')
  }
  if (!isObject(value)) throw refused(what, 'expected a JSON object')
  return value
}
