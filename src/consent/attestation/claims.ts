// What a Confidential Space token says, in the words of AttestedFacts.
// https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims
//
// Types are strict and nothing is coerced: 'true' is not true, 1 is not '1', one text is not a list of
// one. The platform's servers write an empty list or map as null, or leave it out; both mean empty. Whether
// a value is good enough is for the policy to say; only a malformed digest is refused here.

import type { UnixMilliseconds, UnixSeconds } from '../base/time.js'
import type { JsonObject } from './json.js'
import { isObject, own } from './json.js'
import { CONFIDENTIAL_SPACE, platformSection } from './platform.js'
import { refused } from './refuse.js'
import type { AttestedFacts, PlatformSection } from './types.js'

/** What has been checked before claims are read. */
export interface CheckedToken {
  readonly kind: string
  readonly issuer: string
  readonly attestedAt: UnixMilliseconds
  readonly expiresAt: UnixMilliseconds
}

const DIGEST = /^sha256:[0-9a-f]{64}$/

/**
 * The facts of a verified payload.
 *
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`, naming the claim that has the wrong type.
 */
export function attestedFacts(token: CheckedToken, payload: JsonObject): AttestedFacts {
  const top: Claims = { path: '', values: payload }
  const submods = inner(top, 'submods')
  const space = inner(submods, 'confidential_space')
  const container = inner(submods, 'container')
  const gce = inner(submods, 'gce')
  return Object.freeze<AttestedFacts>({
    kind: token.kind,
    issuer: token.issuer,
    attestedAt: token.attestedAt,
    expiresAt: token.expiresAt,
    hardware: text(top, 'hwmodel'),
    debug: text(top, 'dbgstat'),
    imageDigest: digest(container, 'image_digest'),
    imageReference: text(container, 'image_reference'),
    args: texts(container, 'args'),
    env: textsByName(container, 'env'),
    overriddenArgs: texts(container, 'cmd_override'),
    overriddenEnv: textsByName(container, 'env_override'),
    project: text(gce, 'project_id'),
    zone: text(gce, 'zone'),
    instance: text(gce, 'instance_id'),
    platform: confidentialSpace(top, space, container),
  })
}

/** What Confidential Space alone says. Names are the token's; signatures are named by the keys that made them. */
function confidentialSpace(top: Claims, space: Claims, container: Claims): PlatformSection {
  const tdx = tdxOf(top)
  const gpu = inner(inner(top, 'submods'), 'nvidia_gpu')
  const made = {
    swname: text(top, 'swname'),
    swversion: texts(top, 'swversion').join(',') || undefined,
    secboot: truth(top, 'secboot'),
    attester_tcb: someTexts(top, 'attester_tcb'),
    support_attributes: someTexts(space, 'support_attributes'),
    'monitoring_enabled.memory': truth(inner(space, 'monitoring_enabled'), 'memory'),
    'tdx.gcp_attester_tcb_status': text(tdx, 'gcp_attester_tcb_status'),
    'tdx.gcp_attester_tcb_date': text(tdx, 'gcp_attester_tcb_date'),
    'nvidia_gpu.cc_mode': text(gpu, 'cc_mode'),
    image_signatures: signingKeys(container),
    google_service_accounts: someTexts(top, 'google_service_accounts'),
  }
  return platformSection(CONFIDENTIAL_SPACE, made)
}

/** Documented as a list of one, sent as an object: both are read. */
function tdxOf(top: Claims): Claims {
  const value = own(top.values, 'tdx')
  const only = Array.isArray(value) && value.length === 1 ? value[0] : value
  return inner({ path: '', values: { tdx: only } }, 'tdx')
}

/** The ids of the keys whose signature over the image the platform has verified. */
function signingKeys(container: Claims): readonly string[] | undefined {
  const value = own(container.values, 'image_signatures') ?? []
  const path = pathOf(container, 'image_signatures')
  if (!Array.isArray(value)) throw refused(path, 'expected a list of objects')
  const ids = value.map((one: unknown) => {
    const id = isObject(one) ? own(one, 'key_id') : undefined
    if (typeof id === 'string') return id
    throw refused(path, 'expected each with a key_id, text')
  })
  return ids.length === 0 ? undefined : Object.freeze(ids)
}

/** A time: whole seconds since 1970. The platform documents integers, so fractions are refused. */
export function seconds(payload: JsonObject, name: string): UnixSeconds {
  const value = own(payload, name)
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw refused(name, 'expected whole seconds since 1970')
  }
  return value
}

/** An object of claims and where it stands; absent ones are empty. */
interface Claims {
  readonly path: string
  readonly values: JsonObject
}

const NOTHING: JsonObject = Object.freeze({})

function inner(claims: Claims, name: string): Claims {
  const value = own(claims.values, name)
  const path = pathOf(claims, name)
  if (value === undefined || value === null) return { path, values: NOTHING }
  if (!isObject(value)) throw refused(path, 'expected an object')
  return { path, values: value }
}

function text(claims: Claims, name: string): string | undefined {
  const value = own(claims.values, name)
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw refused(pathOf(claims, name), 'expected a string')
  return value
}

function truth(claims: Claims, name: string): boolean | undefined {
  const value = own(claims.values, name)
  if (value === undefined) return undefined
  if (typeof value !== 'boolean') throw refused(pathOf(claims, name), 'expected true or false')
  return value
}

function digest(claims: Claims, name: string): string | undefined {
  const value = text(claims, name)
  if (value === undefined || DIGEST.test(value)) return value
  throw refused(pathOf(claims, name), 'expected sha256: and 64 lower-case hex digits, not a tag')
}

function someTexts(claims: Claims, name: string): readonly string[] | undefined {
  const found = texts(claims, name)
  return found.length === 0 ? undefined : found
}

function texts(claims: Claims, name: string): readonly string[] {
  const value = own(claims.values, name) ?? []
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw refused(pathOf(claims, name), 'expected a list of strings')
  }
  return Object.freeze([...(value as string[])])
}

function textsByName(claims: Claims, name: string): ReadonlyMap<string, string> {
  const value = own(claims.values, name) ?? NOTHING
  if (!isObject(value)) throw refused(pathOf(claims, name), 'expected an object of strings')
  const found = new Map<string, string>()
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== 'string') {
      throw refused(pathOf(claims, name), 'expected every value to be a string')
    }
    found.set(key, item)
  }
  return found
}

function pathOf(claims: Claims, name: string): string {
  return claims.path === '' ? name : `${claims.path}.${name}`
}
