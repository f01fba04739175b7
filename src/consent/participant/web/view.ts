// What the page needs to know of a participant, and what it may ask of it. No more: the page depends
// on this, not on how a participant keeps its share.

import type { UnixMilliseconds } from '../../base/time.js'
import type { Lease } from '../../store/lease.js'
import type { Decision } from '../../store/state.js'
import type { ParticipantStatus, PendingRequest } from '../types.js'

/** One line of the audit. */
export interface AuditLine {
  /** Counted from 1, oldest first. */
  readonly number: number
  /** NaN where the line does not say. */
  readonly at: UnixMilliseconds
  /** What happened, in the audit's own word. */
  readonly event: string
  /** The rest of the line: name and value, both as text. */
  readonly details: readonly (readonly [name: string, value: string])[]
}

/** The end of the audit, and whether its chain of hashes holds there. */
export interface AuditReport {
  /** Whether there is an audit at all. */
  readonly kept: boolean
  /** Newest first. */
  readonly lines: readonly AuditLine[]
  /** How many lines there are in all. */
  readonly total: number
  /** Of how many, the last ones, the chain was checked. @defaultValue all */
  readonly checked?: number
  /** Present when a line was altered, removed or added: where and what was found. */
  readonly broken?: { readonly line: number; readonly reason: string }
}

/** A participant as its page sees it. */
export interface ParticipantView {
  status(): ParticipantStatus
  pending(): readonly PendingRequest[]
  /** What was decided and still holds, the latest first. */
  decisions(): readonly Decision[]
  leases(): readonly Lease[]
  /** @param id - of a waiting request, or of a decision that it reverses. */
  approve(id: string): unknown
  /** @param id - as for approve. */
  refuse(id: string): unknown
  /** For good: this epoch gets no share from this participant again. */
  withdraw(): unknown
  /** Reads and checks the end of the audit, and hands out its last `most` lines. */
  audit(most: number): Promise<AuditReport>
  /** Calls back after something above may have changed; often is harmless. @returns stops it. */
  onChange(listener: () => void): () => void
}
