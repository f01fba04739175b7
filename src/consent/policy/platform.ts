// The platform's claims against its section of the policy. One section never judges another platform's
// evidence: what is not said there is refused there, and means nothing elsewhere.

import {
  AMD_SEV_SNP,
  AWS_NITRO,
  AWS_NITRO_TPM,
  AZURE_MAA,
  CONFIDENTIAL_SPACE,
  claimOf,
  INTEL_TDX,
  INTEL_TRUST_AUTHORITY,
  textsOf,
} from '../attestation/platform.js'
import type { AttestedFacts, ClaimValue } from '../attestation/types.js'
import { DEBUG_DISABLED, HARDWARE_NEVER, POLICY_DEFAULTS } from './defaults.js'
import { expected } from './detail.js'
import type {
  ClaimRule,
  ConfidentialSpaceRules,
  PlatformRules,
  Policy,
  PolicyRole,
} from './types.js'

/** Test issuers. */
const LOCAL = 'local'

/** Which section judges evidence of a kind that mcbn verifies itself. */
export const PLATFORM_OF_KIND: Readonly<Record<string, string>> = {
  'gcp-cs-oidc': CONFIDENTIAL_SPACE,
  'gcp-cs-pki': CONFIDENTIAL_SPACE,
  [LOCAL]: CONFIDENTIAL_SPACE,
  [AMD_SEV_SNP]: AMD_SEV_SNP,
  [AWS_NITRO]: AWS_NITRO,
  [AWS_NITRO_TPM]: AWS_NITRO_TPM,
  [INTEL_TDX]: INTEL_TDX,
  [AZURE_MAA]: AZURE_MAA,
  [INTEL_TRUST_AUTHORITY]: INTEL_TRUST_AUTHORITY,
}

/** The maker that has to tell the truth about a platform. What is not here is a root by itself. */
const ROOT_OF: Readonly<Record<string, string>> = {
  [CONFIDENTIAL_SPACE]: 'Google',
  [AMD_SEV_SNP]: 'AMD',
  [AWS_NITRO]: 'Amazon',
  [AWS_NITRO_TPM]: 'Amazon',
  [INTEL_TDX]: 'Intel',
  [INTEL_TRUST_AUTHORITY]: 'Intel',
  [AZURE_MAA]: 'Microsoft',
}

/**
 * The root of trust of a kind of evidence. Those of one maker are one: when it is wrong, it is wrong about both.
 *
 * @param issuer - of `local` evidence; each such issuer is a root.
 */
export function rootOf(kind: string, issuer = ''): string {
  if (kind === LOCAL) return `local ${issuer}`
  const platform = Object.hasOwn(PLATFORM_OF_KIND, kind) ? PLATFORM_OF_KIND[kind] : kind
  return ROOT_OF[platform ?? kind] ?? kind
}

/** Services of which anybody can have an instance, with rules that say what they like. */
export const ANYBODY_ISSUES: ReadonlySet<string> = new Set([AZURE_MAA, INTEL_TRUST_AUTHORITY])

/** The only hardware of some platforms. */
const HARDWARE_OF: Readonly<Record<string, readonly string[]>> = {
  [CONFIDENTIAL_SPACE]: POLICY_DEFAULTS.hardware,
  [AMD_SEV_SNP]: ['AMD_SEV_SNP'],
  [INTEL_TDX]: ['INTEL_TDX'],
  [AWS_NITRO]: ['AWS_NITRO'],
  [AWS_NITRO_TPM]: ['AWS_NITRO_TPM'],
  [AZURE_MAA]: ['AMD_SEV_SNP', 'INTEL_TDX'],
  [INTEL_TRUST_AUTHORITY]: ['INTEL_TDX'],
}

/**
 * The rules for a platform: its section, or, for Confidential Space, what stands beside the sections.
 * Undefined: the policy does not speak of it.
 */
export function rulesFor(
  role: PolicyRole,
  platform: string,
): (PlatformRules & ConfidentialSpaceRules) | undefined {
  const { platforms = {} } = role
  if (Object.hasOwn(platforms, platform)) return platforms[platform]
  if (platform !== CONFIDENTIAL_SPACE || role.args === undefined) return undefined
  const {
    images: _i,
    signedImages: _s,
    attestation: _k,
    platforms: _p,
    rootsOfTrust: _r,
    ...rules
  } = role
  return rules
}

