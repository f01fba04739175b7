// Canonical JSON (RFC 8785) for everything that is hashed or signed: one document, one sequence of
// bytes. Narrower than the RFC on purpose: no fractions, no numbers that two parsers could read
// differently, no text that is not well-formed Unicode. Checked and written in one walk, several times for each
// release; tests compare it with the package by the author of the RFC's reference implementation.

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
  return Buffer.from(written(value, ROOT, ''), 'utf8')
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

/** A list or an object on the way to what is being written: told only when something is refused. */
interface Place {
  readonly within: Place | undefined
  /** Of this one, in the one that it is within. */
  readonly name: string | number
  readonly level: number
}

const ROOT: Place = { within: undefined, name: '', level: -1 }

function written(value: unknown, within: Place, name: string | number): string {
  if (within.level === MOST_LEVELS) {
    throw refusal(`at most ${MOST_LEVELS} levels`, within, name)
  }
  if (typeof value === 'string') return quoted(value, within, name)
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return `${value}`
    throw refusal('an integer of at most 53 bits', within, name)
  }
  const place = { within, name, level: within.level + 1 }
  if (Array.isArray(value)) return listOf(value, place)
  if (value !== null && typeof value === 'object' && isPlain(value)) return objectOf(value, place)
  throw refusal('text, an integer, a boolean, a list or an object', within, name)
}

function listOf(list: readonly unknown[], place: Place): string {
  let text = '['
  for (let at = 0; at < list.length; at += 1) {
    text += at === 0 ? written(list[at], place, at) : `,${written(list[at], place, at)}`
  }
  return `${text}]`
}

/** Names sorted by UTF-16 code units (RFC 8785 section 3.2.3), which is how JavaScript compares text. */
function objectOf(object: object, place: Place): string {
  let text = '{'
  for (const key of Object.keys(object).sort()) {
    const item: unknown = (object as Record<string, unknown>)[key]
    const name = quoted(key, place, undefined)
    if (item === undefined) continue
    text += `${text.length === 1 ? '' : ','}${name}:${written(item, place, key)}`
  }
  return `${text}}`
}

/** Nearly all text: nothing in it has another spelling in JSON. */
const PLAIN = /^[ !#-[\]-~]*$/

/** @param name - of the value; absent for a name itself. */
function quoted(text: string, within: Place, name: string | number | undefined): string {
  if (PLAIN.test(text)) return `"${text}"`
  // With the u flag \p{Surrogate} matches only surrogates that stand alone; most text has none at all.
  if (/[\ud800-\udfff]/.test(text) && /\p{Surrogate}/u.test(text)) {
    throw refusal('well-formed Unicode', within, name)
  }
  return JSON.stringify(text)
}

function refusal(expected: string, within: Place, name: string | number | undefined): NotCanonical {
  const where =
    name === undefined ? `a key of ${pathOf(within)}` : pathOf({ within, name, level: 0 })
  return new NotCanonical(`${where}: expected ${expected}`)
}

function pathOf({ within, name }: Place): string {
  if (within === undefined || within === ROOT) return 'the document'
  const before = within.within === ROOT ? '' : pathOf(within)
  if (typeof name === 'number') return `${before}[${name}]`
  return before === '' ? name : `${before}.${name}`
}

/** Objects of a class have behaviour (toJSON, getters) that a document must not depend on. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && !('toJSON' in value)
}
