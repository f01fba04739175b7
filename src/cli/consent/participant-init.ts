// Making a participant's folder, and putting the outcome of a ceremony into it.

import { isDeepStrictEqual } from 'node:util'
import { Command } from 'commander'
import { type ParticipantKeys, publicKeys } from '../../consent/base/keys.js'
import { CeremonyState } from '../../consent/ceremony/state.js'
import { DESCRIPTOR_MAX_BYTES } from '../../consent/descriptor/descriptor.js'
import { type VerifiedDescriptor, verifySignedDescriptor } from '../../consent/descriptor/signed.js'
import { examplePolicy } from '../../consent/policy/example.js'
import { POLICY_MAX_BYTES } from '../../consent/policy/parse.js'
import { createStore, openStore, readStore } from '../../consent/store/open.js'
import { readParticipant } from '../../consent/store/reading.js'
import type { StoreLock } from '../../consent/store/seal.js'
import type { Store } from '../../consent/store/store.js'
import { McbnError } from '../../errors.js'
import { decodeHex } from '../../psk/hex.js'
import { UsageError } from '../exit.js'
import { readInput, shellWord } from './files.js'
import { addLockOptions, type LockFlags, lockWords } from './lock.js'
import { addFolderOptions, type FolderFlags, lockOf } from './participant-options.js'
import { policyToBegin, toEdit } from './policy-to-begin.js'
import { report } from './report.js'

interface InitFlags extends FolderFlags, LockFlags {
  readonly label?: string
  readonly ceremony?: string
  readonly policy?: string
  readonly verifyImage?: readonly string[]
  readonly localIssuer?: string
}

export function initCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('init')))
    .summary('make your folder, with new keys or those of your ceremony')
    .description(
      'Make your folder. With --ceremony: keys, share and descriptor of a finished ceremony (whose folder is\n' +
        'locked the same way), and a policy to begin with, which releases nothing before you have edited it.\n' +
        'With --label: new keys; share and descriptor come later, by mcbn participant install.',
    )
    .option('--label <label>', 'your name in the network: 1 to 63 of a-z 0-9 . _ -')
    .option('--ceremony <folder>', 'your folder of a finished ceremony')
    .option('--policy <file>', 'your policy, instead of one to begin with')
    .option(
      '--verify-image <layout...>',
      'build the images again before you rely on them (<layout>=<dir> for a layout with its own program); the\npolicy gets their arguments and environment',
    )
    .option(
      '--local-issuer <file>',
      'believe mcbn attester local, which proves nothing: to try it on a laptop',
    )
    .action(async (flags: InitFlags) => {
      const { ceremony, label, policy } = flags
      const example = flags.verifyImage ?? flags.localIssuer
      if (example !== undefined && (ceremony === undefined || policy !== undefined)) {
        throw new UsageError(
          '--verify-image, --local-issuer: expected with --ceremony and without --policy, for a policy to begin with',
        )
      }
      if ((ceremony === undefined) === (label === undefined)) {
        throw new UsageError('init: expected either --ceremony or --label')
      }
      if (policy !== undefined && ceremony === undefined) {
        throw new UsageError('--policy: expected with --ceremony; a policy needs a descriptor')
      }
      const lock = await lockOf(flags, ceremony === undefined ? 'new' : 'known')
      if (ceremony === undefined) return await initWithKeys(flags, label ?? '', lock)
      return await initFromCeremony(flags, ceremony, lock)
    })
}

async function initWithKeys(flags: InitFlags, label: string, lock: StoreLock): Promise<void> {
  const { dir, json } = flags
  const store = await createStore(dir, lock, { label })
  await store.close()
  const card = `${dir.replace(/\/$/, '')}/participant.json`
  report(json, { dir, label, ...store.publicKeys, participant: card }, [
    `${label}: keys made in ${dir}, sealed`,
    `  Ed25519 ${store.publicKeys.ed25519}`,
    `  X25519  ${store.publicKeys.x25519}`,
    `next: hand ${card} to the others; once the descriptor is signed by all`,
    `  mcbn participant install --dir ${shellWord(dir)} --descriptor <file> --share-file <file>${lockWords(flags)}`,
  ])
}

async function initFromCeremony(flags: InitFlags, folder: string, lock: StoreLock): Promise<void> {
  const { dir } = flags
  const outcome = await outcomeOf(folder, lock)
  try {
    const policy =
      flags.policy === undefined
        ? await policyToBegin(outcome.descriptor, flags)
        : await policyFor(outcome.descriptor, flags.policy)
    const { label, keys } = outcome
    // Made by an attempt that was interrupted: it goes on from there.
    const begun = await readStore(dir).catch(() => undefined)
    const isOurs = isDeepStrictEqual(begun?.publicKeys, publicKeys(keys)) && begun?.label === label
    const store = isOurs
      ? await openStore(dir, lock)
      : await createStore(dir, lock, { label, keys })
    try {
      await store.installEpoch({ ...outcome, descriptor: outcome.descriptor.signed, policy }, lock)
    } finally {
      await store.close()
    }
    installed(flags, store, outcome.descriptor, toEdit(flags))
  } finally {
    outcome.share.fill(0)
  }
}

