// Reads a policy file: size, JSON, no name twice, the schema, and then what a schema cannot say. One
// error at a time, since that is how a person corrects a file.

import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { McbnError } from '../../errors.js'
import { nearest } from '../../option-names.js'
import { CONFIDENTIAL_SPACE } from '../attestation/platform.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { ROLES } from '../descriptor/types.js'
import {
  DESCRIPTOR_HASH_VARIABLE,
  HARDWARE_NEVER,
  isNeverAllowed,
  POLICY_DEFAULTS,
} from './defaults.js'
import { parseStrictJson } from './json.js'
import { ANYBODY_ISSUES, PLATFORM_OF_KIND, rootOf, rulesFor } from './platform.js'
import { POLICY_SCHEMA } from './schema.js'
import { signerText } from './signed-images.js'
import type { ImageSigner, PlatformRules, Policy, PolicyRole, SignedImageRule } from './types.js'
import { isDateTime } from './window.js'

/** Most bytes of a policy file. */
export const POLICY_MAX_BYTES = 256 * 1024

/**
 * Reads and checks a policy; not yet against its descriptor, see {@link checkPolicyAgainst}.
 *
 * @param source - JSON as text or UTF-8 bytes, or the object itself, which is copied.
 * @returns a fresh object, frozen all through.
 * @throws {McbnError} `MCBN_POLICY_INVALID`: one sentence with the path, what was expected, what came.
 */
export function parsePolicy(source: unknown): Policy {
  const value = parseStrictJson(textOf(source), POLICY_MAX_BYTES)
  const validate = validator()
  if (!validate(value)) throw refusal(value, firstToMend(validate.errors ?? []))
  const policy = value as Policy
  checkWindow(policy)
  for (const role of ROLES) {
    const rules = policy.roles[role]
    if (rules !== undefined) checkRole(`roles.${role}`, rules, policy)
  }
  return freeze(policy)
}

/**
 * Reads one rule about signed images, as it stands in a role's `signedImages`: before there is a descriptor that
 * a policy could be for, its name is needed, see `imageRuleName`.
 *
 * @throws {McbnError} `MCBN_POLICY_INVALID`, as {@link parsePolicy}.
 */
export function parseImageRule(source: unknown): SignedImageRule {
  const rule = parseStrictJson(textOf(source), POLICY_MAX_BYTES)
  const around = { attestation: ['gcp-cs-oidc'], projects: ['none'], args: [] }
  const policy = {
    ...{ version: 'mcbn/1', network: 'none', descriptorHash: '0'.repeat(64) },
    ...{ trustedRoot: {}, roles: { client: { ...around, signedImages: [rule] } } },
  }
  return parsePolicy(policy).roles.client?.signedImages?.[0] as SignedImageRule
}

/**
 * Checks that a policy belongs to a descriptor and only narrows it. Its owner's participant does this
 * before it serves; {@link evaluatePolicy} refuses everything where it was left out.
 *
 * @throws {McbnError} `MCBN_POLICY_INVALID` naming the field.
 */
export function checkPolicyAgainst(
  policy: Policy,
  { descriptor, hashHex }: VerifiedDescriptor,
): void {
  if (policy.network !== descriptor.network) {
    throw invalid(
      'network',
      `${quote(descriptor.network)}, as in the descriptor`,
      quote(policy.network),
    )
  }
  if (policy.descriptorHash !== hashHex) {
    throw invalid(
      'descriptorHash',
      `${hashHex}, the hash of the descriptor given`,
      policy.descriptorHash,
    )
  }
  for (const role of ROLES) {
    for (const [at, image] of (policy.roles[role]?.images ?? []).entries()) {
      if (descriptor.roles[role].images.includes(image)) continue
      const expected = `one of the descriptor's images for the ${role}; a policy can only narrow it`
      throw invalid(`roles.${role}.images[${at}]`, expected, image)
    }
  }
  const { notBefore, notAfter } = policy.window ?? {}
  const { validity } = descriptor
  if (notBefore !== undefined && Date.parse(notBefore) / 1000 > validity.notAfter) {
    throw invalid('window.notBefore', "a time before the descriptor's end", notBefore)
  }
  if (notAfter !== undefined && Date.parse(notAfter) / 1000 < validity.notBefore) {
    throw invalid('window.notAfter', "a time after the descriptor's beginning", notAfter)
  }
}

