// Options are checked once, where the public call comes in; below that, types are true.

import { types } from 'node:util'
import { McbnError } from './errors.js'

/** Largest delay of a timer, milliseconds: what setTimeout takes. */
export const MAX_MILLISECONDS = 2_147_483_647

/** An integer option within bounds, or its default. */
export function integerOption(
  name: string,
  value: unknown,
  bounds: { readonly min: number; readonly max: number; readonly unit?: string },
  otherwise: number,
): number {
  return value === undefined ? otherwise : requiredInteger(name, value, bounds)
}

/** An integer within bounds that has no default. */
export function requiredInteger(
  name: string,
  value: unknown,
  bounds: { readonly min: number; readonly max: number; readonly unit?: string },
): number {
  const { min, max, unit } = bounds
  const wanted = `expected an integer from ${min} to ${max}${unit === undefined ? '' : ` ${unit}`}`
  if (typeof value !== 'number') {
    throw new McbnError('MCBN_OPTION_TYPE', `${name}: ${wanted}, got ${typeName(value)}`)
  }
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new McbnError('MCBN_OPTION_RANGE', `${name}: ${wanted}, got ${value}`)
  }
  return value
}

/** A port to listen on; 0 lets the system choose. */
export function portOption(value: unknown, otherwise: number): number {
  return integerOption('port', value, { min: 0, max: 65_535 }, otherwise)
}

/** Milliseconds; 0 means "forever" where the option says so. */
export function millisecondsOption(name: string, value: unknown, otherwise: number): number {
  return integerOption(name, value, { min: 0, max: MAX_MILLISECONDS, unit: 'ms' }, otherwise)
}

export function booleanOption(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise
  if (typeof value === 'boolean') return value
  throw new McbnError('MCBN_OPTION_TYPE', `${name}: expected a boolean, got ${typeName(value)}`)
}

export function functionOption<Value>(name: string, value: Value | undefined): Value | undefined {
  if (value === undefined || typeof value === 'function') return value
  throw new McbnError('MCBN_OPTION_TYPE', `${name}: expected a function, got ${typeName(value)}`)
}

/** A string without NUL, which would end it early inside OpenSSL. Absent: undefined. */
export function stringOption(name: string, value: unknown, maxBytes = 65_535): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') {
    throw new McbnError('MCBN_OPTION_TYPE', `${name}: expected a string, got ${typeName(value)}`)
  }
  if (value.includes('\0')) {
    throw new McbnError('MCBN_OPTION_RANGE', `${name}: expected a string without NUL`)
  }
  const bytes = Buffer.byteLength(value)
  if (bytes > maxBytes) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `${name}: expected at most ${maxBytes} bytes, got ${bytes}`,
    )
  }
  return value
}

/** Bytes of a length within bounds; not a copy. */
export function bytesOption(
  name: string,
  value: unknown,
  { min, max }: { readonly min: number; readonly max: number },
): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `${name}: expected a Uint8Array, got ${typeName(value)}`,
    )
  }
  if (value.length < min || value.length > max) {
    const wanted = min === max ? `${min}` : `${min} to ${max}`
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `${name}: expected ${wanted} bytes, got ${value.length}`,
    )
  }
  return value
}

export function choiceOption<Choice extends string>(
  name: string,
  value: unknown,
  choices: readonly Choice[],
  otherwise: Choice,
): Choice {
  if (value === undefined) return otherwise
  const found = choices.find((choice) => choice === value)
  if (found !== undefined) return found
  const got = typeof value === 'string' ? `'${value}'` : typeName(value)
  throw new McbnError(
    typeof value === 'string' ? 'MCBN_OPTION_RANGE' : 'MCBN_OPTION_TYPE',
    `${name}: expected ${choices.map((choice) => `'${choice}'`).join(' or ')}, got ${got}`,
  )
}

/** Protocol names of RFC 7301 in order of preference: 1 to 255 bytes each. */
export function alpnOption(value: unknown): readonly string[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string')) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `ALPNProtocols: expected an array of strings, got ${typeName(value)}`,
    )
  }
  for (const name of value as string[]) {
    const bytes = Buffer.byteLength(name)
    if (bytes < 1 || bytes > 255) {
      throw new McbnError(
        'MCBN_OPTION_RANGE',
        `ALPNProtocols: expected names of 1 to 255 bytes (RFC 7301 section 3.1), got ${bytes}`,
      )
    }
  }
  return [...(value as string[])]
}

/** A name for server_name (RFC 6066 section 3): a host name, never an address. */
export function servernameOption(value: unknown): string | undefined {
  const name = stringOption('servername', value, 255)
  return name === '' ? undefined : name
}

export function objectOption(name: string, value: unknown): asserts value is object {
  if (value !== null && typeof value === 'object') return
  throw new McbnError('MCBN_OPTION_TYPE', `${name}: expected an object, got ${typeName(value)}`)
}

/** The type of a wrong value for a message; never the value, which may be a secret. */
export function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (types.isUint8Array(value)) return 'Uint8Array'
  if (Array.isArray(value)) return 'an array'
  return typeof value
}
