// What a participant shows to the person behind it: on the web page, in the command, in JSON.

import type { AttestedFacts } from '../attestation/types.js'
import type { Role } from '../descriptor/types.js'

/** Someone who waits for a person's yes. */
export interface PendingRequest {
  /** Stable while the same workload (role, attested instance, image, arguments) asks again. */
  readonly id: string
  readonly role: Role
  readonly facts: AttestedFacts
  /** Milliseconds since 1970. */
  readonly firstAsked: number
  readonly lastAsked: number
  readonly times: number
}

/** A share that is out. */
export interface Lease {
  readonly releaseId: string
  readonly role: Role
  /** The attested instance. */
  readonly instance: string
  readonly imageDigest: string
  readonly project: string
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  /** Milliseconds since 1970: when the workload must have stopped using it. */
  readonly expiresAt: number
  /** How often it has been renewed. */
  readonly renewals: number
}

export interface ParticipantStatus {
  readonly label: string
  readonly network: string
  readonly epoch: number
  /** Hex. */
  readonly descriptorHash: string
  readonly mode: 'n-of-n' | 't-of-n'
  readonly t: number
  readonly n: number
  /** Milliseconds since 1970; absent: takes part. */
  readonly withdrawnAt?: number
  readonly counters: ParticipantCounters
}

/** Since the start of the process. Hostile requests are counted here, not logged one by one. */
export interface ParticipantCounters {
  readonly requests: number
  readonly challenges: number
  readonly released: number
  /** Refusals, by code. */
  readonly refused: Readonly<Record<string, number>>
  /** Messages that could not be read. */
  readonly malformed: number
  /** Evidence that did not verify. */
  readonly evidenceRefused: number
}
