// Evidence of several platforms about one workload, as one: so that no single maker, cloud or service can say alone
// what runs. On the wire it is one more kind of evidence, whose token holds the others; a participant that does not
// know the kind refuses it, signed, as it refuses any other that its policy does not name.
//
//   token = for each: <characters of kind>.<kind><characters of token>.<token>
//
// All of them are about one nonce, which binds the workload's key. A root of trust that lies can vouch for a key of
// the operator's; another one that does not lie never vouches for that key.

import { createHash } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { MOST_TOKEN_LENGTH } from './jwt.js'
import { platformSection, serviceAccountsOf } from './platform.js'
import { refused } from './refuse.js'
import type { AttestedFacts, Attester, ClaimValue, Evidence } from './types.js'

/** The kind of such evidence. */
export const SEVERAL = 'several'
const LEAST = 2
const MOST = 4
const KIND = /^[a-z0-9][a-z0-9._-]{0,62}$/

/**
 * An attester that asks several, of one machine, and shows the evidence of all of them: for policies with
 * `rootsOfTrust` above 1. A participant judges those kinds that its policy names.
 *
 * @param attesters - 2 to 4, each of another kind.
 * @throws {McbnError} `MCBN_OPTION_RANGE` for another number, or a kind twice.
 */
export function createSeveralAttester(attesters: readonly Attester[]): Attester {
  const kinds = attesters.map(({ kind }) => kind)
  if (!isInRange(kinds.length) || new Set(kinds).size !== kinds.length || kinds.includes(SEVERAL)) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `attesters: expected ${LEAST} to ${MOST}, each of another kind, got ${kinds.join(', ') || 'none'}`,
    )
  }
  return {
    kind: SEVERAL,
    evidence: async (about) =>
      severalEvidence(await Promise.all(attesters.map((attester) => attester.evidence(about)))),
  }
}

/**
 * Several pieces of evidence as one.
 *
 * @throws {McbnError} `MCBN_ATTESTER_FAILED` where they are more than a token may have.
 */
export function severalEvidence(all: readonly Evidence[]): Evidence {
  const token = all.flatMap(({ kind, token }) => [kind, token].map(measured)).join('')
  if (token.length <= MOST_TOKEN_LENGTH) return { kind: SEVERAL, token }
  throw new McbnError(
    'MCBN_ATTESTER_FAILED',
    `evidence of ${all.length} platforms: expected at most ${MOST_TOKEN_LENGTH} characters, got ${token.length}`,
  )
}

function measured(text: string): string {
  return `${text.length}.${text}`
}

/**
 * The pieces, in the order of their kinds.
 *
 * @throws {McbnError} `MCBN_EVIDENCE_REFUSED` for anything but 2 to 4 of different kinds, in the one spelling.
 */
export function evidenceOfSeveral({ token }: Evidence): readonly Evidence[] {
  if (token.length > MOST_TOKEN_LENGTH) throw malformed()
  const texts: string[] = []
  for (let at = 0; at < token.length; ) {
    const [head, digits] = /^([1-9][0-9]{0,4})\./.exec(token.slice(at, at + 6)) ?? []
    if (head === undefined || texts.length === 2 * MOST) throw malformed()
    const from = at + head.length
    at = from + Number(digits)
    if (at > token.length) throw malformed()
    texts.push(token.slice(from, at))
  }
  const pieces = texts.flatMap((kind, at): Evidence[] =>
    at % 2 === 0 ? [{ kind, token: texts[at + 1] ?? '' }] : [],
  )
  const kinds = new Set(pieces.map(({ kind }) => kind))
  const right = texts.length % 2 === 0 && isInRange(pieces.length) && kinds.size === pieces.length
  if (!right || ![...kinds].every((kind) => KIND.test(kind) && kind !== SEVERAL)) throw malformed()
  return pieces.sort((a, b) => (a.kind < b.kind ? -1 : 1))
}

function isInRange(number: number): boolean {
  return number >= LEAST && number <= MOST
}

function malformed(): McbnError {
  return refused('token', `expected evidence of ${LEAST} to ${MOST} different kinds`)
}

/**
 * What several platforms say of one workload. Each is judged by itself (`parts`); what they are together is for
 * counting, for people and for the audit.
 *
 * @param parts - in the order of their kinds; one stays as it is.
 */
export function jointFacts(parts: readonly AttestedFacts[]): AttestedFacts {
  const [first, ...others] = parts
  if (first === undefined) throw malformed()
  if (others.length === 0) return first
  const container = parts.find(({ args, env }) => args.length > 0 || env.size > 0) ?? first
  return Object.freeze<AttestedFacts>({
    ...container,
    kind: SEVERAL,
    issuer: parts.map(({ issuer }) => issuer).join(' + '),
    attestedAt: Math.min(...parts.map(({ attestedAt }) => attestedAt)),
    expiresAt: Math.min(...parts.map(({ expiresAt }) => expiresAt)),
    hardware: parts.map(({ hardware }) => hardware ?? 'unknown').join(' + '),
    instance: jointInstance(parts),
    platform: platformSection(SEVERAL, Object.fromEntries(parts.flatMap(shownOf))),
    parts: Object.freeze([...parts]),
  })
}

/**
 * All that vouched count a machine together: one that lies can make one machine look like many, which takes the
 * places of others, but never many like one, which would get past a cap.
 */
function jointInstance(parts: readonly AttestedFacts[]): string | undefined {
  const hash = createHash('sha256').update(lengthPrefixed('mcbn/1 several'))
  for (const { issuer, project = '', instance } of parts) {
    if (instance === undefined || instance === '') return undefined
    for (const text of [issuer, project, instance]) hash.update(lengthPrefixed(text))
  }
  return hash.digest('base64url')
}

/** For people: everything that a decision could turn on, under the name of the kind that said it. */
function shownOf(facts: AttestedFacts): readonly (readonly [string, ClaimValue])[] {
  const { kind, platform, issuer, instance, project, imageDigest, args, env } = facts
  const said = Object.entries({
    ...{ issuer, instance, project, image_digest: imageDigest },
    args: args.length === 0 ? undefined : args,
    env: env.size === 0 ? undefined : [...env].map(([name, value]) => `${name}=${value}`).sort(),
    service_accounts: serviceAccountsOf(facts),
    ...platform.claims,
  })
  return said.flatMap(([name, value]) =>
    value === undefined ? [] : [[`${kind}.${name}`, value] as const],
  )
}
