// The readable files of a store: who the participant is, and what its people have decided.

import { LABEL } from '../../psk/share.js'
import { canonicalBytes } from '../base/canonical.js'
import type { ParticipantPublicKeys } from '../base/keys.js'
import { readJson, Untrusted } from '../base/untrusted.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { ROLES } from '../descriptor/types.js'
import { parseWithdrawal } from '../release/parse.js'
import { verifyWithdrawal } from '../release/sign.js'
import { invalid } from './files.js'
import type { Decision, ParticipantState } from './state.js'

const CODE = 'MCBN_STORE_INVALID'
/** Most bytes of a readable file; a state holds up to 1,024 decisions. */
export const DOCUMENT_MAX_BYTES = 2 * 1024 * 1024
const MOST_DECISIONS = 1024
const LATEST_MS = 253_402_300_799_999
/** Out of evidence: whatever its JSON can hold. */
const TEXT = /^[\s\S]{0,4096}$/

/** participant.json. Authenticated together with the secrets: sealed ones open only beside their own. */
export interface ParticipantDocument {
  readonly version: 'mcbn/1'
  readonly label: string
  readonly keys: ParticipantPublicKeys
}

/** @throws {McbnError} `MCBN_STORE_INVALID` naming the field. */
export function parseParticipant(bytes: Uint8Array): ParticipantDocument {
  const document = read(bytes, 'participant.json').fields(['version', 'label', 'keys'])
  const keys = document.keys.fields(['ed25519', 'x25519'])
  return {
    version: document.version.oneOf(['mcbn/1']),
    label: document.label.text(LABEL, 'a label: 1 to 63 of a-z 0-9 . _ -'),
    keys: { ed25519: keys.ed25519.base64url(32), x25519: keys.x25519.base64url(32) },
  }
}

/** What the secrets are sealed together with. */
export function participantAad(document: ParticipantDocument): Buffer {
  return canonicalBytes(document)
}

/** state.json: decisions of people about one descriptor. */
export interface StateDocument extends ParticipantState {
  /** Hex; absent as long as there is no descriptor. */
  readonly descriptorHash?: string
}

/** @throws {McbnError} `MCBN_STORE_INVALID` naming the field. */
export function parseState(bytes: Uint8Array): StateDocument {
  const document = read(bytes, 'state.json').fields(
    ['version', 'decisions'],
    ['descriptorHash', 'withdrawal'],
  )
  document.version.oneOf(['mcbn/1'])
  const { descriptorHash } = document
  return {
    ...(descriptorHash && {
      descriptorHash: descriptorHash.text(/^[0-9a-f]{64}$/, '64 hex digits'),
    }),
    ...(document.withdrawal && { withdrawal: withdrawalOf(bytes) }),
    decisions: document.decisions.list(0, MOST_DECISIONS).map(decision),
  }
}

/** @throws {McbnError} `MCBN_STORE_INVALID` for a state that is of another descriptor or not the owner's. */
export function checkState(
  { descriptorHash, withdrawal }: StateDocument,
  label: string,
  descriptor: VerifiedDescriptor | undefined,
): void {
  if (descriptorHash !== descriptor?.hashHex) {
    throw invalid(
      'state.json: expected the state of descriptor.json, got that of another descriptor',
    )
  }
  if (withdrawal === undefined) return
  if (descriptor && withdrawal.label === label && verifyWithdrawal(withdrawal, descriptor)) return
  throw invalid("state.json: withdrawal: expected this participant's signature, got another one")
}

export function stateText(state: StateDocument): string {
  return jsonText({ version: 'mcbn/1', ...state })
}

/** For people to read. */
export function jsonText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function withdrawalOf(bytes: Uint8Array): ReturnType<typeof parseWithdrawal> {
  const { withdrawal } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { withdrawal: unknown }
  try {
    return parseWithdrawal(withdrawal)
  } catch (error) {
    throw invalid(`state.json: ${error instanceof Error ? error.message : 'withdrawal'}`)
  }
}

function decision(item: Untrusted): Decision {
  const fields = item.fields(
    ['id', 'decision', 'role', 'instance', 'imageDigest', 'decidedAt'],
    ['expiresAt'],
  )
  return {
    id: fields.id.text(/^[0-9a-f]{64}$/, '64 hex digits'),
    decision: fields.decision.oneOf(['approved', 'refused']),
    role: fields.role.oneOf(ROLES),
    instance: fields.instance.text(TEXT, 'text of at most 4096 characters'),
    imageDigest: fields.imageDigest.text(TEXT, 'text of at most 4096 characters'),
    decidedAt: milliseconds(fields.decidedAt),
    ...(fields.expiresAt && { expiresAt: milliseconds(fields.expiresAt) }),
  }
}

function milliseconds(field: Untrusted): number {
  return field.integer(0, LATEST_MS)
}

function read(bytes: Uint8Array, name: string): Untrusted {
  return new Untrusted(readJson(bytes, DOCUMENT_MAX_BYTES, name, CODE), name, CODE)
}
