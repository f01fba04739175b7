// Several files change when an epoch is installed, and a crash can come between any two of them.
//
//   descriptor.next.json written -> secrets.json replaced -> state.json emptied -> audit -> next renamed
//   |------- the old epoch ------|--------------------- the new epoch, finished when opened ----------|

import { unlink } from 'node:fs/promises'
import type { AuditLog } from '../audit/log.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { stateText } from './documents.js'
import { invalid, moveStoreFile, writeStoreFile } from './files.js'
import { readDescriptor, storePaths } from './reading.js'
import type { StoredShare } from './secrets.js'

/**
 * The second half of installing an epoch, also after a crash between the two: state, audit, descriptor. Done
 * again it does no harm, and the descriptor's rename is what ends it.
 *
 * @returns whether there was something to finish.
 */
export async function finishInstalling(
  dir: string,
  stored: StoredShare | undefined,
  audit: AuditLog,
): Promise<boolean> {
  const paths = storePaths(dir)
  const next = await readDescriptor(dir, 'nextDescriptor')
  if (next === undefined) return false
  if (stored === undefined || !next.hash.equals(stored.descriptorHash)) {
    // The crash came before its share was written: the ceremony's result has to be installed again.
    await unlink(paths.nextDescriptor)
    return false
  }
  if ((await readDescriptor(dir, 'descriptor'))?.hash.equals(next.hash)) {
    // Installed already: a copy of it, e.g. out of a back-up, must not take a withdrawal back.
    await unlink(paths.nextDescriptor)
    return false
  }
  const { hashHex: descriptorHash } = next
  const { network, epoch } = next.descriptor
  await writeStoreFile(paths.state, stateText({ descriptorHash, decisions: [] }))
  await audit.append({ type: 'epoch-installed', network, epoch, descriptorHash })
  await moveStoreFile(paths.nextDescriptor, paths.descriptor)
  return true
}

/** @throws {McbnError} `MCBN_STORE_INVALID` unless share and descriptor belong together. */
export function checkDescriptor(
  descriptor: VerifiedDescriptor | undefined,
  stored: StoredShare | undefined,
): void {
  if (descriptor === undefined && stored === undefined) return
  if (descriptor && stored && descriptor.hash.equals(stored.descriptorHash)) return
  throw invalid('descriptor.json: expected the one that the share belongs to, got another or none')
}
