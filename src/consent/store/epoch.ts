// Several files change when an epoch is installed, and a crash can come between any two of them.
//
//   policy.next, descriptor.next written -> secrets replaced -> state emptied -> audit -> policy.next and
//   descriptor.next renamed
//   |--------- the old epoch -----------|------------- the new epoch, finished when opened -------------|

import type { AuditLog } from '../audit/log.js'
import type { ParticipantPublicKeys } from '../base/keys.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { stateText } from './documents.js'
import { invalid, moveStoreFile, removeStoreFile, writeStoreFile } from './files.js'
import type { History } from './history.js'
import { readDescriptor, readPolicyFile, storePaths } from './reading.js'
import type { StoredShare } from './secrets.js'

/**
 * The second half of installing an epoch, also after a crash between the two: state, audit, policy,
 * descriptor. Done again it does no harm, and the descriptor's rename is what ends it.
 *
 * @param history - what the audit tells: its line is not written twice.
 */
export async function finishInstalling(
  dir: string,
  stored: StoredShare | undefined,
  audit: AuditLog,
  history: History,
): Promise<void> {
  const paths = storePaths(dir)
  const next = await readDescriptor(dir, 'nextDescriptor')
  const known = next && (await readDescriptor(dir, 'descriptor'))?.hash.equals(next.hash)
  // Not the share's: the crash came before that was written, and the ceremony's result has to be installed
  // again. Installed already: a copy of it, e.g. out of a back-up, must not take a withdrawal back.
  if (next === undefined || known || !stored || !next.hash.equals(stored.descriptorHash)) {
    await removeStoreFile(paths.nextDescriptor)
    await removeStoreFile(paths.nextPolicy)
    return
  }
  const { hashHex: descriptorHash } = next
  const { network, epoch } = next.descriptor
  const policy = await readPolicyFile(dir, 'nextPolicy')
  await writeStoreFile(paths.state, stateText({ descriptorHash, decisions: [] }))
  if (history.installed !== descriptorHash) {
    const policyHash = policy?.policyHash
    await audit.append({ type: 'epoch-installed', network, epoch, descriptorHash, policyHash })
    history.beginEpoch(descriptorHash)
  }
  if (policy !== undefined) await moveStoreFile(paths.nextPolicy, paths.policy)
  await moveStoreFile(paths.nextDescriptor, paths.descriptor)
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

/** @throws {McbnError} `MCBN_STORE_INVALID` unless a descriptor can follow the one that is installed. */
export function checkNext(
  next: VerifiedDescriptor,
  {
    label,
    publicKeys,
    descriptor,
  }: {
    readonly label: string
    readonly publicKeys: ParticipantPublicKeys
    readonly descriptor: VerifiedDescriptor | undefined
  },
): void {
  const listed = next.participant(label)
  const { ed25519, x25519 } = publicKeys
  if (listed?.ed25519 !== ed25519 || listed.x25519 !== x25519) {
    throw invalid(`descriptor: expected ${label} with the keys of this store, got none or others`)
  }
  const before = descriptor?.descriptor
  if (before === undefined) return
  const { network, epoch } = next.descriptor
  if (network !== before.network) {
    throw invalid(
      'descriptor: network: expected the one of this store, got another; make a new store',
    )
  }
  if (epoch <= before.epoch) {
    throw invalid(`descriptor: epoch: expected a later one than ${before.epoch}, got ${epoch}`)
  }
}
