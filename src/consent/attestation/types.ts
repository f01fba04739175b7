// The seam of attestation: a workload asks its attester for evidence, a participant's verifier turns
// evidence into facts. Another platform is another kind.

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

/** A claim as facts and policies have it: text, whole number, truth, or a list of texts. */
export type ClaimValue = string | number | boolean | readonly string[]

/**
 * What one kind of platform says and others do not. Names are the platform's own, and those of EAT
 * (RFC 9711 section 4) where it has them; inner names follow a dot. A claim that was not made is absent.
 */
export interface PlatformSection {
  /** E.g. `confidential-space`: the section of a policy that judges it. */
  readonly name: string
  readonly claims: Readonly<Record<string, ClaimValue>>
}

/**
 * What verified evidence says: what all platforms share, and a section for what is one platform's alone.
 * Absent is undefined or empty, never a guess: a policy refuses what it cannot see.
 */
export interface AttestedFacts {
  readonly kind: string
  /** The issuer: the token's, or the maker of the root of trust. */
  readonly issuer: string
  /** When the evidence was made. */
  readonly attestedAt: UnixMilliseconds
  readonly expiresAt: UnixMilliseconds
  /** EAT's `hwmodel` (RFC 9711 section 4.2.4) as text, e.g. `GCP_INTEL_TDX`, `AMD_SEV_SNP`. */
  readonly hardware: string | undefined
  /** EAT's `dbgstat` (RFC 9711 section 4.2.9), e.g. `disabled-since-boot`. */
  readonly debug: string | undefined
  /**
   * The digest of what runs, `sha256:` and 64 hex digits; never a tag. A container's manifest, or, where
   * the platform measures a whole machine, {@link measurementDigest} of its registers.
   */
  readonly imageDigest: string | undefined
  /** The reference it was started by; for people, never for decisions. */
  readonly imageReference: string | undefined
  /** A container's; empty where the platform measures a whole machine and they are part of the image. */
  readonly args: readonly string[]
  readonly env: ReadonlyMap<string, string>
  /** What the operator changed against the image: arguments, and environment by name. */
  readonly overriddenArgs: readonly string[]
  readonly overriddenEnv: ReadonlyMap<string, string>
  /** The cloud's name for whose machine it is: project, subscription, account. */
  readonly project: string | undefined
  readonly zone: string | undefined
  /** Which machine, as the platform says it; caps count by it. */
  readonly instance: string | undefined
  readonly platform: PlatformSection
  /**
   * Where several platforms vouch for one workload: what each of them says, at least two. A policy judges these;
   * the fields above are for counting and for people then.
   */
  readonly parts?: readonly AttestedFacts[]
}
