// The seam of attestation: a workload asks its attester for evidence, a participant's verifier turns
// evidence into facts. Another platform (AWS Nitro, Azure MAA, Intel Trust Authority) is another kind.

import type { UnixMilliseconds } from '../base/time.js'

/** What a workload shows to prove what it is. */
export interface Evidence {
  /** Which verifier understands it, e.g. `gcp-cs-oidc`. */
  readonly kind: string
  /** The platform's token as text: a JWT, or base64url of something else. At most 64 KiB. */
  readonly token: string
}

/** What evidence has to be about, so that it is good for one release by one participant only. */
export interface EvidenceRequest {
  /** `mcbn://<network>/<label>` of the participant that asks. */
  readonly audience: string
  /** 43 characters of base64url, see `releaseNonce`. */
  readonly nonce: string
  /** Aborted when nobody waits for the evidence any more. */
  readonly signal?: AbortSignal
}

/** In the workload: gets evidence from the platform it runs on. */
export interface Attester {
  readonly kind: string
  evidence(request: EvidenceRequest): Promise<Evidence>
}

/** At the participant: checks evidence. */
export interface Verifier {
  readonly kind: string
  /**
   * Checks signature, algorithm, issuer and key; the audience exactly; exactly one nonce, equal; and the
   * times, in this order. Judges no claim: that is the policy's work.
   *
   * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, its message saying what was wrong; never the token.
   */
  verify(evidence: Evidence, expected: VerifyRequest): Promise<AttestedFacts>
}

/** What a verifier compares evidence with. */
export interface VerifyRequest {
  readonly audience: string
  readonly nonce: string
  /** The participant's wall clock. */
  readonly now: UnixMilliseconds
}

/**
 * What verified evidence says, in the words of no platform in particular. Absent is undefined or
 * empty, never a guess: a policy refuses what it cannot see.
 */
export interface AttestedFacts {
  readonly kind: string
  /** Who signed: the token's issuer. */
  readonly issuer: string
  /** When the evidence was made. */
  readonly attestedAt: UnixMilliseconds
  readonly expiresAt: UnixMilliseconds
  /** `hwmodel`, e.g. `GCP_INTEL_TDX`. */
  readonly hardware: string | undefined
  /** `swname`, e.g. `CONFIDENTIAL_SPACE`. */
  readonly software: string | undefined
  /** `swversion`, as it came, joined by commas. */
  readonly softwareVersion: string | undefined
  /** `dbgstat`, e.g. `disabled-since-boot`. */
  readonly debug: string | undefined
  readonly secureBoot: boolean | undefined
  /** `submods.confidential_space.support_attributes`, e.g. `STABLE`. */
  readonly support: readonly string[]
  /** The digest of the image that runs, `sha256:` and 64 hex digits; never a tag. */
  readonly imageDigest: string | undefined
  /** The reference it was started by; for people, never for decisions. */
  readonly imageReference: string | undefined
  readonly args: readonly string[]
  readonly env: ReadonlyMap<string, string>
  /** What the operator changed against the image: arguments, and environment by name. */
  readonly overriddenArgs: readonly string[]
  readonly overriddenEnv: ReadonlyMap<string, string>
  /** `submods.gce.project_id`. */
  readonly project: string | undefined
  readonly zone: string | undefined
  /** `submods.gce.instance_id`: which machine, as the platform says it; caps count by it. */
  readonly instance: string | undefined
  readonly serviceAccounts: readonly string[]
}