function textOf(source: unknown): string | Uint8Array {
  if (typeof source === 'string' || source instanceof Uint8Array) return source
  if (source === null || typeof source !== 'object') {
    throw invalid('policy', 'JSON text or an object', source === null ? 'null' : typeof source)
  }
  try {
    // A copy without getters, prototypes and whatever else an object can hide.
    return JSON.stringify(source)
  } catch {
    throw invalid('policy', 'an object that JSON can hold', 'another one')
  }
}

let compiled: ValidateFunction | undefined

function validator(): ValidateFunction {
  // Compiled when first needed: most users of mcbn/consent are workloads and have no policy.
  compiled ??= new Ajv2020({
    strict: true,
    // A misspelt name is two errors, one of them the absence of the right one: all are needed to tell.
    allErrors: true,
    // A type that two keywords imply, and unions (text or null), are meant here.
    allowUnionTypes: true,
    verbose: true,
    ownProperties: true,
    // A process checks a few policies, and making the check faster takes longer than they do.
    code: { optimize: false },
    formats: { 'date-time': isDateTime },
  }).compile(POLICY_SCHEMA)
  return compiled
}

/** A field that does not exist comes before one that is missing: it may be the same, misspelt. */
function firstToMend(errors: readonly ErrorObject[]): ErrorObject | undefined {
  return errors.find(({ keyword }) => keyword === 'additionalProperties') ?? errors[0]
}

interface Properties {
  readonly properties?: Readonly<Record<string, { readonly description?: string }>>
}

/** One sentence out of one of ajv's errors. */
function refusal(root: unknown, error: ErrorObject | undefined): McbnError {
  if (error === undefined) return invalid('policy', 'a policy', 'something else')
  const path = pathOf(error.instancePath)
  const params = error.params as Record<string, unknown>
  const described = (error.parentSchema as { description?: string } | undefined)?.description
  if (error.keyword === 'required') {
    const missing = String(params['missingProperty'])
    const { properties } = error.parentSchema as Properties
    return invalid(join(path, missing), properties?.[missing]?.description ?? 'a value', 'none')
  }
  if (error.keyword === 'additionalProperties') {
    const unknown = String(params['additionalProperty'])
    const known = Object.keys((error.parentSchema as Properties).properties ?? {})
    const near = nearest(unknown.slice(0, 64), known)
    const instead = near === undefined ? `only ${known.join(', ')}` : `did you mean ${near}?`
    return new McbnError(
      'MCBN_POLICY_INVALID',
      `${join(path, unknown)}: there is no such field; ${instead}`,
    )
  }
  if (error.propertyName !== undefined) {
    // An error about a name: the description stands with the schema of the names.
    return invalid(
      join(path, error.propertyName),
      described ?? 'another name',
      quote(error.propertyName),
    )
  }
  if (error.keyword === 'uniqueItems') {
    const twice = join(path, `[${params['i']}]`)
    return invalid(twice, `each item once`, `the same as ${join(path, `[${params['j']}]`)}`)
  }
  return invalid(path === '' ? 'policy' : path, described ?? 'another value', show(root, error))
}

function show(root: unknown, { data, keyword }: ErrorObject): string {
  if (keyword === 'maxItems' || keyword === 'minItems') return `${(data as unknown[]).length}`
  if (keyword.endsWith('Properties')) return `${Object.keys(data as object).length}`
  if (keyword === 'maxLength') return `${(data as string).length} characters`
  if (data === root && (data === null || typeof data !== 'object')) return typeof data
  if (Array.isArray(data)) return 'a list'
  if (data !== null && typeof data === 'object') return 'an object'
  return quote(data)
}

