// Canonical JSON (RFC 8785) for everything that is hashed or signed: one document, one sequence of
// bytes. Narrower than the RFC on purpose: no fractions, no numbers that two parsers could read
// differently, no text that is not well-formed Unicode.

import canonicalize from 'canonicalize'

// Its types describe an ES module; what it exports is the function itself.
const serialize = canonicalize as unknown as (value: object) => string

/** What a canonical document can hold. */
export type CanonicalValue =
  | string
  | number
  | boolean
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue | undefined }

/** Deeper documents are refused: nothing of ours is, and a parser's stack is finite. */
const MOST_LEVELS = 32

/** A document that cannot be canonical. Callers turn it into an error about what they were reading. */
export class NotCanonical extends Error {
  override readonly name = 'NotCanonical'
}

/**
 * The canonical bytes of a document: UTF-8 (RFC 8785 section 3.2.4).
 *
 * @param value - properties that are `undefined` are left out.
 * @throws {NotCanonical} for what {@link CanonicalValue} does not allow, integers beyond 2^53 - 1, lone
 * surrogates, more than 32 levels.
 */
export function canonicalBytes(value: object): Buffer {
  check(value, '', 0)
  return Buffer.from(serialize(value), 'utf8')
}

/**
 * Reads a document that must already be canonical: white space, another order of keys, a key given
 * twice, `1.0` or `1e3` are all refused, since the bytes would not be the ones that were signed.
 *
 * @throws {NotCanonical} saying what is wrong, never quoting the document.
 */
export function parseCanonical(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  const value = parse(text)
  if (value === null || typeof value !== 'object') throw new NotCanonical('expected an object')
  if (!canonicalBytes(value).equals(bytes)) {
    throw new NotCanonical(
      'expected canonical JSON (RFC 8785): sorted keys, no spaces, no duplicates',
    )
  }
  return value
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode(bytes: Uint8Array): string {
  try {
    return UTF_8.decode(bytes)
  } catch {
    throw new NotCanonical('expected UTF-8')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new NotCanonical('expected JSON')
  }
}

function check(value: unknown, path: string, level: number): void {
  const where = path === '' ? 'the document' : path
  if (level > MOST_LEVELS)
    throw new NotCanonical(`${where}: expected at most ${MOST_LEVELS} levels`)
  if (typeof value === 'boolean') return
  if (typeof value === 'string') {
    // With the u flag \p{Surrogate} matches only surrogates that stand alone; most text has none at all.
    if (/[\ud800-\udfff]/.test(value) && /\p{Surrogate}/u.test(value))
      throw new NotCanonical(`${where}: expected well-formed Unicode`)
    return
  }
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      throw new NotCanonical(`${where}: expected an integer of at most 53 bits`)
    }
    return
  }
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at += 1) check(value[at], `${path}[${at}]`, level + 1)
    return
  }
  if (value !== null && typeof value === 'object' && isPlain(value)) {
    for (const [key, item] of Object.entries(value)) {
      check(key, `a key of ${where}`, level + 1)
      if (item !== undefined) check(item, path === '' ? key : `${path}.${key}`, level + 1)
    }
    return
  }
  throw new NotCanonical(`${where}: expected text, an integer, a boolean, a list or an object`)
}

/** Objects of a class have behaviour (toJSON, getters) that a document must not depend on. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && !('toJSON' in value)
}
