// A participant's policy: to whom, where and when its share is released. A file of its own, which a
// person writes and JSON Schema checks (docs/policy.schema.json). It can only narrow the descriptor.

import type { Seconds } from '../base/time.js'

/** Rules for one role. */
export interface PolicyRole {
  /** Image digests allowed, `sha256:` and 64 hex digits; each must be in the descriptor's role too. */
  readonly images: readonly string[]
  /** Kinds of evidence accepted, e.g. `gcp-cs-oidc`. `local` only where it is named here. */
  readonly attestation: readonly string[]
  /** Never GCP_SHIELDED_VM. @defaultValue ['GCP_INTEL_TDX', 'GCP_AMD_SEV', 'GCP_AMD_SEV_ES'] */
  readonly hardware?: readonly string[]
  /** @defaultValue 'CONFIDENTIAL_SPACE' */
  readonly software?: string
  /** Required among the support attributes; EXPERIMENTAL is refused beside it. @defaultValue 'STABLE' */
  readonly support?: string
  /** Cloud projects allowed; at least one. */
  readonly projects: readonly string[]
  /** Service accounts allowed, and no other beside them; absent: any. */
  readonly serviceAccounts?: readonly string[]
  /** The container's arguments, exactly. */
  readonly args: readonly string[]
  /**
   * Environment: names allowed, each with its one allowed value or `null` for any. What is not named is
   * refused, and some names (NODE_OPTIONS, LD_PRELOAD, SSLKEYLOGFILE, ...) are refused even if named.
   * MCBN_DESCRIPTOR_HASH is always required to be the pinned hash, in hex, or one of `predecessors`: the
   * operator sets it, and need not be allowed to, since it has no other value.
   */
  readonly env?: Readonly<Record<string, string | null>>
  /**
   * What the operator may override against the image: whether arguments, and environment by name. The
   * result has to be what `args` and `env` allow all the same. @defaultValue none
   */
  readonly overrides?: { readonly args?: boolean; readonly env?: readonly string[] }
  /** Most workloads of this role with a live lease at once, by attested instance. @defaultValue 1 */
  readonly instances?: number
  /** Whether a person approves each workload first. @defaultValue 'automatic' */
  readonly approval?: 'automatic' | 'manual'
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
  /** Issuers of `local` evidence: issuer URL and its JWK set. Test issuers; name them or they are refused. */
  readonly localIssuers?: readonly { readonly issuer: string; readonly jwks: object }[]
}
