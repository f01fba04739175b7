// Making a participant's folder, and putting the outcome of a ceremony into it.

import { isDeepStrictEqual } from 'node:util'
import { Command } from 'commander'
import { type ParticipantKeys, publicKeys } from '../../consent/base/keys.js'
import { CeremonyState } from '../../consent/ceremony/state.js'
import { DESCRIPTOR_MAX_BYTES } from '../../consent/descriptor/descriptor.js'
import { type VerifiedDescriptor, verifySignedDescriptor } from '../../consent/descriptor/signed.js'
import { examplePolicy } from '../../consent/policy/example.js'
import { POLICY_MAX_BYTES } from '../../consent/policy/parse.js'
import { createStore, openStore } from '../../consent/store/open.js'
import { isPostgres } from '../../consent/store/postgres/connection.js'
import { createPostgresStore, openPostgresStore } from '../../consent/store/postgres/postgres.js'
import { readParticipant } from '../../consent/store/reading.js'
import type { ParticipantStore } from '../../consent/store/replicas.js'
import type { StoreLock } from '../../consent/store/seal.js'
import { McbnError } from '../../errors.js'
import { decodeHex } from '../../psk/hex.js'
import { UsageError } from '../exit.js'
import { readInput, shellWord } from './files.js'
import { addLockOptions, type LockFlags, lockWords } from './lock.js'
import { demandLabel } from './network-options.js'
import {
  addFolderOptions,
  type FolderFlags,
  lockOf,
  openKept,
  placeWords,
} from './participant-options.js'
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
    .option('--label <label>', 'your name in the network: 1 to 63 of a-z 0-9 . _ -', demandLabel)
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
  const store = await createKept(dir, lock, { label })
  await store.close()
  const card = isPostgres(dir) ? 'this' : `${dir.replace(/\/$/, '')}/participant.json`
  report(json, { dir: store.name, label, ...store.publicKeys, participant: card }, [
    `${label}: keys made in ${store.name}, sealed`,
    `  Ed25519 ${store.publicKeys.ed25519}`,
    `  X25519  ${store.publicKeys.x25519}`,
    `next: hand ${card} to the others; once the descriptor is signed by all`,
    `  mcbn participant install ${placeWords(dir)} --descriptor <file> --share-file <file>${lockWords(flags)}`,
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
    const store =
      (await begunBy(outcome, dir, lock)) ?? (await createKept(dir, lock, { label, keys }))
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

/** The store that an interrupted attempt of the same participant has made. */
async function begunBy(
  { label, keys }: { readonly label: string; readonly keys: ParticipantKeys },
  dir: string,
  lock: StoreLock,
): Promise<ParticipantStore | undefined> {
  if (isPostgres(dir)) {
    const store = await openPostgresStore(dir, lock, { label }).catch(() => undefined)
    if (store === undefined || isDeepStrictEqual(store.publicKeys, publicKeys(keys))) return store
    await store.close()
    return undefined
  }
  const begun = await readParticipant(dir).catch(() => undefined)
  const isOurs = isDeepStrictEqual(begun?.keys, publicKeys(keys)) && begun?.label === label
  return isOurs ? await openStore(dir, lock) : undefined
}

async function createKept(
  dir: string,
  lock: StoreLock,
  options: { readonly label: string; readonly keys?: ParticipantKeys },
): Promise<ParticipantStore> {
  return isPostgres(dir)
    ? await createPostgresStore(dir, lock, options)
    : await createStore(dir, lock, options)
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
      const store = await openKept(dir, lock)
      try {
        const epoch =
          ceremony === undefined
            ? await filesOf(store.label, descriptor ?? '', shareFile ?? '')
            : await outcomeOf(ceremony, lock)
        try {
          const policy = await policyFor(epoch.descriptor, flags.policy)
          const { share } = epoch
          await store.installEpoch({ descriptor: epoch.descriptor.signed, share, policy }, lock)
        } finally {
          epoch.share.fill(0)
        }
        installed(flags, store, epoch.descriptor, flags.policy === undefined)
      } finally {
        await store.close()
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

async function filesOf(label: string, descriptorFile: string, shareFile: string): Promise<Epoch> {
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
  { name, label }: ParticipantStore,
  { descriptor, hashHex }: VerifiedDescriptor,
  example: boolean,
): void {
  const { network, epoch } = descriptor
  const { dir } = flags
  const policy = isPostgres(dir) ? 'the policy' : `${name.replace(/\/$/, '')}/policy.json`
  report(flags.json, { dir: name, label, network, epoch, descriptorHash: hashHex, policy }, [
    `${label}: share and descriptor of ${network}, epoch ${epoch}, are in ${name}, sealed`,
    `  descriptor ${hashHex}`,
    ...(example ? [`next: edit ${policy}: it releases nothing before it names your projects`] : []),
    `${example ? 'then' : 'next'}:`,
    `  mcbn participant serve ${placeWords(dir)} --listen 127.0.0.1:7001 --web${lockWords(flags)}`,
  ])
}
