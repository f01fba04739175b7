// Names of options: a misspelt one is refused, since it would silently do nothing.
//
// Each public call has one table with all its options and their defaults. The compiler compares the table
// with the interface, so an option cannot be in one of them only.

import { distance } from 'fastest-levenshtein'
import { McbnError } from './errors.js'

/** Exactly the names of `Options`, each with its default; `undefined` where there is no fixed one. */
export type OptionTable<Options> = { readonly [Name in keyof Required<Options>]: unknown }

/** Options of other libraries or calls, each with what to do instead. */
export type OptionAdvice = Readonly<Record<string, string>>

/** A suggestion further away than this share of the name's length would only mislead. */
const FARTHEST = 0.4

/**
 * @param call - as the caller writes it, for example `dtls.connect`.
 * @param table - the names that the call takes.
 * @throws {McbnError} `MCBN_OPTION_UNKNOWN`, naming the first unknown option and the nearest right name.
 */
export function refuseUnknown(
  call: string,
  options: object,
  table: object,
  advice: OptionAdvice = {},
): void {
  // Inherited names too: they are read like any other.
  for (const name in options) {
    if (Object.hasOwn(table, name) || Object.hasOwn(Object.prototype, name)) continue
    const instead = Object.hasOwn(advice, name) ? advice[name] : suggestion(name, table)
    throw new McbnError(
      'MCBN_OPTION_UNKNOWN',
      `${name.slice(0, 80)}: ${call} has no such option; ${instead}`,
    )
  }
}

/** The same advice for several names. */
export function adviceFor(names: readonly string[], advice: string): OptionAdvice {
  return Object.fromEntries(names.map((name) => [name, advice]))
}

function suggestion(name: string, table: object): string {
  const names = Object.keys(table)
  const near = nearest(name, names)
  if (near !== undefined) return `did you mean ${near}?`
  return names.length === 0 ? 'expected none' : `expected one of ${names.join(', ')}`
}

/** The name that was probably meant; `undefined` when none is near enough. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const [first] = names
    .map((known) => ({ known, far: distance(name.toLowerCase(), known.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)
  const most = Math.max(1, Math.ceil(name.length * FARTHEST))
  return first !== undefined && first.far <= most ? first.known : undefined
}
