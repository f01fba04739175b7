// What a participant shows to the person behind it: on the web page, in the command, in JSON.

import type { AttestedFacts } from '../attestation/types.js'
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
  /** Milliseconds since 1970. */
  readonly firstAsked: number
  readonly lastAsked: number
  readonly times: number
}

/** What a person said about a workload. Kept over restarts. */
export interface Decision {
  /** The {@link PendingRequest.id} it is about. */
  readonly id: string
  readonly decision: 'approved' | 'refused'
  readonly role: Role
  /** For people: which machine and which image. */
  readonly instance: string
  readonly imageDigest: string
  /** Milliseconds since 1970. */
  readonly decidedAt: number
  /** Milliseconds since 1970; absent: until it is decided otherwise. */
  readonly expiresAt?: number
}

/** A share that is out. */
export interface Lease {
  /** Of the latest release. */
  readonly releaseId: string
  readonly role: Role
  /** Who attested it: the evidence's issuer. */
  readonly issuer: string
  /** The attested instance. */
  readonly instance: string
  readonly imageDigest: string
  /** Empty where the platform knows no projects. */
  readonly project: string
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  /** Milliseconds since 1970: when the workload must have stopped using it. */
  readonly expiresAt: number
  /** How often it has been renewed. */
  readonly renewals: number
}

/** A refusal as the participant's own people see it; the wire only has the code. */
export interface RefusedRequest {
  readonly role: Role
  readonly code: RefusalCode
  /** What exactly was missing, in sentences. A stranger's text can be part of them: escape it. */
  readonly details: readonly string[]
  /** Absent while the evidence has not been verified. */
  readonly facts?: AttestedFacts
  /** Milliseconds since 1970. */
  readonly at: number
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
  /** Of `released`: to instances that had a lease already. */
  readonly renewed: number
  /** Refusals, by code. */
  readonly refused: Readonly<Record<string, number>>
  /** Messages that could not be read, or answered no open challenge. */
  readonly malformed: number
  /** Evidence that did not verify. */
  readonly evidenceRefused: number
}
