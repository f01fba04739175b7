// What an audit can hold. Deny by default: an event or a field that is not listed here is a mistake of the
// program, and stops; so a share, a key or a token cannot get in by somebody's spreading an object.

import { McbnError } from '../../errors.js'
import type { CanonicalValue } from '../base/canonical.js'

/** Everything that is ever noted. */
export const AUDIT_EVENTS = [
  'created',
  'started',
  'stopped',
  'released',
  'renewed',
  'refused',
  'pending',
  'approved',
  'counted',
  'lease-ended',
  'withdrawn',
  'policy-replaced',
  'epoch-installed',
  'repaired',
  // A workload's own.
  'joined',
  'blamed',
  'ended',
] as const
export type AuditEventType = (typeof AUDIT_EVENTS)[number]

/** What an audit writes by itself, see checkpoint.ts: not to be handed over. */
export const OWN_EVENTS = ['carried', 'checkpoint'] as const
export type AuditOwnEventType = (typeof OWN_EVENTS)[number]

type FieldKind = 'text' | 'texts' | 'integer' | 'boolean' | 'counts' | 'decided'

/**
 * Every field there is: nothing secret, no token, no environment variable's value. Times are milliseconds
 * since 1970, except for `withdrawnAt`, which repeats the signed withdrawal's seconds.
 */
const FIELDS = {
  label: 'text',
  network: 'text',
  epoch: 'integer',
  descriptorHash: 'text',
  policyHash: 'text',
  withdrawn: 'boolean',
  withdrawnAt: 'integer',
  role: 'text',
  code: 'text',
  reason: 'text',
  details: 'texts',
  id: 'text',
  decision: 'text',
  decidedAt: 'integer',
  releaseId: 'text',
  tokenHash: 'text',
  kcv: 'text',
  releasedAt: 'integer',
  expiresAt: 'integer',
  leaseSeconds: 'integer',
  renewalHash: 'text',
  returnHash: 'text',
  renewals: 'integer',
  kind: 'text',
  issuer: 'text',
  hardware: 'text',
  instance: 'text',
  imageDigest: 'text',
  imageReference: 'text',
  project: 'text',
  zone: 'text',
  serviceAccounts: 'texts',
  args: 'texts',
  parts: 'texts',
  counts: 'counts',
  line: 'integer',
  bytes: 'integer',
  file: 'text',
  carried: 'integer',
  decided: 'decided',
} as const satisfies Record<string, FieldKind>

interface FieldTypes {
  text: string
  texts: readonly string[]
  integer: number
  boolean: boolean
  counts: Readonly<Record<string, number>>
  decided: readonly string[]
}

type AuditFields = {
  readonly [name in keyof typeof FIELDS]?: FieldTypes[(typeof FIELDS)[name]] | undefined
}

/** An event as it is handed over: its type and any of the listed fields. */
export type AuditEntry = { readonly type: AuditEventType } & AuditFields
export type AuditOwnEntry = { readonly type: AuditOwnEventType } & AuditFields

/** Longer text is cut: a refusal has to be noted however long a stranger's arguments are. */
const TEXT_LENGTHS = [1024, 256, 64] as const
const MOST_ITEMS = 32
/** Of decisions in one line: an id and a time each. */
export const MOST_DECIDED = 256
/** Most bytes of the fields of one line, as JSON. */
const MOST_BYTES = 32 * 1024

const EVENTS: ReadonlySet<string> = new Set([...AUDIT_EVENTS, ...OWN_EVENTS])

/**
 * Reads an event's fields into a fresh object, cutting what is too long.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE` naming an event or field that is not listed, or of another type.
 */
export function auditFields(entry: AuditEntry | AuditOwnEntry): Record<string, CanonicalValue> {
  if (!EVENTS.has(entry.type)) {
    throw wrong('type', `one of ${AUDIT_EVENTS.join(', ')}`, typeof entry.type)
  }
  for (const length of TEXT_LENGTHS) {
    const fields = read(entry, length)
    // At worst a character is six bytes, `\\u001f`: most lines are far too short for it to matter.
    if (6 * textIn(fields) <= MOST_BYTES) return fields
    if (Buffer.byteLength(JSON.stringify(fields)) <= MOST_BYTES) return fields
  }
  throw wrong('event', `at most ${MOST_BYTES} bytes`, 'more')
}

/** Characters of all text and names, and some for each value. */
function textIn(value: CanonicalValue | undefined): number {
  if (typeof value === 'string') return value.length + 3
  if (value === null || typeof value !== 'object') return 24
  const values = value as Readonly<Record<string, CanonicalValue>>
  let sum = 2
  for (const name of Object.keys(values)) sum += name.length + 6 + textIn(values[name])
  return sum
}

function read(entry: AuditEntry | AuditOwnEntry, length: number): Record<string, CanonicalValue> {
  const fields: Record<string, CanonicalValue> = {}
  const given: Readonly<Record<string, unknown>> = entry
  for (const name of Object.keys(entry)) {
    const value = given[name]
    if (value === undefined || name === 'type') continue
    // The name is not shown: who spreads the wrong object may have a secret there.
    if (!Object.hasOwn(FIELDS, name))
      throw wrong('event', 'only fields of the audit', 'another one')
    fields[name] = readField(name, FIELDS[name as keyof typeof FIELDS], value, length)
  }
  return fields
}

function readField(name: string, kind: FieldKind, value: unknown, length: number): CanonicalValue {
  if (kind === 'text' && typeof value === 'string') return clean(value, length)
  if (kind === 'boolean' && typeof value === 'boolean') return value
  if (kind === 'integer' && isInteger(value)) return value
  if (kind === 'texts' && Array.isArray(value) && value.every((item) => typeof item === 'string')) {
    const kept = value.slice(0, MOST_ITEMS).map((item) => clean(item, length))
    return value.length === kept.length
      ? kept
      : [...kept, `… and ${value.length - kept.length} more`]
  }
  if (kind === 'decided' && Array.isArray(value) && value.length <= MOST_DECIDED) {
    if (value.every((item) => /^[0-9a-f]{64} \d{1,16}$/.test(`${item}`))) return value
  }
  if (kind === 'counts' && value !== null && typeof value === 'object') {
    const counts = Object.entries(value).slice(0, MOST_ITEMS)
    if (counts.every(([key, count]) => /^[a-zA-Z -]{1,40}$/.test(key) && isInteger(count))) {
      return Object.fromEntries(counts)
    }
  }
  throw wrong(name, `${kind}`, Array.isArray(value) ? 'a list' : typeof value)
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value) && !Object.is(value, -0)
}

/** Control and direction characters would let a stranger write on the terminal of the person who reads the log. */
const UNPRINTABLE = /[\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu
/** A JWT (RFC 7519): its beginning is `{"` in base64url. Evidence is a credential to somebody. */
const TOKEN = /eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?/g

/** Printable ASCII without the beginning of a JWT: nearly all text, and there is nothing to take out of it. */
const PLAIN = /^(?!.*eyJ)[ -~]*$/

function clean(text: string, length: number): string {
  // Cut first: the patterns are a stranger's to make long. A pair cut in two is replaced as a surrogate.
  const short = text.length > length ? `${text.slice(0, length - 1)}…` : text
  if (PLAIN.test(short)) return short
  return short.replace(TOKEN, '[token]').replace(UNPRINTABLE, '\ufffd')
}

function wrong(name: string, expected: string, got: string): McbnError {
  return new McbnError('MCBN_OPTION_TYPE', `audit: ${name}: expected ${expected}, got ${got}`)
}
