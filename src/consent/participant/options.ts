// What a participant is made of, and its limits. Each limit bounds what strangers can make it spend.

import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { integerOption } from '../../options.js'
import type { Verifier } from '../attestation/types.js'
import type { AuditEntry } from '../audit/events.js'
import type { Clock } from '../base/clock.js'
import type { ParticipantKeys } from '../base/keys.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { SignedImages } from '../policy/signed-images.js'
import type { Policy } from '../policy/types.js'
import type { Lease } from '../store/lease.js'
import type { Replicas } from '../store/replicas.js'
import type { ParticipantStateKeeper } from '../store/state.js'

/** For `createParticipant`. */
export interface ParticipantOptions {
  /** Signed by all participants, and verified. */
  readonly descriptor: VerifiedDescriptor
  /** Which of the descriptor's participants this is. */
  readonly label: string
  /** Their public halves must be the descriptor's. */
  readonly keys: ParticipantKeys
  /** 32 bytes; copied: the caller wipes its own. Checked against the descriptor's commitment. */
  readonly share: Uint8Array
  /** Of this network; its `descriptorHash` must be the descriptor's. */
  readonly policy: Policy
  /** What names it, e.g. the SHA-256 of its file, for `status`. */
  readonly policyHash?: string
  /** Images that signatures approve, see `signedImages` and `readSignedImages`. @defaultValue none */
  readonly signedImages?: SignedImages
  /** One for each kind of evidence that the policy names; `createVerifiers` makes them. */
  readonly verifiers: Iterable<Verifier> | ReadonlyMap<string, Verifier>
  /** Where the audit goes; absent: nowhere. */
  readonly audit?: ParticipantAudit
  /** What survives a restart; absent: nothing does. */
  readonly state?: ParticipantStateKeeper
  /** Where several processes answer for this participant: what they share. */
  readonly replicas?: Replicas
  /** Shares that were out before a restart: they go on counting against the policy's `instances`. */
  readonly leases?: Iterable<Lease>
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
  readonly limits?: ParticipantLimits
}

const OPTIONS = {
  descriptor: undefined,
  label: undefined,
  keys: undefined,
  share: undefined,
  policy: undefined,
  policyHash: undefined,
  signedImages: undefined,
  verifiers: undefined,
  audit: undefined,
  state: undefined,
  replicas: undefined,
  leases: undefined,
  clock: undefined,
  limits: undefined,
} as const satisfies OptionTable<ParticipantOptions>

/** For `Participant.replacePolicy`. */
export type NewPolicy = Pick<
  ParticipantOptions,
  'policy' | 'policyHash' | 'verifiers' | 'signedImages'
>

/** An append-only log: an `AuditLog`, or something that keeps lines elsewhere. */
export interface ParticipantAudit {
  /** Resolves when the line is kept; a release waits for it. */
  append(entry: AuditEntry): Promise<unknown>
}

/** Bounds; integers of at least 1. */
export interface ParticipantLimits {
  /** Most answered challenges remembered whose evidence came to nothing. @defaultValue 1_024 */
  readonly challenges?: number
  /** Seconds a challenge waits for its evidence, at most 120. @defaultValue 60 */
  readonly challengeSeconds?: number
  /** Evidence verified at the same time. @defaultValue 8 */
  readonly verifying?: number
  /** Evidence that waits for it, of at most 96 KiB each; more is told `busy`. @defaultValue 256 */
  readonly waiting?: number
  /** Most requests that wait for a person. @defaultValue 256 */
  readonly pending?: number
  /** Seconds an approval holds unless said otherwise; 0: until it is decided otherwise. @defaultValue 0 */
  readonly approvalSeconds?: number
  /** Refusals written to the audit a minute; the rest is counted there. @defaultValue 30 */
  readonly refusalsPerMinute?: number
}

/** The one place where defaults are written. */
export const PARTICIPANT_LIMITS = {
  challenges: 1_024,
  challengeSeconds: 60,
  verifying: 8,
  waiting: 256,
  pending: 256,
  approvalSeconds: 0,
  refusalsPerMinute: 30,
} as const satisfies Required<ParticipantLimits>

const RANGES: Readonly<Record<keyof ParticipantLimits, readonly [least: number, most: number]>> = {
  challenges: [1, 1_000_000],
  challengeSeconds: [1, 120],
  verifying: [1, 1_024],
  waiting: [1, 65_536],
  pending: [1, 65_536],
  approvalSeconds: [0, 315_360_000],
  refusalsPerMinute: [1, 100_000],
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` naming the limit. */
export function resolveLimits(limits: ParticipantLimits = {}): Required<ParticipantLimits> {
  refuseUnknown('limits', limits, PARTICIPANT_LIMITS)
  const resolved: Record<string, number> = {}
  for (const name of Object.keys(PARTICIPANT_LIMITS) as (keyof ParticipantLimits)[]) {
    const [min, max] = RANGES[name]
    resolved[name] = integerOption(
      `limits.${name}`,
      limits[name],
      { min, max },
      PARTICIPANT_LIMITS[name],
    )
  }
  return resolved as unknown as Required<ParticipantLimits>
}

/** Verifiers in either form, once: an iterable may be good for one look only. */
/** @throws {McbnError} `MCBN_OPTION_UNKNOWN`. */
export function refuseUnknownOptions(options: ParticipantOptions): void {
  refuseUnknown('createParticipant', options, OPTIONS)
}

export function verifiersOf(verifiers: ParticipantOptions['verifiers']): readonly Verifier[] {
  return verifiers instanceof Map ? [...verifiers.values()] : [...(verifiers as Iterable<Verifier>)]
}
