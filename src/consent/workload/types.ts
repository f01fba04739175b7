// What a workload gives to join a network, and what it hears from it.

import type { McbnError } from '../../errors.js'
import type { OptionTable } from '../../option-names.js'
import type { Attester } from '../attestation/types.js'
import type { AuditEntry } from '../audit/events.js'
import type { Clock } from '../base/clock.js'
import type { Role, SignedDescriptor } from '../descriptor/types.js'
import type { RefusalCode } from '../release/messages.js'
import type { RetryOptions } from './backoff.js'

/**
 * Finds the addresses of a participant, as URLs in the order to be tried; asked again for each attempt.
 * `resolveParticipants` of mcbn/discovery makes one.
 */
export type ParticipantResolver = (
  label: string,
  options?: { readonly signal?: AbortSignal },
) => Promise<readonly (string | URL)[]>

/** Where participants are: a URL for each label, or a function that finds them. */
export type ParticipantAddresses = Readonly<Record<string, string | URL>> | ParticipantResolver

/** Where the workload writes what it did. An `AuditLog` is one. */
export interface WorkloadAudit {
  /** Never given a secret or a token. A slow receiver delays only its own promise, never consent. */
  append(entry: AuditEntry): Promise<unknown>
}

/** How participants are asked: the same for joining and for renewing. */
export interface AskOptions {
  /**
   * Milliseconds for one round with one participant: two messages and the evidence between them.
   *
   * @defaultValue 15_000
   */
  readonly requestTimeout?: number
  /** Waiting times between attempts. */
  readonly retry?: RetryOptions
  /**
   * Milliseconds until joining is given up with what there is. Until then those are asked again that
   * were silent, busy, wait for a person's approval, or named a time.
   *
   * @defaultValue 60_000
   */
  readonly deadline?: number
}

export interface JoinOptions extends AskOptions {
  /** The descriptor with all signatures: an object, or its JSON. */
  readonly descriptor: SignedDescriptor | string | Uint8Array
  /**
   * The hash of the descriptor that is meant: 32 bytes or 64 lower-case hex digits. From something that the
   * attestation measures, never from where the descriptor came from.
   */
  readonly descriptorHash: Uint8Array | string
  /** What this workload is. A client only connects, a server only listens. */
  readonly role: Role
  readonly attester: Attester
  readonly participants: ParticipantAddresses
  /** Joining ends with its reason when it aborts; a network that was joined is not touched. */
  readonly signal?: AbortSignal
  /** @defaultValue the machine's own */
  readonly clock?: Clock
  /** Called with every step of joining and renewing. What it throws becomes an `uncaughtException`. */
  readonly onProgress?: (progress: Progress) => void
  readonly audit?: WorkloadAudit
}

/** @internal */
export const JOIN_OPTIONS = {
  requestTimeout: undefined,
  retry: undefined,
  deadline: undefined,
  descriptor: undefined,
  descriptorHash: undefined,
  role: undefined,
  attester: undefined,
  participants: undefined,
  signal: undefined,
  clock: undefined,
  onProgress: undefined,
  audit: undefined,
} as const satisfies OptionTable<JoinOptions>

/** The one place where these defaults are written. */
export const JOIN_DEFAULTS = {
  requestTimeout: 15_000,
  deadline: 60_000,
} as const

/** A step with one participant. */
export interface Progress {
  readonly label: string
  readonly epoch: number
  readonly state: ProgressState
  /** With `refused`: the participant's reason. With `silent`, `unattested` and `blamed`: the error's code. */
  readonly code?: RefusalCode | McbnError['code']
  /** Why, in a sentence, where there is more to say. */
  readonly message?: string
  /** Milliseconds until it is asked again; absent where it is not. */
  readonly retryIn?: number
  /** With `released`: milliseconds until its lease ends. */
  readonly leaseFor?: number
}

/**
 * `asking`: the request is on its way. `attesting`: the challenge came, evidence is made. `released`: a
 * checked share is here. `refused`: no. `silent`: no answer that could be believed. `unattested`: this
 * machine's attester gave no evidence; the participant is not at fault. `blamed`: a validly signed, bad share.
 */
export type ProgressState =
  | 'asking'
  | 'attesting'
  | 'released'
  | 'refused'
  | 'silent'
  | 'unattested'
  | 'blamed'

/** A live lease, as the workload counts it. */
export interface WorkloadLease {
  readonly label: string
  /** Milliseconds left. */
  readonly remaining: number
  /** How often it has been renewed. */
  readonly renewals: number
}

/** How much of the consent may be lost before the network ends. */
export interface Redundancy {
  /** Live leases. */
  readonly have: number
  /** Leases without which the network ends: t. */
  readonly need: number
  /** Participants: n. */
  readonly of: number
}

/** Why a network or an epoch of it ended. */
export interface EndReason {
  /**
   * `expired`: leases ran out without a renewal having been tried, as after a pause, or the descriptor's
   * validity ended. `unrenewed`: renewals were tried until they ran out. `withdrawn`: participants take part no longer. `closed`: by
   * this workload itself.
   */
  readonly code: 'expired' | 'withdrawn' | 'unrenewed' | 'closed'
  readonly epoch: number
  /** The participants whose leases are missing. */
  readonly labels: readonly string[]
}

/** Events of a Network, with the arguments of their listeners. */
export interface NetworkEvents {
  /** A step with one participant. */
  progress: [progress: Progress]
  /** A lease was renewed. */
  renewed: [lease: WorkloadLease]
  /**
   * Another number of participants agrees than before. At `have === need` the next one that is lost ends
   * the network: tell somebody.
   */
  redundancy: [redundancy: Redundancy]
  /** A participant takes part no longer: signed, so it is their word. */
  withdrawn: [label: string]
  /** A participant signed a bad share: `error.participant`. */
  blamed: [error: McbnError]
  /** New connections use the next epoch. */
  advanced: [epoch: number]
  /** No new connections, none are left, keys are wiped. Last. */
  ended: [reason: EndReason]
}
