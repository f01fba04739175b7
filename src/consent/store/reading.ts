// What can be seen of a store without opening it: no secrets, and no process lock.

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { McbnError } from '../../errors.js'
import type { ParticipantPublicKeys } from '../base/keys.js'
import { DESCRIPTOR_MAX_BYTES } from '../descriptor/descriptor.js'
import { type VerifiedDescriptor, verifySignedDescriptor } from '../descriptor/signed.js'
import { POLICY_MAX_BYTES, parsePolicy } from '../policy/parse.js'
import type { Policy } from '../policy/types.js'
import {
  checkState,
  DOCUMENT_MAX_BYTES,
  type ParticipantDocument,
  parseParticipant,
  parseState,
  type StateDocument,
} from './documents.js'
import { checkFolder, invalid, readStoreFile } from './files.js'

/** Where things are in a store's folder. */
export function storePaths(dir: string) {
  return {
    participant: join(dir, 'participant.json'),
    secrets: join(dir, 'secrets.json'),
    descriptor: join(dir, 'descriptor.json'),
    /** There only while an epoch is being installed. */
    nextDescriptor: join(dir, 'descriptor.next.json'),
    policy: join(dir, 'policy.json'),
    /** As `nextDescriptor`; absent where the policy stays. */
    nextPolicy: join(dir, 'policy.next.json'),
    state: join(dir, 'state.json'),
    audit: join(dir, 'audit.jsonl'),
    /** Says where the participant is kept now, if no longer here. */
    moved: join(dir, 'moved'),
  }
}

/** The public part of a store. */
export interface StoreReading {
  readonly label: string
  readonly publicKeys: ParticipantPublicKeys
  /** Absent before the ceremony; all signatures verified. */
  readonly descriptor: VerifiedDescriptor | undefined
  /** As the file says; whether it fits the descriptor is for `checkPolicyAgainst`. */
  readonly policy: Policy | undefined
  readonly state: StateDocument
  /** For `verifyAudit` and `readAudit`. */
  readonly auditPath: string
}

/**
 * Reads the public part of a store, also while a participant serves it.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID`, `MCBN_DESCRIPTOR_INVALID` or `MCBN_POLICY_INVALID` naming what
 * is wrong where.
 */
export async function readStore(dir: string): Promise<StoreReading> {
  await checkFolder(dir)
  const { label, keys } = await readParticipant(dir)
  const descriptor = await readDescriptor(dir, 'descriptor')
  const state = await readState(dir)
  checkState(state, label, descriptor)
  const policy = await readPolicy(dir)
  return { label, publicKeys: keys, descriptor, policy, state, auditPath: storePaths(dir).audit }
}

export async function readParticipant(dir: string): Promise<ParticipantDocument> {
  const path = storePaths(dir).participant
  const bytes = await readStoreFile(path, { mostBytes: DOCUMENT_MAX_BYTES })
  if (bytes === undefined) throw invalid(`${dir}: expected a participant's folder, got none`)
  if (isOfCeremony(bytes)) {
    throw invalid(
      `${dir}: expected a participant's folder, got that of a ceremony: mcbn ceremony status shows it, and mcbn participant init --ceremony makes a participant's folder of it`,
    )
  }
  return parseParticipant(bytes)
}

/** Both folders have a participant.json; a ceremony's is what the others are given, with the keys on top. */
function isOfCeremony(bytes: Uint8Array): boolean {
  try {
    return 'x25519' in JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return false
  }
}

export async function readDescriptor(
  dir: string,
  which: 'descriptor' | 'nextDescriptor',
): Promise<VerifiedDescriptor | undefined> {
  const path = storePaths(dir)[which]
  const bytes = await readStoreFile(path, { mostBytes: DESCRIPTOR_MAX_BYTES })
  return bytes && verifySignedDescriptor(bytes)
}

export async function readPolicy(dir: string): Promise<Policy | undefined> {
  return (await readPolicyFile(dir))?.policy
}

/** A policy and the SHA-256 of its file, hex: what `sha256sum policy.json` tells. */
export interface PolicyFile {
  readonly policy: Policy
  readonly policyHash: string
}

export async function readPolicyFile(
  dir: string,
  which: 'policy' | 'nextPolicy' = 'policy',
): Promise<PolicyFile | undefined> {
  const path = storePaths(dir)[which]
  const bytes = await readStoreFile(path, { mostBytes: POLICY_MAX_BYTES })
  if (bytes === undefined) return undefined
  const policyHash = createHash('sha256').update(bytes).digest('hex')
  return { policy: policyIn(path, bytes), policyHash }
}

/** The person who mends it has several. */
function policyIn(path: string, bytes: Uint8Array): Policy {
  try {
    return parsePolicy(bytes)
  } catch (error) {
    if (!(error instanceof McbnError)) throw error
    throw new McbnError(error.code, `${path}: ${error.message}`)
  }
}

/** Never taken as empty when it is missing: removing a file would otherwise take a withdrawal back. */
export async function readState(dir: string): Promise<StateDocument> {
  const path = storePaths(dir).state
  const bytes = await readStoreFile(path, { mostBytes: DOCUMENT_MAX_BYTES })
  if (bytes === undefined) throw invalid(`${path}: expected the participant's state, got none`)
  return parseState(bytes)
}
