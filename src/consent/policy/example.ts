// The policy that `participant init` writes: everything as narrow as the descriptor lets it be, and
// nothing released before a person has read it.

import { type OptionTable, refuseUnknown } from '../../option-names.js'
import type { Seconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { ROLES, type Role } from '../descriptor/types.js'
import { checkPolicyAgainst, parsePolicy } from './parse.js'
import type { Policy, PolicyRole, PolicyWindow } from './types.js'

export interface ExamplePolicyOptions {
  /** @defaultValue both */
  readonly roles?: readonly Role[]
  /** @defaultValue a name that no project has, so that all is refused until a person puts in the right one */
  readonly projects?: readonly string[]
  /** @defaultValue ['gcp-cs-oidc'] */
  readonly attestation?: readonly string[]
  /** Arguments by role. @defaultValue none */
  readonly args?: Partial<Readonly<Record<Role, readonly string[]>>>
  /** @defaultValue HOSTNAME any, and PATH as Debian's images have it */
  readonly env?: PolicyRole['env']
  readonly overrides?: PolicyRole['overrides']
  /** What is known of a role's image; goes before `args`, `env` and `overrides`. */
  readonly programs?: Partial<
    Readonly<Record<Role, Pick<PolicyRole, 'args' | 'env' | 'overrides'>>>
  >
  readonly serviceAccounts?: readonly string[]
  readonly instances?: number
  /** @defaultValue 'manual' */
  readonly approval?: PolicyRole['approval']
  readonly window?: PolicyWindow
  readonly leaseSeconds?: Seconds
  readonly localIssuers?: Policy['localIssuers']
}

const OPTIONS = {
  roles: undefined,
  projects: undefined,
  attestation: undefined,
  args: undefined,
  env: undefined,
  overrides: undefined,
  programs: undefined,
  serviceAccounts: undefined,
  instances: undefined,
  approval: undefined,
  window: undefined,
  leaseSeconds: undefined,
  localIssuers: undefined,
} as const satisfies OptionTable<ExamplePolicyOptions>

/** A project id has at least 6 characters; nobody can own this one. */
const NO_PROJECT = 'none'
const ENVIRONMENT = {
  HOSTNAME: null,
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
} as const

/**
 * A policy to begin with: all images of the descriptor, one instance of each role, a person's approval.
 *
 * @throws {McbnError} `MCBN_POLICY_INVALID` for options that make no policy.
 */
export function examplePolicy(
  verified: VerifiedDescriptor,
  options: ExamplePolicyOptions = {},
): Policy {
  refuseUnknown('examplePolicy', options, OPTIONS)
  const { descriptor, hashHex } = verified
  const { serviceAccounts, overrides, window, leaseSeconds, localIssuers } = options
  const rules = (role: Role): PolicyRole => ({
    images: descriptor.roles[role].images,
    attestation: options.attestation ?? ['gcp-cs-oidc'],
    projects: options.projects ?? [NO_PROJECT],
    ...(serviceAccounts !== undefined && { serviceAccounts }),
    args: options.args?.[role] ?? [],
    env: options.env ?? ENVIRONMENT,
    ...(overrides !== undefined && { overrides }),
    instances: options.instances ?? 1,
    approval: options.approval ?? 'manual',
    ...options.programs?.[role],
  })
  const policy = parsePolicy({
    version: 'mcbn/1',
    network: descriptor.network,
    descriptorHash: hashHex,
    roles: Object.fromEntries((options.roles ?? ROLES).map((role) => [role, rules(role)])),
    ...(window !== undefined && { window }),
    ...(leaseSeconds !== undefined && { leaseSeconds }),
    ...(localIssuers !== undefined && { localIssuers }),
  })
  checkPolicyAgainst(policy, verified)
  return policy
}
