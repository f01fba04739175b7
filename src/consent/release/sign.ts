// What participants sign during releases, and what workloads make of it. A signature that does not verify
// blames nobody: the operator carries the messages and could have made it.

import { createHash, type KeyObject } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { canonicalBytes } from '../base/canonical.js'
import { sign, verifySignature } from '../base/keys.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Role } from '../descriptor/types.js'
import { InvalidShareError } from '../shares/problem.js'
import { type Binary, binary } from './binary.js'
import type { Refused, Release, ReleaseEvidence, ReleaseRequest, Withdrawal } from './messages.js'
import { tokenHash } from './seal.js'

const RELEASE = 'mcbn/1 sign release'
const REFUSAL = 'mcbn/1 sign refusal'
const WITHDRAWAL = 'mcbn/1 sign withdrawal'

/** A release before it is signed. */
export type ReleaseFields = Omit<Release, 'v' | 'signature'>
/** A refusal before it is signed. */
export type RefusalFields = Omit<Refused, 'signature'>
/** A withdrawal before it is signed. */
export type WithdrawalFields = Omit<Withdrawal, 'v' | 'signature'>

/** What a refusal answers. */
export interface RefusalContext {
  /** Hash of the descriptor, 32 bytes. */
  readonly dh: Binary
  /** Of {@link refusedHash}, 32 bytes. */
  readonly refused: Binary
}

/**
 * Covers every bit of the message that a refusal answers: if a request or evidence is altered on the way, the
 * refusal is of the altered message, and does not count for the one that the workload sent.
 *
 * SHA-256(lp("mcbn/1 refused") || SHA-256(canonical request) [|| SHA-256(canonical {c, evidence})])
 *
 * @param evidence - absent: refused before there was any.
 */
export function refusedHash(
  request: ReleaseRequest,
  evidence?: Pick<ReleaseEvidence, 'c' | 'evidence'>,
): Buffer {
  const hash = createHash('sha256').update(lengthPrefixed('mcbn/1 refused'))
  const shown = evidence === undefined ? [] : [{ c: evidence.c, evidence: evidence.evidence }]
  for (const message of [request, ...shown]) {
    hash.update(createHash('sha256').update(canonicalBytes(message)).digest())
  }
  return hash.digest()
}

/** What a workload has asked for, and compares a release with. */
export interface ExpectedRelease {
  /** The participant that was asked. */
  readonly label: string
  readonly role: Role
  /** The challenge it was sent, 32 bytes. */
  readonly c: Binary
  /** The token it was shown. */
  readonly token: string
}

/** Ed25519 over lp("mcbn/1 sign release") || the canonical form of all fields but the signature. */
export function signRelease(fields: ReleaseFields, privateKey: KeyObject): Release {
  const unsigned = unsignedRelease(fields)
  return { ...unsigned, signature: signature(privateKey, RELEASE, canonicalBytes(unsigned)) }
}

/**
 * Verifies that a release is the participant's answer to exactly this round.
 *
 * @throws {McbnError} `MCBN_RELEASE_INVALID` without blame: another label, descriptor, role, challenge or
 * token, or a bad signature. {@link InvalidShareError} `MCBN_SHARE_INVALID` with `participant` and the problem
 * `wrong-epoch`: signed, for this round, and yet for another epoch.
 */
export function verifyRelease(
  release: Release,
  verified: VerifiedDescriptor,
  expected: ExpectedRelease,
): void {
  const { label } = expected
  const participant = verified.participant(label)
  demand(participant !== undefined, label, 'a participant of the descriptor')
  demand(release.label === label, label, 'its own label')
  demand(release.dh === text(verified.hash), label, "the descriptor's hash")
  demand(release.role === expected.role, label, `the role ${expected.role}`)
  demand(release.c === text(binary(expected.c, 32, 'c')), label, 'the challenge of this round')
  demand(release.tokenHash === text(tokenHash(expected.token)), label, 'the token of this round')
  const signed = [canonicalBytes(unsignedRelease(release))]
  demand(
    verifySignature(participant.ed25519, RELEASE, signed, release.signature),
    label,
    'a signature of the participant',
  )
  const { epoch } = verified.descriptor
  if (release.header.epoch === epoch) return
  throw new InvalidShareError(
    label,
    'wrong-epoch',
    `expected epoch ${epoch}, got ${release.header.epoch}`,
  )
}

