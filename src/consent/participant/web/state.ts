// What the page is told, as JSON. Text from the network travels as it is, in full: cutting it would
// hide what is being approved. The page shows it as text, with everything invisible made visible.

import { createHash } from 'node:crypto'
import type { AttestedFacts } from '../../attestation/types.js'
import type { UnixMilliseconds } from '../../base/time.js'
import type { Lease } from '../../store/lease.js'
import type { Decision } from '../../store/state.js'
import type { ParticipantStatus, PendingRequest } from '../types.js'
import type { ParticipantView } from './view.js'

/** Shown at once; what is beyond is counted. Nobody reads more, and each may be 64 KiB of evidence. */
export const MOST_PENDING = 20
export const MOST_LEASES = 100
export const MOST_DECISIONS = 50

export type NameAndValue = readonly [name: string, value: string]

/** {@link AttestedFacts} without what JSON does not have. */
export type ShownFacts = Omit<AttestedFacts, 'env' | 'overriddenEnv'> & {
  readonly env: readonly NameAndValue[]
  readonly overriddenEnv: readonly NameAndValue[]
}

export type ShownRequest = Omit<PendingRequest, 'facts'> & {
  readonly facts: ShownFacts
  /** Of everything a decision depends on; comes back with the decision. */
  readonly seen: string
}

export interface PageState {
  /** The participant's wall clock; the browser's may differ. */
  readonly now: UnixMilliseconds
  readonly status: ParticipantStatus
  readonly pending: readonly ShownRequest[]
  readonly pendingTotal: number
  readonly leases: readonly Lease[]
  readonly leasesTotal: number
  readonly decisions: readonly Decision[]
  readonly decisionsTotal: number
  /** Milliseconds until the person has to sign in again. */
  readonly sessionLeft: number
}

export function pageState(view: ParticipantView, now: number, sessionLeft: number): PageState {
  const pending = view.pending()
  const leases = view.leases()
  const decisions = view.decisions()
  return {
    now,
    status: view.status(),
    pending: pending.slice(0, MOST_PENDING).map(shownRequest),
    pendingTotal: pending.length,
    leases: leases.slice(0, MOST_LEASES),
    leasesTotal: leases.length,
    decisions: decisions.slice(0, MOST_DECISIONS),
    decisionsTotal: decisions.length,
    sessionLeft,
  }
}

/**
 * Tells what a person has read from what came since: the same request may be asked again with other
 * facts under the same id. When evidence was made does not count, it is fresh each time.
 */
export function seenOf(request: PendingRequest): string {
  const { attestedAt: _attested, expiresAt: _expires, ...facts } = shownFacts(request.facts)
  const text = JSON.stringify([request.id, request.role, Object.entries(facts).sort(byName)])
  return createHash('sha256').update(text).digest('base64url')
}

function shownRequest(request: PendingRequest): ShownRequest {
  return { ...request, facts: shownFacts(request.facts), seen: seenOf(request) }
}

/** What several platforms say each is among the claims of all of them. */
function shownFacts({ parts: _, ...facts }: AttestedFacts): ShownFacts {
  return {
    ...facts,
    env: [...facts.env].sort(byName),
    overriddenEnv: [...facts.overriddenEnv].sort(byName),
  }
}

function byName(one: readonly [string, unknown], other: readonly [string, unknown]): number {
  return one[0] < other[0] ? -1 : Number(one[0] > other[0])
}
