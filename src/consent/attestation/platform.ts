// Sections of facts, and what a machine that is measured as a whole is called.

import { createHash } from 'node:crypto'
import { lengthPrefixed } from '../../psk/encoding.js'
import type { AttestedFacts, ClaimValue, PlatformSection } from './types.js'

/** Names of sections, in facts and in policies. */
export const CONFIDENTIAL_SPACE = 'confidential-space'
export const AMD_SEV_SNP = 'amd-sev-snp'
export const INTEL_TDX = 'intel-tdx'
export const AWS_NITRO = 'aws-nitro'
export const AWS_NITRO_TPM = 'aws-nitro-tpm'
export const AZURE_MAA = 'azure-maa'
export const INTEL_TRUST_AUTHORITY = 'intel-ita'

/** A section of the claims that were made. */
export function platformSection(
  name: string,
  claims: Readonly<Record<string, ClaimValue | undefined>>,
): PlatformSection {
  const made = Object.entries(claims).filter(([, value]) => value !== undefined)
  return Object.freeze({
    name,
    claims: Object.freeze(Object.fromEntries(made)) as PlatformSection['claims'],
  })
}

type Container = Pick<
  AttestedFacts,
  'imageReference' | 'args' | 'env' | 'overriddenArgs' | 'overriddenEnv' | 'project' | 'zone'
>

/** What there is to say of a container and its cloud where a machine is measured as a whole: nothing. */
export function noContainer(): Container {
  return {
    imageReference: undefined,
    args: [],
    env: new Map(),
    overriddenArgs: [],
    overriddenEnv: new Map(),
    project: undefined,
    zone: undefined,
  }
}

/** A claim of the platform's section, a name in `Object.prototype` being a name like any other. */
export function claimOf(
  { platform }: Pick<AttestedFacts, 'platform'>,
  name: string,
): ClaimValue | undefined {
  return Object.hasOwn(platform.claims, name) ? platform.claims[name] : undefined
}

/** A claim that is a list of texts; empty where it was not made. */
export function textsOf(facts: Pick<AttestedFacts, 'platform'>, name: string): readonly string[] {
  const value = claimOf(facts, name)
  return Array.isArray(value) ? value : []
}

/** The accounts in whose name a workload may act; only Confidential Space says it. */
export function serviceAccountsOf(facts: Pick<AttestedFacts, 'platform'>): readonly string[] {
  return textsOf(facts, 'google_service_accounts')
}

/**
 * What policies and descriptors call a machine that is measured as a whole: `sha256:` and SHA-256 over
 * lp("mcbn/1 measurement") || lp(platform) || lp(name) || lp(register) ..., in the order of the names.
 *
 * @param registers - by the platform's names for them, e.g. `measurement`, `mrtd`, `pcr0`.
 */
export function measurementDigest(
  platform: string,
  registers: Readonly<Record<string, Uint8Array>>,
): string {
  const hash = createHash('sha256')
    .update(lengthPrefixed('mcbn/1 measurement'))
    .update(lengthPrefixed(platform))
  for (const name of Object.keys(registers).sort()) {
    hash.update(lengthPrefixed(name)).update(lengthPrefixed(registers[name] as Uint8Array))
  }
  return `sha256:${hash.digest('hex')}`
}
