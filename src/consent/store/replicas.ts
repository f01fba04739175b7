// The seam between a participant and where it is kept. A folder has one process, which knows everything that
// happened because it did it. A database has several, the replicas: any of them answers any message, so each
// has to hear what the others did before it decides.

import type { AuditEntry } from '../audit/events.js'
import type { AuditHead, AuditLine } from '../audit/log.js'
import type { ParticipantKeys, ParticipantPublicKeys } from '../base/keys.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Policy } from '../policy/types.js'
import type { Lease } from './lease.js'
import type { StoreLock } from './seal.js'
import type { ParticipantState, ParticipantStateKeeper } from './state.js'
import type { NewEpoch } from './store.js'

/** Where a participant is kept: `Store`, a folder, or `PostgresStore`. */
export interface ParticipantStore {
  /** For people: a folder, or a database without its password. */
  readonly name: string
  readonly label: string
  readonly publicKeys: ParticipantPublicKeys
  readonly keys: ParticipantKeys
  /** Absent before the first epoch. */
  readonly descriptor: VerifiedDescriptor | undefined
  readonly policy: Policy | undefined
  /** SHA-256 of the policy's text, hex. */
  readonly policyHash: string | undefined
  /** Shares that were out when the store was opened. */
  readonly leases: readonly Lease[]
  readonly audit: StoreAudit
  readonly state: ParticipantStateKeeper
  /** Absent where one process has the store for itself. */
  readonly replicas?: Replicas
  /** A copy of the share, 32 bytes: the caller wipes it. Absent before the first epoch. */
  share(): Buffer | undefined
  reloadPolicy(check?: (policy: Policy) => void): Promise<boolean>
  setPolicy(source: unknown): Promise<Policy>
  installEpoch(epoch: NewEpoch, lock: StoreLock): Promise<void>
  close(): Promise<void>
}

/** The audit of a store. */
export interface StoreAudit {
  append(entry: AuditEntry): Promise<unknown>
  recent(most?: number): readonly AuditLine[]
  /** Of the lines that this process knows of. */
  readonly head: AuditHead
  /** Reads and checks all that is kept. @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`. */
  verify(): Promise<AuditHead>
  /** The head as it was after so many lines; `undefined` where there is no such line. */
  headAt(lines: number): Promise<AuditHead | undefined>
  /** As `verify`, the last 256 lines alone. */
  check(): Promise<AuditHead>
}

/** What a replica hears of the others. */
export interface ReplicaEars {
  /** Each line that another one wrote, once, in order. */
  line(line: AuditLine): void
  /** What people have decided, whenever that has changed. */
  state(state: ParticipantState): void
}

/** A release that is about to be made. */
export interface ReleaseClaim<Objection> {
  /** The challenge that was answered, base64url. */
  readonly c: string
  /** Milliseconds after which it is worth nothing any more. No time of day: clocks of replicas differ. */
  readonly longest: number
  /** Asked once everything that others did has been heard, and nothing can come in between. */
  readonly objection: () => Objection | undefined
}

/** What the replicas of one participant share. */
export interface Replicas {
  /** 32 bytes, the same for all: a challenge that one has given is answered at another. */
  readonly challengeKey: Uint8Array
  /** One listener; that before hears no more. */
  listen(ears: ReplicaEars): void
  /** The last lines that were kept before anybody listened, oldest first. */
  recent(): readonly AuditLine[]
  /** Hears what the others have done by now. */
  refresh(): Promise<void>
  /**
   * Keeps the line of a release, and that its challenge is spent; both or neither.
   *
   * @returns nothing when they are kept; `spent` when the challenge was answered already, anywhere; or the
   * objection.
   */
  release<Objection>(
    line: AuditEntry,
    claim: ReleaseClaim<Objection>,
  ): Promise<Objection | 'spent' | undefined>
}
