// The messages of a release, as JSON with base64url for bytes. The operator may carry, read and alter
// every one of them; what stops that is said beside each field.

import type { Evidence } from '../attestation/types.js'
import type { Seconds, UnixSeconds } from '../base/time.js'
import type { Role } from '../descriptor/types.js'

/** HPKE (RFC 9180) as mcbn/1 uses it: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; base mode. */
export const SUITE = '0020-0001-0002'

/** Workload to participant: its role, and the key to seal the share to. */
export interface ReleaseRequest {
  readonly v: 'mcbn/1'
  /** Hash of the descriptor, 32 bytes. */
  readonly dh: string
  readonly role: Role
  /** A fresh X25519 public key, 32 bytes, made for this request alone. */
  readonly pk: string
  readonly suite: typeof SUITE
  /** 32 random bytes. */
  readonly r: string
  /** The workload's own name for this process: 16 random bytes. For display; caps count by attested facts. */
  readonly instance: string
  /**
   * Proves that a lease is renewed: what HPKE's exporter gave with the release before, 32 bytes, see
   * `LeaseSecrets`. Such requests come first where strangers ask too much. Absent without a lease.
   */
  readonly renews?: string
}

/** Participant to workload. Good once, for this request. */
export interface ReleaseChallenge {
  /** 32 random bytes. */
  readonly c: string
  /** At most 120 s away. */
  readonly expires: UnixSeconds
}

/** Workload to participant: the challenge it answers, and the evidence whose nonce binds everything. */
export interface ReleaseEvidence {
  readonly c: string
  /** As it was sent: the participant has kept nothing, and the challenge is good for this one only. */
  readonly request: ReleaseRequest
  readonly evidence: Evidence
}

/** What the participant promises about a share; authenticated as HPKE's aad, and signed. */
export interface ReleaseHeader {
  /** 16 random bytes. */
  readonly releaseId: string
  readonly epoch: number
  readonly issuedAt: UnixSeconds
  /** Nothing made from the share may live longer. */
  readonly notAfter: UnixSeconds
  /** Counted by the workload from its request. */
  readonly leaseSeconds: Seconds
}

/** Participant to workload: the sealed share. */
export interface Release {
  readonly v: 'mcbn/1'
  readonly label: string
  readonly dh: string
  readonly role: Role
  /** The challenge of this round. */
  readonly c: string
  /** SHA-256 of the token as UTF-8. */
  readonly tokenHash: string
  readonly header: ReleaseHeader
  /** HPKE's encapsulated key, 32 bytes. */
  readonly enc: string
  /** HPKE's ciphertext of the 32-byte share, 48 bytes. */
  readonly ciphertext: string
  /** Ed25519 over lp("mcbn/1 sign release") || the canonical form of all fields above. */
  readonly signature: string
}

/** Why a participant says no; details stay in its own log. */
export const REFUSAL_CODES = ['policy', 'withdrawn', 'not-yet', 'busy', 'manual'] as const
export type RefusalCode = (typeof REFUSAL_CODES)[number]

/** Participant to workload: no. */
export interface Refused {
  readonly label: string
  readonly code: RefusalCode
  /** How long to wait before asking again; absent where asking again is no use. */
  readonly retryAfter?: Seconds
  /**
   * Ed25519 over lp("mcbn/1 sign refusal") || lp(dh) || lp(hash of the refused message, see `refusedHash`) || the
   * canonical form of the fields above. Absent with `busy`, which has to be cheap.
   */
  readonly signature?: string
}

/** Workload to participant: it is done with its share. Sent once keys are wiped and sockets closed. */
export interface LeaseReturn {
  readonly v: 'mcbn/1'
  readonly dh: string
  readonly role: Role
  /**
   * Of each release that it had and that is not over: what HPKE's exporter gave with it, 32 bytes, see
   * `LeaseSecrets`. 1 to 64.
   */
  readonly proofs: readonly string[]
}

/** A participant's signed word that it takes part no longer. */
export interface Withdrawal {
  readonly v: 'mcbn/1'
  readonly label: string
  readonly dh: string
  readonly withdrawnAt: UnixSeconds
  /** Ed25519 over lp("mcbn/1 sign withdrawal") || the canonical form of all fields above. */
  readonly signature: string
}
