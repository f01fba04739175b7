// Share and private keys, as the row has them and as its replicas use them.

import { hkdfSync } from 'node:crypto'
import { exportPrivate, type ParticipantKeys } from '../../base/keys.js'
import { readJson } from '../../base/untrusted.js'
import type { VerifiedDescriptor } from '../../descriptor/signed.js'
import {
  DOCUMENT_MAX_BYTES,
  jsonText,
  type ParticipantDocument,
  participantAad,
} from '../documents.js'
import { openSecrets, type StoreLock, sealSecrets } from '../seal.js'
import { decodeSecrets, encodeSecrets, type StoredSecrets } from '../secrets.js'

/** For all that have the participant's keys, and for one epoch. */
export function challengeKey(
  keys: ParticipantKeys,
  descriptor: VerifiedDescriptor | undefined,
): Buffer {
  const { ed25519, x25519 } = exportPrivate(keys)
  const salt = descriptor?.hash ?? Buffer.alloc(0)
  const key = Buffer.from(hkdfSync('sha256', ed25519, salt, 'mcbn/1 challenge key', 32))
  ed25519.fill(0)
  x25519.fill(0)
  return key
}

export async function sealed(
  secrets: StoredSecrets,
  lock: StoreLock,
  document: ParticipantDocument,
): Promise<string> {
  const plaintext = encodeSecrets(secrets)
  try {
    return jsonText(await sealSecrets(plaintext, lock, participantAad(document)))
  } finally {
    plaintext.fill(0)
  }
}

export async function opened(
  text: string,
  lock: StoreLock,
  document: ParticipantDocument,
): Promise<StoredSecrets> {
  const json = readJson(Buffer.from(text), DOCUMENT_MAX_BYTES, 'secrets', 'MCBN_STORE_INVALID')
  return decodeSecrets(await openSecrets(json, lock, participantAad(document)))
}
