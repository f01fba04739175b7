// What a container was started with, and in whose name, against the rules of its platform. Where the platform
// measures a whole machine there is no container, nothing is said, and nothing but that is allowed.

import { CONFIDENTIAL_SPACE, serviceAccountsOf } from '../attestation/platform.js'
import type { AttestedFacts } from '../attestation/types.js'
import { DESCRIPTOR_HASH_VARIABLE, isNeverAllowed } from './defaults.js'
import { expected, quote } from './detail.js'
import type { ConfidentialSpaceRules, PlatformRules, Policy } from './types.js'

/** Arguments and environment. */
export function* container(
  policy: Policy,
  rules: PlatformRules,
  facts: AttestedFacts,
): Iterable<string> {
  yield* argumentsOf(rules, facts)
  yield* environment(policy, rules, facts)
}

function* argumentsOf(
  rules: PlatformRules,
  { args, overriddenArgs }: AttestedFacts,
): Iterable<string> {
  const wanted = rules.args ?? []
  if (args.length !== wanted.length) {
    yield expected('args', `${wanted.length} of them`, args.length)
  }
  for (const [at, arg] of wanted.entries()) {
    if (at < args.length && args[at] !== arg) yield expected(`args[${at}]`, quote(arg), args[at])
  }
  for (const [at, arg] of args.slice(wanted.length).entries()) {
    yield expected(`args[${wanted.length + at}]`, 'no such argument', arg)
  }
  if (overriddenArgs.length > 0 && rules.overrides?.args !== true) {
    yield expected('cmd_override', 'none', overriddenArgs.length)
  }
}

function* environment(
  policy: Policy,
  rules: PlatformRules,
  facts: AttestedFacts,
): Iterable<string> {
  const allowed = rules.env ?? {}
  const measured = facts.env.get(DESCRIPTOR_HASH_VARIABLE)
  // The nonce binds this epoch's hash in any case; the environment says what the machine was started for.
  // Other platforms measure it elsewhere, see `builtInRules`; where they have it here, it is judged here.
  if (measured !== undefined || facts.platform.name === CONFIDENTIAL_SPACE) {
    if (measured !== policy.descriptorHash && !policy.predecessors?.includes(measured ?? '')) {
      const got = measured === undefined ? 'none' : 'another value'
      yield `env ${DESCRIPTOR_HASH_VARIABLE}: expected the pinned hash of the descriptor, got ${got}`
    }
  }
  for (const [name, value] of facts.env) {
    if (isNeverAllowed(name)) {
      yield `env ${quote(name)}: never allowed, whatever a policy names`
    } else if (name === DESCRIPTOR_HASH_VARIABLE) {
      // Checked above.
    } else if (!Object.hasOwn(allowed, name)) {
      yield `env ${quote(name)}: not named by the policy`
    } else if (allowed[name] !== null && allowed[name] !== value) {
      yield `env ${quote(name)}: expected the policy's value, got another one`
    }
  }
  for (const [name, value] of facts.overriddenEnv) {
    if (name !== DESCRIPTOR_HASH_VARIABLE && !rules.overrides?.env?.includes(name)) {
      yield `env_override ${quote(name)}: not among the overrides that the policy allows`
    } else if (facts.env.get(name) !== value) {
      // Then one of the two lists is not what the container got, and nobody knows which.
      yield `env_override ${quote(name)}: expected the same value as in env, got another one`
    }
  }
}

/** Project, service accounts, machine. */
export function* place(
  rules: PlatformRules & Pick<ConfidentialSpaceRules, 'serviceAccounts'>,
  facts: AttestedFacts,
): Iterable<string> {
  const { project, instance } = facts
  if (
    rules.projects !== undefined &&
    (project === undefined || !rules.projects.includes(project))
  ) {
    yield expected('project_id', rules.projects.join(' or '), project)
  }
  const accounts = rules.serviceAccounts
  if (accounts !== undefined) {
    const serviceAccounts = serviceAccountsOf(facts)
    // All of them: with a second account the workload could be reached in another's name.
    if (serviceAccounts.length === 0) yield expected('service accounts', 'one', undefined)
    for (const account of serviceAccounts) {
      if (!accounts.includes(account)) {
        yield expected('service accounts', accounts.join(' or '), account)
      }
    }
  }
  if (instance === undefined || instance === '') {
    yield expected('instance_id', 'one, since leases are counted by it', instance)
  }
}
