// secrets.json: sealed together with participant.json, so that neither can be exchanged alone.

import { readJson } from '../base/untrusted.js'
import {
  DOCUMENT_MAX_BYTES,
  jsonText,
  type ParticipantDocument,
  participantAad,
} from './documents.js'
import { invalid, readStoreFile, writeStoreFile } from './files.js'
import { storePaths } from './reading.js'
import { openSecrets, type StoreLock, sealSecrets } from './seal.js'
import { decodeSecrets, encodeSecrets, type StoredSecrets } from './secrets.js'

/** Seals and writes the secrets; what the file held before is overwritten. */
export async function writeSecrets(
  dir: string,
  secrets: StoredSecrets,
  lock: StoreLock,
  document: ParticipantDocument,
): Promise<void> {
  const plaintext = encodeSecrets(secrets)
  try {
    const sealed = await sealSecrets(plaintext, lock, participantAad(document))
    await writeStoreFile(storePaths(dir).secrets, jsonText(sealed), { shred: true })
  } finally {
    plaintext.fill(0)
  }
}

/** @throws {McbnError} `MCBN_STORE_INVALID` for another lock or altered files. */
export async function readSecrets(
  dir: string,
  lock: StoreLock,
  document: ParticipantDocument,
): Promise<StoredSecrets> {
  const path = storePaths(dir).secrets
  const bytes = await readStoreFile(path, { mostBytes: DOCUMENT_MAX_BYTES, secret: true })
  if (bytes === undefined) throw invalid(`${path}: expected the sealed secrets, got none`)
  const sealed = readJson(bytes, DOCUMENT_MAX_BYTES, 'secrets.json', 'MCBN_STORE_INVALID')
  return decodeSecrets(await openSecrets(sealed, lock, participantAad(document)))
}

/** That a lock is the store's, before anything is sealed with it. */
export async function checkLock(
  dir: string,
  lock: StoreLock,
  document: ParticipantDocument,
): Promise<void> {
  const { stored } = await readSecrets(dir, lock, document)
  stored?.share.fill(0)
}
