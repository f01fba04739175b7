// What all commands of mcbn participant have in common.

import type { Command } from 'commander'
import { isPostgres, nameOf } from '../../consent/store/postgres/connection.js'
import type { ParticipantStore } from '../../consent/store/replicas.js'
import type { StoreLock } from '../../consent/store/seal.js'
import { UsageError } from '../exit.js'
import { shellWord } from './files.js'
import { type LockFlags, readLock } from './lock.js'

export interface FolderFlags {
  /** A folder, or the address that --store gave. */
  readonly dir: string
  readonly json?: boolean
}

export function addFolderOptions(command: Command): Command {
  return command
    .option('--dir <folder>', "the participant's folder")
    .option(
      '--store <postgres://…>',
      'the database that has the participant, instead of a folder (or the variable MCBN_STORE)',
    )
    .option('--json', 'JSON instead of sentences')
    .hook('preAction', (_, action) => {
      const { dir, store } = action.opts<{ readonly dir?: string; readonly store?: string }>()
      // A command line is seen by everybody on the machine, a password in it too.
      const url = store ?? (dir === undefined ? process.env['MCBN_STORE'] : undefined)
      if ((dir === undefined) === (url === undefined)) {
        throw new UsageError('expected either --dir <folder> or --store postgres://…')
      }
      if (url === undefined) return
      if (!isPostgres(url)) throw new UsageError('--store: expected postgres://…')
      action.setOptionValue('dir', url)
    })
}

/** What to type to reach the same participant; never a password. */
export function placeWords(dir: string): string {
  return isPostgres(dir) ? `--store ${shellWord(nameOf(dir))}` : `--dir ${shellWord(dir)}`
}

/** Opens a participant wherever it is kept. What that needs is loaded now: who asks a running participant needs none of it. */
export async function openKept(dir: string, lock: StoreLock): Promise<ParticipantStore> {
  if (isPostgres(dir)) {
    const { openPostgresStore } = await import('../../consent/store/postgres/postgres.js')
    return await openPostgresStore(dir, lock)
  }
  const { openStore } = await import('../../consent/store/open.js')
  return await openStore(dir, lock)
}

/** Reads what opens the folder: an option, else a file that the environment names, else it is asked for. */
export async function lockOf(flags: LockFlags, ask: 'new' | 'known' = 'known'): Promise<StoreLock> {
  const { passphraseFile, keyFile, keyCommand } = flags
  if ([passphraseFile, keyFile, keyCommand].some((flag) => flag !== undefined)) {
    return await readLock(flags, ask)
  }
  const { MCBN_PASSPHRASE_FILE, MCBN_KEY_FILE, MCBN_KEY_COMMAND } = process.env
  const named = {
    ...(MCBN_PASSPHRASE_FILE && { passphraseFile: MCBN_PASSPHRASE_FILE }),
    ...(MCBN_KEY_FILE && { keyFile: MCBN_KEY_FILE }),
    ...(MCBN_KEY_COMMAND && { keyCommand: MCBN_KEY_COMMAND }),
  }
  return await readLock(named, ask)
}
