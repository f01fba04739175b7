// Reading JSON that a stranger wrote: field by field, into fresh objects. Nothing is spread or assigned
// from it, only own properties are looked at, and a field that nobody asked for is refused, so that no two
// readers of one document can see different things in it.

import type { McbnErrorCode } from '../../errors.js'
import { McbnError } from '../../errors.js'
import { isBase64url } from './base64url.js'
import { UTF_8 } from './utf8.js'

/** One value of an untrusted document, and where it stands. */
export class Untrusted {
  readonly #value: unknown
  readonly #where: string
  readonly #code: McbnErrorCode

  /**
   * @param where - what the document is, for messages, e.g. `release`.
   * @param code - of the error that every refusal throws.
   */
  constructor(value: unknown, where: string, code: McbnErrorCode) {
    this.#value = value
    this.#where = where
    this.#code = code
  }

  /** The value as it came, for a reader with its own rules. */
  get value(): unknown {
    return this.#value
  }

  /**
   * Reads an object's fields.
   *
   * @returns every name asked for; an optional field that is absent stays away.
   */
  fields<Required extends string, Optional extends string = never>(
    required: readonly Required[],
    optional: readonly Optional[] = [],
  ): { readonly [name in Required]: Untrusted } & { readonly [name in Optional]?: Untrusted } {
    const value = this.#object()
    const known: readonly string[] = [...required, ...optional]
    for (const name of Object.keys(value)) {
      if (!known.includes(name)) this.refuse(`only the fields ${known.join(', ')}`, 'another one')
    }
    const found: Record<string, Untrusted> = {}
    for (const name of known) {
      if (Object.hasOwn(value, name) && value[name] !== undefined) {
        found[name] = this.#child(value[name], `.${name}`)
      } else if ((required as readonly string[]).includes(name)) {
        this.#child(undefined, `.${name}`).refuse('a value', 'none')
      }
    }
    return found as ReturnType<typeof this.fields<Required, Optional>>
  }

  /** Reads an object whose names are data, at most `most` of them. */
  entries(most: number): (readonly [string, Untrusted])[] {
    const entries = Object.entries(this.#object())
    if (entries.length > most) this.refuse(`at most ${most} fields`, `${entries.length}`)
    return entries.map(([name, value]) => [name, this.#child(value, `.${name.slice(0, 63)}`)])
  }

  list(least: number, most: number): Untrusted[] {
    const value = this.#value
    if (!Array.isArray(value) || value.length < least || value.length > most) {
      this.refuse(`a list of ${least} to ${most}`)
    }
    return Array.from(value, (item: unknown, at) => this.#child(item, `[${at}]`))
  }

  /** Text that a pattern describes; its length is looked at first. */
  text(pattern: RegExp, expected: string, most = 255): string {
    const value = this.#value
    if (typeof value === 'string' && value.length > most) {
      this.refuse(`at most ${most} characters`, `${value.length}`)
    }
    if (typeof value !== 'string' || !pattern.test(value)) this.refuse(expected)
    return value
  }

  /**
   * A name for people: 1 to `mostBytes` bytes of UTF-8, in normal form C and without control characters, so
   * that two names that look alike are alike.
   */
  name(mostBytes: number): string {
    const value = this.#value
    if (typeof value !== 'string') this.refuse('text')
    const bytes = Buffer.byteLength(value, 'utf8')
    if (bytes < 1 || bytes > mostBytes) this.refuse(`1 to ${mostBytes} bytes`, `${bytes}`)
    if (/[\p{Surrogate}\p{Cc}]/u.test(value) || value.normalize('NFC') !== value) {
      this.refuse('Unicode in normal form C without control characters', 'other text')
    }
    return value
  }

  integer(least: number, most: number): number {
    const value = this.#value
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.refuse(`an integer from ${least} to ${most}`)
    }
    if (value < least || value > most) this.refuse(`an integer from ${least} to ${most}`)
    return value
  }

  /** The base64url text of exactly `length` bytes. */
  base64url(length: number): string {
    const value = this.#value
    if (!isBase64url(value, length)) this.refuse(`base64url of ${length} bytes without padding`)
    return value
  }

  oneOf<const Value extends string>(values: readonly Value[]): Value {
    const value = this.#value
    const found = values.find((candidate) => candidate === value)
    if (found === undefined) this.refuse(values.join(' or '))
    return found
  }

  /**
   * Refuses this value.
   *
   * @param got - by default what kind of value it is; never the value itself where it could be long.
   */
  refuse(expected: string, got = describe(this.#value), participant?: string): never {
    throw new McbnError(this.#code, `${this.#where}: expected ${expected}, got ${got}`, {
      participant,
    })
  }

  #object(): Record<string, unknown> {
    const value = this.#value
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      this.refuse('an object')
    }
    return value as Record<string, unknown>
  }

  #child(value: unknown, path: string): Untrusted {
    return new Untrusted(value, `${this.#where}${path}`, this.#code)
  }
}

/**
 * Reads JSON text, its size bounded before it is looked at.
 *
 * @param source - text, or its UTF-8 bytes.
 * @throws {McbnError} `code`; the message never quotes the text.
 */
export function readJson(
  source: string | Uint8Array,
  mostBytes: number,
  where: string,
  code: McbnErrorCode,
): unknown {
  const bytes = typeof source === 'string' ? Buffer.byteLength(source, 'utf8') : source.length
  if (bytes > mostBytes) {
    throw new McbnError(code, `${where}: expected at most ${mostBytes} bytes, got ${bytes}`)
  }
  try {
    return JSON.parse(typeof source === 'string' ? source : UTF_8.decode(source))
  } catch {
    throw new McbnError(code, `${where}: expected JSON in UTF-8, got something else`)
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'none'
  if (value === null) return 'null'
  if (typeof value === 'number') return `${value}`
  if (typeof value === 'string') return `other text of ${value.length} characters`
  if (Array.isArray(value)) return `a list of ${value.length}`
  return typeof value
}