/**
 * Ed25519 over lp("mcbn/1 sign refusal") || lp(dh) || lp(refused hash) || the canonical form of label, code and
 * retryAfter.
 */
export function signRefusal(
  fields: RefusalFields,
  context: RefusalContext,
  privateKey: KeyObject,
): Refused {
  const unsigned = unsignedRefusal(fields)
  const parts = refusalParts(unsigned, context)
  return { ...unsigned, signature: signature(privateKey, REFUSAL, ...parts) }
}

/**
 * Whether the participant itself refused exactly this. `false` for an unsigned `busy` too: believe
 * that one no further than waiting a moment.
 *
 * @param context - the {@link refusedHash} of what was sent.
 */
export function verifyRefusal(
  refused: Refused,
  verified: VerifiedDescriptor,
  context: Pick<RefusalContext, 'refused'>,
): boolean {
  const participant = verified.participant(refused.label)
  if (participant === undefined || refused.signature === undefined) return false
  const parts = refusalParts(unsignedRefusal(refused), {
    dh: verified.hash,
    refused: context.refused,
  })
  return verifySignature(participant.ed25519, REFUSAL, parts, refused.signature)
}

/** Ed25519 over lp("mcbn/1 sign withdrawal") || the canonical form of all fields but the signature. */
export function signWithdrawal(fields: WithdrawalFields, privateKey: KeyObject): Withdrawal {
  const unsigned = unsignedWithdrawal(fields)
  return { ...unsigned, signature: signature(privateKey, WITHDRAWAL, canonicalBytes(unsigned)) }
}

/** Whether a participant of this descriptor has withdrawn from it. */
export function verifyWithdrawal(withdrawal: Withdrawal, verified: VerifiedDescriptor): boolean {
  const participant = verified.participant(withdrawal.label)
  if (participant === undefined || withdrawal.dh !== text(verified.hash)) return false
  const parts = [canonicalBytes(unsignedWithdrawal(withdrawal))]
  return verifySignature(participant.ed25519, WITHDRAWAL, parts, withdrawal.signature)
}

// Field by field, so that nothing is signed that a reader of the message would not see.

function unsignedRelease(fields: ReleaseFields): Omit<Release, 'signature'> {
  const { label, dh, role, c, tokenHash, header, enc, ciphertext } = fields
  return { v: 'mcbn/1', label, dh, role, c, tokenHash, header, enc, ciphertext }
}

function unsignedRefusal({ label, code, retryAfter }: RefusalFields): RefusalFields {
  return { label, code, ...(retryAfter !== undefined && { retryAfter }) }
}

function unsignedWithdrawal({ label, dh, withdrawnAt }: WithdrawalFields) {
  return { v: 'mcbn/1', label, dh, withdrawnAt } as const
}

function refusalParts(unsigned: RefusalFields, { dh, refused }: RefusalContext): Uint8Array[] {
  return [
    lengthPrefixed(binary(dh, 32, 'dh')),
    lengthPrefixed(binary(refused, 32, 'refused')),
    canonicalBytes(unsigned),
  ]
}

function signature(
  privateKey: KeyObject,
  purpose: string,
  ...parts: readonly Uint8Array[]
): string {
  return text(sign(privateKey, purpose, ...parts))
}

function text(bytes: Buffer): string {
  return bytes.toString('base64url')
}

function demand(condition: boolean, label: string, what: string): asserts condition {
  if (condition) return
  throw new McbnError(
    'MCBN_RELEASE_INVALID',
    `release of ${label.slice(0, 63)}: expected ${what}, got another one`,
  )
}
