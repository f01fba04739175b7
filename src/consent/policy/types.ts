// A participant's policy: to whom, where and when its share is released. A separate file, which a
// person writes and JSON Schema checks (docs/policy.schema.json). It can only narrow the descriptor.

import type { Seconds } from '../base/time.js'

/**
 * What one claim of a platform has to be: equal to a value; one of a list, or, where the claim is a list,
 * with nothing beside the list; a number at least; or a list that includes each of some.
 */
export type ClaimRule =
  | string
  | number
  | boolean
  | readonly string[]
  | { readonly atLeast: number }
  | { readonly includes: readonly string[] }

/** Rules for the evidence of one platform. */
export interface PlatformRules {
  /**
   * Never GCP_SHIELDED_VM. @defaultValue for Confidential Space GCP_INTEL_TDX, GCP_AMD_SEV, GCP_AMD_SEV_ES;
   * for another platform of mcbn's the only one that it has; for others none
   */
  readonly hardware?: readonly string[]
  /**
   * Issuers allowed, as evidence names them. Needed where anybody can be one (`azure-maa`, `intel-ita`): then
   * `https://` and a host. @defaultValue any that the verifier trusts
   */
  readonly issuers?: readonly string[]
  /** Cloud projects allowed. @defaultValue any; Confidential Space needs one at least */
  readonly projects?: readonly string[]
  /** The container's arguments, exactly. @defaultValue none; Confidential Space needs them said */
  readonly args?: readonly string[]
  /**
   * Environment: names allowed, each with its one allowed value or `null` for any. What is not named is
   * refused, and some names (NODE_OPTIONS, LD_PRELOAD, SSLKEYLOGFILE, ...) are refused even if named. On
   * Confidential Space MCBN_DESCRIPTOR_HASH is always required to be the pinned hash, in hex, or one of
   * `predecessors`: the operator sets it, and need not be allowed to, since it has no other value.
   */
  readonly env?: Readonly<Record<string, string | null>>
  /**
   * What the operator may override against the image: whether arguments, and environment by name. The
   * result has to be what `args` and `env` allow all the same. @defaultValue none
   */
  readonly overrides?: { readonly args?: boolean; readonly env?: readonly string[] }
  /** The platform's own claims, by the names that docs/PLATFORMS.md lists. What is not named here is not judged. */
  readonly claims?: Readonly<Record<string, ClaimRule>>
}

/** Rules for Google Confidential Space. */
export interface ConfidentialSpaceRules extends PlatformRules {
  /** `swname`. @defaultValue 'CONFIDENTIAL_SPACE' */
  readonly software?: string
  /** Required among the support attributes; EXPERIMENTAL is refused beside it. @defaultValue 'STABLE' */
  readonly support?: string
  /** Service accounts allowed, and no other beside them; absent: any. */
  readonly serviceAccounts?: readonly string[]
}

/** Rules by the name of the platform's section, see `AttestedFacts`. */
export interface PolicyPlatforms {
  readonly 'confidential-space'?: ConfidentialSpaceRules
  readonly [name: string]: PlatformRules | undefined
}

/**
 * Rules for one role. What {@link ConfidentialSpaceRules} has may stand here, as it did before there were
 * other platforms: it means the same as in the section `confidential-space`, and stands in one place only.
 */
export interface PolicyRole extends Omit<ConfidentialSpaceRules, 'claims' | 'issuers'> {
  /**
   * Image digests allowed, `sha256:` and 64 hex digits; each must be in the descriptor's role too.
   * @defaultValue none; without `signedImages` there has to be one
   */
  readonly images?: readonly string[]
  /** Images allowed because of what others have signed about them. @defaultValue none */
  readonly signedImages?: readonly SignedImageRule[]
  /** Kinds of evidence accepted, e.g. `gcp-cs-oidc`. `local` only where it is named here. */
  readonly attestation: readonly string[]
  readonly platforms?: PolicyPlatforms
  /**
   * How many roots of trust have to vouch for a workload at once, 1 to 4: Google, Microsoft, Amazon, AMD, Intel, and
   * each local issuer or verifier of another kind. Above 1, workloads show evidence of several kinds.
   * @defaultValue 1
   */
  readonly rootsOfTrust?: number
  /** Most workloads of this role with a live lease at once, by attested instance. @defaultValue 1 */
  readonly instances?: number
  /** Whether a person approves each workload first. @defaultValue 'automatic' */
  readonly approval?: 'automatic' | 'manual'
}

/**
 * Images that enough of some signers have spoken for, in Sigstore bundles that the participant was given. The
 * digest is in the descriptor's role, or the rule is: under its name, see `imageRuleName`.
 */
export interface SignedImageRule {
  /** What the statements call the image: the name of the program in it, or `mcbn-server` and the like. */
  readonly subject: string
  /** `provenance`: how it was made (SLSA); `rebuilt`: that the signer has built it again, the same. */
  readonly statement: 'provenance' | 'rebuilt'
  /** How many of `signers` it takes. @defaultValue 1 */
  readonly atLeast?: number
  /** Each once: a public key (PEM), or an identity and the issuer that vouches for it. */
  readonly signers: readonly ImageSigner[]
}

export interface ImageSigner {
  /** PEM: Ed25519, EC or RSA. Instead of `identity` and `issuer`. */
  readonly publicKey?: string
  /** The certificate's subject alternative name, the whole of it. Needs `trustedRoot` in the policy. */
  readonly identity?: string
  /** The OpenID Connect issuer. */
  readonly issuer?: string
}

/** When shares are released. */
export interface PolicyWindow {
  /** RFC 3339 times, inclusive; absent: no limit on that side. */
  readonly notBefore?: string
  readonly notAfter?: string
  /** UTC times of day, `HH:MM`, `to` exclusive; from after to runs over midnight. */
  readonly daily?: { readonly from: string; readonly to: string }
  /** Days of the week in UTC; absent: all. A night over midnight belongs to the day it began on. */
  readonly days?: readonly ('mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat' | 'sun')[]
}

/** The file. */
export interface Policy {
  /** Where the JSON Schema is, for editors; has no meaning here. */
  readonly $schema?: string
  readonly version: 'mcbn/1'
  readonly network: string
  /** The pinned hash of the descriptor: 64 hex digits. */
  readonly descriptorHash: string
  /**
   * Hashes of earlier epochs' descriptors. A machine's environment is fixed when it starts; one that was
   * started for one of these may move over to this epoch without being started anew.
   * @defaultValue none
   */
  readonly predecessors?: readonly string[]
  /** A role that is absent gets nothing. */
  readonly roles: { readonly client?: PolicyRole; readonly server?: PolicyRole }
  readonly window?: PolicyWindow
  /** How long a released share may be used without asking again, 5 to 86,400. @defaultValue 600 */
  readonly leaseSeconds?: Seconds
  /** Most since a token's issue, 1 to 3,600. @defaultValue 300 */
  readonly tokenAgeSeconds?: Seconds
  /** Sigstore's trusted_root.json: the authorities and logs that count for `identity` in `signedImages`. */
  readonly trustedRoot?: object
  /** Issuers of `local` evidence: issuer URL and its JWK set. Test issuers; name them or they are refused. */
  readonly localIssuers?: readonly { readonly issuer: string; readonly jwks: object }[]
}
