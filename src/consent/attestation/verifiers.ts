// The verifiers that a policy asks for, by kind.

import { McbnError } from '../../errors.js'
import { nearest, type OptionTable, refuseUnknown } from '../../option-names.js'
import { createGcpOidcVerifier, GCP_CS_OIDC, type GcpOidcOptions } from './gcp-oidc.js'
import { createGcpPkiVerifier, GCP_CS_PKI, type GcpPkiOptions } from './gcp-pki.js'
import {
  createNitroTpmVerifier,
  createNitroVerifier,
  type NitroVerifierOptions,
} from './hardware/nitro.js'
import { createSnpVerifier, type SnpVerifierOptions } from './hardware/snp.js'
import { createTdxVerifier, type TdxVerifierOptions } from './hardware/tdx.js'
import type { KeySetOptions } from './key-set-options.js'
import { createLocalVerifier, LOCAL } from './local/verifier.js'
import {
  AMD_SEV_SNP,
  AWS_NITRO,
  AWS_NITRO_TPM,
  AZURE_MAA,
  INTEL_TDX,
  INTEL_TRUST_AUTHORITY,
} from './platform.js'
import { createMaaVerifier } from './services/azure-maa.js'
import { createItaVerifier } from './services/intel-ita.js'
import type { Verifier } from './types.js'

export interface VerifiersOptions {
  readonly gcpOidc?: GcpOidcOptions
  /** Needed if the policy names `gcp-cs-pki`: which roots to trust is nobody's default. */
  readonly gcpPki?: GcpPkiOptions
  /** @defaultValue AMD's roots */
  readonly snp?: SnpVerifierOptions
  /** Of `aws-nitro` and `aws-nitro-tpm`. @defaultValue AWS's root */
  readonly nitro?: NitroVerifierOptions
  /** @defaultValue Intel's root */
  readonly tdx?: TdxVerifierOptions
  /** How the keys of `azure-maa` and `intel-ita` are fetched; their issuers are the policy's. */
  readonly keySets?: KeySetOptions
  /** Verifiers of other kinds, or in place of these. */
  readonly verifiers?: readonly Verifier[]
}

const OPTIONS = {
  gcpOidc: undefined,
  gcpPki: undefined,
  snp: undefined,
  nitro: undefined,
  tdx: undefined,
  keySets: undefined,
  verifiers: undefined,
} as const satisfies OptionTable<VerifiersOptions>

/** The part of a policy that says which evidence it accepts. */
export interface EvidencePolicy {
  readonly roles: {
    readonly [role in 'client' | 'server']?:
      | {
          readonly attestation: readonly string[]
          readonly platforms?: {
            readonly [name: string]: { readonly issuers?: readonly string[] } | undefined
          }
        }
      | undefined
  }
  /** See `Policy`. */
  readonly localIssuers?: readonly { readonly issuer: string; readonly jwks: object }[]
}

/**
 * One verifier for each kind that some role of the policy names, and none besides. `local` needs issuers in
 * `localIssuers` as well: test issuers are trusted by name or not at all.
 *
 * @throws {McbnError} `MCBN_POLICY_INVALID` if a role names a kind that nothing here verifies;
 * `MCBN_OPTION_CONFLICT` for a verifier of `local` among the options.
 */
export function createVerifiers(
  policy: EvidencePolicy,
  options: VerifiersOptions = {},
): ReadonlyMap<string, Verifier> {
  refuseUnknown('createVerifiers', options, OPTIONS)
  if (options.verifiers?.some(({ kind }) => kind === LOCAL)) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `verifiers: expected other kinds than ${LOCAL}, whose issuers only the policy's localIssuers name`,
    )
  }
  const own = new Map((options.verifiers ?? []).map((verifier) => [verifier.kind, verifier]))
  const verifiers = new Map<string, Verifier>()
  for (const [role, rules] of Object.entries(policy.roles)) {
    for (const kind of rules?.attestation ?? []) {
      if (verifiers.has(kind)) continue
      const verifier = own.get(kind) ?? shipped(kind, policy, options)
      if (typeof verifier === 'string') {
        throw new McbnError('MCBN_POLICY_INVALID', `roles.${role}.attestation: ${verifier}`)
      }
      verifiers.set(kind, verifier)
    }
  }
  return verifiers
}

const SHIPPED = [
  GCP_CS_OIDC,
  GCP_CS_PKI,
  AMD_SEV_SNP,
  AWS_NITRO,
  AWS_NITRO_TPM,
  AZURE_MAA,
  INTEL_TDX,
  INTEL_TRUST_AUTHORITY,
  LOCAL,
]

/** Of all roles; which role takes which is for the policy's evaluation. */
function issuersOf({ roles }: EvidencePolicy, platform: string): readonly string[] {
  const all = Object.values(roles).flatMap((rules) => rules?.platforms?.[platform]?.issuers ?? [])
  return [...new Set(all)]
}

/** A verifier, or the reason for its absence. */
function shipped(
  kind: string,
  policy: EvidencePolicy,
  { gcpOidc, gcpPki, snp, nitro, tdx, keySets }: VerifiersOptions,
): Verifier | string {
  if (kind === GCP_CS_OIDC) return createGcpOidcVerifier(gcpOidc)
  if (kind === GCP_CS_PKI) {
    return gcpPki === undefined ? `${kind} needs pinned roots` : createGcpPkiVerifier(gcpPki)
  }
  if (kind === AMD_SEV_SNP) return createSnpVerifier(snp)
  if (kind === AWS_NITRO) return createNitroVerifier(nitro)
  if (kind === AWS_NITRO_TPM) return createNitroTpmVerifier(nitro)
  if (kind === INTEL_TDX) return createTdxVerifier(tdx)
  if (kind === AZURE_MAA || kind === INTEL_TRUST_AUTHORITY) {
    const issuers = issuersOf(policy, kind)
    if (issuers.length === 0) return `${kind} needs issuers named in platforms.${kind}.issuers`
    const create = kind === AZURE_MAA ? createMaaVerifier : createItaVerifier
    return create({ ...keySets, issuers })
  }
  if (kind === LOCAL) {
    const { localIssuers } = policy
    return localIssuers === undefined || localIssuers.length === 0
      ? `${kind} needs issuers named in localIssuers`
      : createLocalVerifier({ issuers: localIssuers })
  }
  const near = nearest(kind, SHIPPED)
  const meant = near === undefined ? '' : `; did you mean ${near}?`
  return `expected ${SHIPPED.join(', ')}, or a kind that a verifier was given for, got ${JSON.stringify(kind)}${meant}`
}