/** The platform's claims. */
export function* platform(
  policy: Policy,
  role: PolicyRole,
  rules: (PlatformRules & ConfidentialSpaceRules) | undefined,
  facts: AttestedFacts,
): Iterable<string> {
  const { debug, hardware } = facts
  const { name } = facts.platform
  if (rules === undefined) {
    const known = Object.keys(role.platforms ?? {})
    if (role.args !== undefined) known.push(CONFIDENTIAL_SPACE)
    yield expected('platform', known.join(' or '), name)
    return
  }
  const { issuers } = rules
  if (issuers === undefined ? ANYBODY_ISSUES.has(name) : !issuers.includes(facts.issuer)) {
    yield expected('issuer', issuers?.join(' or ') ?? 'one that the policy names', facts.issuer)
  }
  const isSpace = name === CONFIDENTIAL_SPACE
  if (isSpace) {
    const software = rules.software ?? POLICY_DEFAULTS.software
    const got = claimOf(facts, 'swname')
    if (got !== software) yield expected('swname', software, got)
  }
  if (debug !== DEBUG_DISABLED) yield expected('dbgstat', DEBUG_DISABLED, debug)
  if (isSpace && claimOf(facts, 'secboot') !== true) {
    yield expected('secboot', 'true', claimOf(facts, 'secboot'))
  }
  const allowed = rules.hardware ?? (Object.hasOwn(HARDWARE_OF, name) ? HARDWARE_OF[name] : [])
  if (hardware === undefined || !allowed?.includes(hardware) || HARDWARE_NEVER.has(hardware)) {
    yield expected('hwmodel', allowed?.join(' or ') || 'what the policy names', hardware)
  }
  if (isSpace) yield* support(rules, facts)
  yield* claims({ ...builtInRules(policy, facts), ...rules.claims }, facts)
}

function* support(rules: ConfidentialSpaceRules, facts: AttestedFacts): Iterable<string> {
  const wanted = rules.support ?? POLICY_DEFAULTS.support
  const got = textsOf(facts, 'support_attributes')
  // An experimental image can carry STABLE as well: it is still one with features nobody has reviewed.
  if (!got.includes(wanted) || (wanted !== 'EXPERIMENTAL' && got.includes('EXPERIMENTAL'))) {
    yield expected('support_attributes', `${wanted} without EXPERIMENTAL`, got.join(', '))
  }
}

const NOTHING_MEASURED = '00'.repeat(48)

/** What holds for a platform's claims unless the policy says otherwise of the same claim. */
function builtInRules(
  policy: Policy,
  { hardware, platform: { name } }: AttestedFacts,
): Readonly<Record<string, ClaimRule>> {
  const hashes = [policy.descriptorHash, ...(policy.predecessors ?? [])]
  const padded = hashes.map((hash) => hash.padEnd(96, '0'))
  if (name === AMD_SEV_SNP) {
    // The host's 32 bytes are measured: the operator starts a machine for one network (SEV-SNP ABI, table 8).
    return { vmpl: 0, host_data: hashes, 'policy.migrate_ma': false }
  }
  if (name === INTEL_TDX) {
    // Page faults that the host could inject, and a migration to where nobody looked, as on SEV-SNP.
    const attributes = {
      'td_attributes.sept_ve_disable': true,
      'td_attributes.migratable': false,
    }
    return { tcb_status: ['UpToDate'], mr_config_id: padded, ...attributes }
  }
  if (name === INTEL_TRUST_AUTHORITY || (name === AZURE_MAA && hardware === 'INTEL_TDX')) {
    return { attester_tcb_status: ['UpToDate'], tdx_mrconfigid: padded }
  }
  if (name === AZURE_MAA) {
    return {
      'x-ms-sevsnpvm-vmpl': 0,
      'x-ms-sevsnpvm-hostdata': hashes,
      'x-ms-sevsnpvm-migration-allowed': false,
    }
  }
  if (name === AWS_NITRO_TPM) {
    // What systemd's boot stub measures that is not in the image: a command line of the operator's, extensions.
    return { pcr12: NOTHING_MEASURED, pcr13: NOTHING_MEASURED }
  }
  return {}
}

function* claims(
  rules: Readonly<Record<string, ClaimRule>>,
  facts: AttestedFacts,
): Iterable<string> {
  for (const [name, rule] of Object.entries(rules)) {
    const got = claimOf(facts, name)
    if (!meets(rule, got)) yield expected(name, wordsFor(rule), got)
  }
}

function meets(rule: ClaimRule, got: ClaimValue | undefined): boolean {
  if (got === undefined) return false
  if (typeof rule !== 'object') return rule === got
  // A list first: lists have a method `includes`.
  if (isList(rule)) {
    const all = isList(got) ? got : [got]
    return all.every((one) => typeof one === 'string' && rule.includes(one))
  }
  if ('atLeast' in rule) return typeof got === 'number' && got >= rule.atLeast
  return isList(got) && rule.includes.every((one) => got.includes(one))
}

function wordsFor(rule: ClaimRule): string {
  if (typeof rule !== 'object') return `${rule}`
  if (isList(rule)) return rule.join(' or ')
  if ('atLeast' in rule) return `at least ${rule.atLeast}`
  return `a list with ${rule.includes.join(' and ')}`
}

function isList(value: ClaimRule | ClaimValue): value is readonly string[] {
  return Array.isArray(value)
}
