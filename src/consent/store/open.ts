import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { AuditLog } from '../audit/log.js'
import type { Clock } from '../base/clock.js'
import { systemClock } from '../base/clock.js'
import { generateParticipantKeys, type ParticipantKeys, publicKeys } from '../base/keys.js'
import { checkState, jsonText, parseParticipant, stateText } from './documents.js'
import { checkDescriptor, finishInstalling } from './epoch.js'
import {
  checkFolder,
  invalid,
  makeFolder,
  readStoreFile,
  removeTemporaries,
  writeStoreFile,
} from './files.js'
import { History } from './history.js'
import { lockFolder } from './process-lock.js'
import {
  readDescriptor,
  readParticipant,
  readPolicyFile,
  readState,
  storePaths,
} from './reading.js'
import type { StoreLock } from './seal.js'
import type { StoredSecrets } from './secrets.js'
import { readSecrets, writeSecrets } from './secrets-file.js'
import { Store } from './store.js'

export type { StoreReading } from './reading.js'
export { readStore } from './reading.js'

export interface OpenStoreOptions {
  /** Whether the audit waits for the disk, see `AuditLog`. @defaultValue true */
  readonly fsync?: boolean
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
}

const OPEN_OPTIONS = {
  fsync: undefined,
  clock: undefined,
} as const satisfies OptionTable<OpenStoreOptions>

export interface CreateStoreOptions extends OpenStoreOptions {
  /** 1 to 63 of `a-z 0-9 . _ -`, the first a letter or digit. */
  readonly label: string
  /** @defaultValue fresh ones */
  readonly keys?: ParticipantKeys
}

const CREATE_OPTIONS = {
  ...OPEN_OPTIONS,
  label: undefined,
  keys: undefined,
} as const satisfies OptionTable<CreateStoreOptions>

/**
 * Makes a participant's folder with its keys; share and descriptor come later, with {@link Store.installEpoch}.
 *
 * @param dir - made with mode 0700; an existing one has to be empty.
 * @throws {McbnError} `MCBN_STORE_INVALID`; for an unusable lock as `sealSecrets` says.
 */
export async function createStore(
  dir: string,
  lock: StoreLock,
  options: CreateStoreOptions,
): Promise<Store> {
  refuseUnknown('createStore', options, CREATE_OPTIONS)
  const { label, keys = generateParticipantKeys() } = options
  const text = jsonText({ version: 'mcbn/1', label, keys: publicKeys(keys) })
  const document = parseParticipant(Buffer.from(text))
  const own = ['lock', 'secrets.json', 'state.json']
  await makeFolder(dir, own)
  const unlock = lockFolder(dir)
  const { fsync, clock } = options
  let store: Store
  try {
    // Another process may have made it before this one had the lock.
    await makeFolder(dir, own)
    const paths = storePaths(dir)
    await writeSecrets(dir, { keys, stored: undefined }, lock, document)
    await writeStoreFile(paths.state, stateText({ decisions: [] }))
    // Last: a folder without it is not a store, so one half made is never taken for one.
    await writeStoreFile(paths.participant, text)
    const rest = { ...(fsync !== undefined && { fsync }), ...(clock && { clock }) }
    store = await openLocked(dir, lock, rest, unlock)
  } catch (error) {
    unlock()
    throw error
  }
  return store
}

/**
 * Opens a participant's folder for this process alone; close it again.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` for a wrong lock, altered files, a folder or file that others can
 * get at, or while another process has it open; `MCBN_AUDIT_BROKEN`, `MCBN_POLICY_INVALID`,
 * `MCBN_DESCRIPTOR_INVALID` naming what is wrong with those.
 */
export async function openStore(
  dir: string,
  lock: StoreLock,
  options: OpenStoreOptions = {},
): Promise<Store> {
  refuseUnknown('openStore', options, OPEN_OPTIONS)
  await checkFolder(dir)
  const moved = await readStoreFile(storePaths(dir).moved, { mostBytes: 4_096 })
  if (moved !== undefined) {
    throw invalid(
      `${dir}: expected a participant, got one that was moved to ${moved.toString().trim()}; if that was interrupted, type mcbn participant move again`,
    )
  }
  return await openToMove(dir, lock, options)
}

/** Opens a folder whether or not its participant was being moved out of it. @internal */
export async function openToMove(
  dir: string,
  lock: StoreLock,
  options: OpenStoreOptions = {},
): Promise<Store> {
  await checkFolder(dir)
  const unlock = lockFolder(dir)
  try {
    return await openLocked(dir, lock, options, unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

/** Opens what is locked, and finishes what a process before has begun. */
async function openLocked(
  dir: string,
  lock: StoreLock,
  { fsync = true, clock = systemClock }: OpenStoreOptions,
  unlock: () => void,
): Promise<Store> {
  let secrets: StoredSecrets | undefined
  let audit: AuditLog | undefined
  try {
    await removeTemporaries(dir)
    const document = await readParticipant(dir)
    secrets = await readSecrets(dir, lock, document)
    const history = new History()
    const { label } = document
    audit = await AuditLog.open(storePaths(dir).audit, {
      ...{ fsync, clock, onLine: (line) => history.hear(line) },
      checkpoints: {
        ...{ label, privateKey: secrets.keys.ed25519, carry: (now) => history.carry(now) },
      },
    })
    if (!history.created) await audit.append({ type: 'created', label: document.label })
    await finishInstalling(dir, secrets.stored, audit, history)
    const descriptor = await readDescriptor(dir, 'descriptor')
    checkDescriptor(descriptor, secrets.stored)
    const state = await readState(dir)
    checkState(state, document.label, descriptor)
    if (history.withdrawn && state.withdrawal === undefined) {
      throw invalid(
        'state.json: expected the withdrawal that the audit tells of, got a state without',
      )
    }
    for (const line of history.missing(state)) await audit.append(line)
    const policy = await readPolicyFile(dir)
    const leases = history.leases(clock.wall())
    return new Store({ dir, document, secrets, descriptor, state, policy, audit, leases, unlock })
  } catch (error) {
    secrets?.stored?.share.fill(0)
    await audit?.close()
    throw error
  }
}