interface InstallFlags extends FolderFlags, LockFlags {
  readonly ceremony?: string
  readonly descriptor?: string
  readonly shareFile?: string
  readonly policy?: string
}

export function installCommand(): Command {
  return addLockOptions(addFolderOptions(new Command('install')))
    .summary('put share and descriptor of a new epoch in place')
    .description(
      'Put share and descriptor in place, the first or those of the next epoch; the old share is overwritten,\n' +
        'approvals and a withdrawal were about the old epoch and go. Stop mcbn participant serve first. May be\n' +
        'interrupted and typed again at any time: the folder is entirely at the old or at the new epoch.',
    )
    .option('--ceremony <folder>', 'your folder of a finished ceremony, locked the same way')
    .option('--descriptor <file>', 'the descriptor, signed by all')
    .option('--share-file <file>', 'your share, 64 lower-case hex digits (- reads standard input)')
    .option('--policy <file>', 'your policy, instead of one to begin with')
    .action(async (flags: InstallFlags) => {
      const { dir, ceremony, descriptor, shareFile } = flags
      const byFile = descriptor !== undefined && shareFile !== undefined
      const oneFile = descriptor !== undefined || shareFile !== undefined
      if (byFile === (ceremony !== undefined) || (oneFile && !byFile)) {
        throw new UsageError(
          'install: expected either --ceremony, or --descriptor and --share-file',
        )
      }
      const lock = await lockOf(flags)
      const epoch =
        ceremony === undefined
          ? await filesOf(dir, descriptor ?? '', shareFile ?? '')
          : await outcomeOf(ceremony, lock)
      try {
        const policy = await policyFor(epoch.descriptor, flags.policy)
        const store = await openStore(dir, lock)
        try {
          const { share } = epoch
          await store.installEpoch({ descriptor: epoch.descriptor.signed, share, policy }, lock)
        } finally {
          await store.close()
        }
        installed(flags, store, epoch.descriptor, flags.policy === undefined)
      } finally {
        epoch.share.fill(0)
      }
    })
}

interface Epoch {
  readonly descriptor: VerifiedDescriptor
  /** Wiped by the caller. */
  readonly share: Buffer
}

async function outcomeOf(
  folder: string,
  lock: StoreLock,
): Promise<Epoch & { readonly label: string; readonly keys: ParticipantKeys }> {
  const { ceremony, card, keys } = await CeremonyState.read(folder, lock)
  if (ceremony === undefined || !ceremony.finished) {
    throw new McbnError(
      'MCBN_CEREMONY_INVALID',
      `--ceremony: expected a finished ceremony, got one that is not; see mcbn ceremony status ${shellWord(folder)}`,
    )
  }
  const { descriptor, share } = ceremony.result()
  return { label: card.label, keys, descriptor, share }
}

async function filesOf(dir: string, descriptorFile: string, shareFile: string): Promise<Epoch> {
  const { label } = await readParticipant(dir)
  const bytes = await readInput(descriptorFile, '--descriptor', DESCRIPTOR_MAX_BYTES)
  const descriptor = verifySignedDescriptor(bytes)
  const text = await readInput(shareFile, '--share-file', 128)
  try {
    // Exactly one line end: editors and echo add it.
    const digits = text.toString('latin1').replace(/\r?\n$/, '')
    const name = `--share-file: share of ${label}`
    return { descriptor, share: decodeHex(digits, name, 'MCBN_SHARE_INVALID', 'lower', label) }
  } finally {
    text.fill(0)
  }
}

async function policyFor(
  descriptor: VerifiedDescriptor,
  file: string | undefined,
): Promise<unknown> {
  if (file === undefined) return examplePolicy(descriptor)
  return await readInput(file, '--policy', POLICY_MAX_BYTES)
}

function installed(
  flags: FolderFlags & LockFlags,
  { dir, label }: Store,
  { descriptor, hashHex }: VerifiedDescriptor,
  example: boolean,
): void {
  const { network, epoch } = descriptor
  const policy = `${dir.replace(/\/$/, '')}/policy.json`
  report(flags.json, { dir, label, network, epoch, descriptorHash: hashHex, policy }, [
    `${label}: share and descriptor of ${network}, epoch ${epoch}, are in ${dir}, sealed`,
    `  descriptor ${hashHex}`,
    ...(example ? [`next: edit ${policy}: it releases nothing before it names your projects`] : []),
    `${example ? 'then' : 'next'}:`,
    `  mcbn participant serve --dir ${shellWord(dir)} --listen 127.0.0.1:7001 --web${lockWords(flags)}`,
  ])
}
