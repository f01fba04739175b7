// The chain: each line is the canonical JSON (RFC 8785) of one event, with the SHA-256 of the line before.
// A forger who alters, removes or inserts a line has to rewrite all that follow; anyone who has noted a head can
// tell. What a chain alone cannot show is that its end was cut off: for that, note heads elsewhere.

import { createHash } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { canonicalBytes, NotCanonical, parseCanonical } from '../base/canonical.js'
import type { UnixMilliseconds } from '../base/time.js'
import {
  type AuditEntry,
  type AuditEventType,
  type AuditOwnEntry,
  type AuditOwnEventType,
  auditFields,
} from './events.js'

/** Most bytes of one line, its newline included. */
export const LINE_MAX_BYTES = 64 * 1024

/** One line as it is read back. */
export interface AuditLine {
  /** Counted from 1, without gaps: also its place in the file. */
  readonly seq: number
  /** RFC 3339, UTC, with milliseconds. */
  readonly time: string
  /** What happened. */
  readonly event: string
  /** SHA-256 of the line before, without its newline; 64 hex digits, all zero before the first. */
  readonly prev: string
  readonly [field: string]: unknown
}

/** How far a chain goes. */
export interface AuditHead {
  readonly lines: number
  /** SHA-256 of the last line, 64 hex digits: noted elsewhere, it fixes everything up to here. */
  readonly head: string
}

/** Of an audit without lines. */
export const EMPTY_CHAIN: AuditHead = { lines: 0, head: '0'.repeat(64) }

/** An entry whose fields were read and whose time is known; its place in the chain is not. */
export interface PreparedEntry {
  readonly event: AuditEventType | AuditOwnEventType
  readonly fields: Readonly<Record<string, unknown>>
  readonly now: UnixMilliseconds
}

/** A line in its place. */
export interface ChainedLine {
  /** With the newline. */
  readonly bytes: Buffer
  readonly line: AuditLine
  readonly head: AuditHead
}

/** @throws {McbnError} `MCBN_OPTION_TYPE` for an event or field that no audit has. */
export function prepareEntry(entry: AuditEntry | AuditOwnEntry, now: number): PreparedEntry {
  return { event: entry.type, fields: auditFields(entry), now }
}

/** The line that an entry is behind `before`. */
export function lineAfter(
  { lines, head }: AuditHead,
  { event, fields, now }: PreparedEntry,
): AuditLine {
  // In this order: behind twenty other names V8 takes a microsecond and more for each of these four.
  return { seq: lines + 1, time: new Date(now).toISOString(), event, prev: head, ...fields }
}

/** A line as it is written. */
export function chained(line: AuditLine): ChainedLine {
  const json = canonicalBytes(line)
  const head = { lines: line.seq, head: hashOf(json) }
  return { bytes: Buffer.concat([json, Buffer.from('\n')]), line, head }
}

/** Makes the next line. */
export function nextLine(before: AuditHead, entry: AuditEntry, now: number): ChainedLine {
  return chained(lineAfter(before, prepareEntry(entry, now)))
}

/** What comes before a line, as it says itself; nothing of it is proved. */
export function claimedBefore(json: Uint8Array): AuditHead {
  try {
    const { seq, prev } = JSON.parse(Buffer.from(json).toString('utf8')) as Record<string, unknown>
    if (Number.isSafeInteger(seq) && Number(seq) > 1 && /^[0-9a-f]{64}$/.test(`${prev}`)) {
      return { lines: Number(seq) - 1, head: `${prev}` }
    }
  } catch {
    // Said where the line itself is read.
  }
  return EMPTY_CHAIN
}

/**
 * Checks the line that follows.
 *
 * @param json - without its newline.
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`.
 */
export function checkLine(
  before: AuditHead,
  json: Uint8Array,
): { readonly line: AuditLine; readonly head: AuditHead } {
  const number = before.lines + 1
  let value: Record<string, unknown>
  try {
    value = parseCanonical(json) as Record<string, unknown>
  } catch (error) {
    if (!(error instanceof NotCanonical)) throw error
    throw broken(number, error.message)
  }
  const { seq, time, event, prev } = value
  if (prev !== before.head) {
    throw broken(
      number,
      'expected the hash of the line before, got another one; it or this was altered',
    )
  }
  if (seq !== number) throw broken(number, `expected seq ${number}, got another one`)
  if (typeof time !== 'string' || typeof event !== 'string') {
    throw broken(number, 'expected time and event as text')
  }
  return { line: value as unknown as AuditLine, head: { lines: number, head: hashOf(json) } }
}

/** A line that does not belong; `line` counts from 1. */
export function broken(line: number, what: string): McbnError {
  return new McbnError('MCBN_AUDIT_BROKEN', `audit: line ${line}: ${what}`, { line })
}

function hashOf(json: Uint8Array): string {
  return createHash('sha256').update(json).digest('hex')
}
