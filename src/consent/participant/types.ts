// What a participant shows to the person behind it: on the web page, in the command, in JSON.

import type { AttestedFacts } from '../attestation/types.js'
import type { UnixMilliseconds } from '../base/time.js'
import type { Role } from '../descriptor/types.js'
import type { RefusalCode } from '../release/messages.js'

/** Someone who waits for a person's yes. Its evidence was valid and the policy allows it. */
export interface PendingRequest {
  /**
   * 64 hex digits: SHA-256 over descriptor, role, attested instance, image, arguments, environment and
   * service accounts. The same while the same workload asks again; different once any of them changes.
   */
  readonly id: string
  readonly role: Role
  readonly facts: AttestedFacts
  readonly firstAskedAt: UnixMilliseconds
  readonly lastAskedAt: UnixMilliseconds
  readonly times: number
}

/** A refusal as the participant's own people see it; the wire only has the code. */
export interface RefusedRequest {
  readonly role: Role
  readonly code: RefusalCode
  /** What exactly was missing, in sentences. A stranger's text can be part of them: escape it. */
  readonly details: readonly string[]
  /** Absent while the evidence has not been verified. */
  readonly facts?: AttestedFacts
  readonly at: UnixMilliseconds
}

export interface ParticipantStatus {
  readonly label: string
  readonly network: string
  readonly epoch: number
  /** Hex. */
  readonly descriptorHash: string
  /** SHA-256 of the policy's file that is in force, hex; absent where it is out of none. */
  readonly policyHash?: string
  readonly mode: 'n-of-n' | 't-of-n'
  readonly t: number
  readonly n: number
  /** Absent: takes part. */
  readonly withdrawnSince?: UnixMilliseconds
  readonly counters: ParticipantCounters
}

/** Since the start of the process. Hostile requests are counted here, not logged one by one. */
export interface ParticipantCounters {
  readonly requests: number
  readonly challenges: number
  readonly released: number
  /** Of `released`: to instances that had a lease already. */
  readonly renewed: number
  /** Workloads that gave their lease back. */
  readonly returned: number
  /** Refusals, by code. */
  readonly refused: Readonly<Record<string, number>>
  /** Messages that could not be read, or answered no open challenge. */
  readonly malformed: number
  /** Evidence that did not verify. */
  readonly evidenceRefused: number
  /** Lines that the audit did not take; anything above 0 needs a person. */
  readonly auditFailures: number
}
