// What the people behind a participant have decided, as it is kept over restarts.

import type { AuditEntry } from '../audit/events.js'
import type { UnixMilliseconds } from '../base/time.js'
import type { Role } from '../descriptor/types.js'
import type { Withdrawal } from '../release/messages.js'

/** What a person said about a workload. */
export interface Decision {
  /** The id of the waiting request that it is about. */
  readonly id: string
  readonly decision: 'approved' | 'refused'
  readonly role: Role
  /** For people: which machine and which image. */
  readonly instance: string
  readonly imageDigest: string
  readonly decidedAt: UnixMilliseconds
  /** Absent: until it is decided otherwise. */
  readonly expiresAt?: UnixMilliseconds
}

/** What a participant has to remember. */
export interface ParticipantState {
  /** The signed word that it takes part no longer. */
  readonly withdrawal?: Withdrawal
  readonly decisions: readonly Decision[]
}

/** Keeps the state durably. */
export interface ParticipantStateKeeper {
  /** As it was stored last. */
  readonly current: ParticipantState
  /** Resolves when the state would survive a power failure. Never called twice at once. */
  save(state: ParticipantState): Promise<void>
  /**
   * Where several processes keep one state: makes a change from what is stored, and keeps it together with its
   * line of the audit. Absent: `save`, and the line after it.
   */
  update?(
    change: (state: ParticipantState) => ParticipantState,
    line: (next: ParticipantState) => AuditEntry | undefined,
  ): Promise<ParticipantState>
}

/** State that lives as long as the process: for tests, and where nothing has to survive. */
export function memoryState(): ParticipantStateKeeper {
  let current: ParticipantState = { decisions: [] }
  return {
    get current() {
      return current
    },
    save(state) {
      current = state
      return Promise.resolve()
    },
  }
}