/** `/roles/client/images/0` as people write it: `roles.client.images[0]`. */
function pathOf(pointer: string): string {
  const steps = pointer.split('/').slice(1)
  const names = steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  return names.reduce((path, name) => join(path, /^\d+$/.test(name) ? `[${name}]` : name), '')
}

function join(path: string, name: string): string {
  const shown = name.length > 64 ? `${name.slice(0, 63)}…` : name
  if (shown.startsWith('[') || path === '') return `${path}${shown}`
  return `${path}.${shown}`
}

function checkWindow({ window }: Policy): void {
  if (window === undefined) return
  const { notBefore, notAfter, daily } = window
  if (
    notBefore !== undefined &&
    notAfter !== undefined &&
    Date.parse(notBefore) >= Date.parse(notAfter)
  ) {
    throw invalid('window.notAfter', `a time after ${notBefore}`, notAfter)
  }
  if (daily !== undefined && daily.from === daily.to) {
    throw invalid(
      'window.daily.to',
      'another time than `from`; leave daily out for all day',
      daily.to,
    )
  }
}

function checkRole(path: string, role: PolicyRole, policy: Policy): void {
  if (role.attestation.includes('local') && (policy.localIssuers ?? []).length === 0) {
    const expected = "`local` only together with localIssuers, the test issuers' public keys"
    throw invalid(`${path}.attestation`, expected, 'none of those')
  }
  if (role.images === undefined && role.signedImages === undefined) {
    throw invalid(`${path}.images`, 'a value', 'none')
  }
  for (const [at, rule] of (role.signedImages ?? []).entries()) {
    checkSigners(`${path}.signedImages[${at}]`, rule, policy)
  }
  checkPlaces(path, role)
  checkRules(path, role, policy)
  for (const [name, rules] of Object.entries(role.platforms ?? {})) {
    if (rules !== undefined) checkRules(`${path}.platforms.${name}`, rules, policy)
  }
}

function checkSigners(
  path: string,
  { signers, atLeast = POLICY_DEFAULTS.atLeast }: SignedImageRule,
  { trustedRoot }: Policy,
): void {
  const seen = new Map<string, number>()
  for (const [at, signer] of signers.entries()) {
    const { publicKey, identity, issuer } = signer
    const where = `${path}.signers[${at}]`
    const whole = (identity === undefined) === (issuer === undefined)
    if (!whole || (publicKey === undefined) === (identity === undefined)) {
      throw invalid(where, 'either `publicKey`, or `identity` and `issuer`', 'another set of them')
    }
    if (identity !== undefined && trustedRoot === undefined) {
      throw invalid(
        'trustedRoot',
        "Sigstore's trusted_root.json, since a signer is an identity",
        'none',
      )
    }
    const text = textOfSigner(where, signer)
    const before = seen.get(text)
    // Two of them would be two reviewers.
    if (before !== undefined)
      throw invalid(where, 'each signer once', `the same as signers[${before}]`)
    seen.set(text, at)
  }
  if (atLeast <= signers.length) return
  throw invalid(`${path}.atLeast`, `at most ${signers.length}, the number of signers`, `${atLeast}`)
}

function textOfSigner(path: string, signer: ImageSigner): string {
  try {
    return signerText(signer)
  } catch {
    throw invalid(`${path}.publicKey`, 'a public key, PEM, of Ed25519, EC or RSA', 'something else')
  }
}

/** Fields that stand in a section of `platforms`, and for Confidential Space beside the sections too. */
const PLATFORM_FIELDS = [
  'hardware',
  'software',
  'support',
  'projects',
  'serviceAccounts',
  'args',
  'env',
  'overrides',
] as const satisfies readonly (keyof PolicyRole)[]

/** Each rule in one place, and a place for each kind. */
function checkPlaces(path: string, role: PolicyRole): void {
  const { platforms } = role
  const beside = PLATFORM_FIELDS.find((field) => role[field] !== undefined)
  const section = `${path}.platforms.${CONFIDENTIAL_SPACE}`
  if (platforms === undefined || beside !== undefined) {
    for (const field of ['projects', 'args'] as const) {
      if (role[field] === undefined) throw invalid(`${path}.${field}`, 'a value', 'none')
    }
  }
  if (beside !== undefined && platforms?.[CONFIDENTIAL_SPACE] !== undefined) {
    throw invalid(`${path}.${beside}`, `it in ${section} alone, since that is there`, 'it twice')
  }
  const { rootsOfTrust = POLICY_DEFAULTS.rootsOfTrust } = role
  const known = new Set(
    role.attestation.filter((kind) => kind !== 'local').map((kind) => rootOf(kind)),
  )
  // Evidence has each kind once, hence one local issuer at a time.
  const roots = known.size + (role.attestation.includes('local') ? 1 : 0)
  if (roots < rootsOfTrust) {
    const expected = `at most ${roots}, since \`attestation\` names no more roots of trust`
    throw invalid(`${path}.rootsOfTrust`, expected, `${rootsOfTrust}`)
  }
  for (const kind of role.attestation) {
    const name = Object.hasOwn(PLATFORM_OF_KIND, kind) ? PLATFORM_OF_KIND[kind] : undefined
    if (name === undefined) continue
    const rules = rulesFor(role, name)
    const section = `${path}.platforms.${name}`
    if (rules === undefined) throw invalid(section, `rules, since ${kind} is accepted`, 'none')
    if (ANYBODY_ISSUES.has(name)) checkIssuers(`${section}.issuers`, rules)
  }
}

/** Where anybody can be an issuer, the policy names those it believes. */
function checkIssuers(path: string, { issuers }: PlatformRules): void {
  if (issuers === undefined) throw invalid(path, 'a value', 'none')
  for (const [at, issuer] of issuers.entries()) {
    if (/^https:\/\/[a-z0-9.-]{1,253}$/.test(issuer)) continue
    const expected = 'https:// and a host in lower case, no path and no port'
    throw invalid(`${path}[${at}]`, expected, quote(issuer))
  }
}

function checkRules(path: string, rules: PlatformRules, policy: Policy): void {
  for (const [at, model] of (rules.hardware ?? []).entries()) {
    if (!HARDWARE_NEVER.has(model)) continue
    const expected = 'hardware with encrypted memory; on this one the operator could read the share'
    throw invalid(`${path}.hardware[${at}]`, expected, model)
  }
  for (const [name, value] of Object.entries(rules.env ?? {})) {
    if (isNeverAllowed(name)) {
      const expected = 'none of the variables that change what an image does or tell its secrets'
      throw invalid(`${path}.env`, expected, name)
    }
    if (name === DESCRIPTOR_HASH_VARIABLE && value !== null && value !== policy.descriptorHash) {
      throw invalid(`${path}.env.${name}`, 'the value of descriptorHash', quote(value))
    }
  }
  for (const [at, name] of (rules.overrides?.env ?? []).entries()) {
    if (name === DESCRIPTOR_HASH_VARIABLE || Object.hasOwn(rules.env ?? {}, name)) continue
    throw invalid(`${path}.overrides.env[${at}]`, 'a name that `env` allows', quote(name))
  }
}

function freeze<Value>(value: Value): Value {
  if (value !== null && typeof value === 'object') {
    for (const item of Object.values(value)) freeze(item)
    Object.freeze(value)
  }
  return value
}

/** JSON, so that no text can break out of the sentence; short. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? typeof value
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

function invalid(path: string, expected: string, got: string): McbnError {
  return new McbnError('MCBN_POLICY_INVALID', `${path}: expected ${expected}, got ${got}`)
}
