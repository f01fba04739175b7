// What all commands of mcbn participant have in common.

import type { Command } from 'commander'
import type { StoreLock } from '../../consent/store/seal.js'
import { type LockFlags, readLock } from './lock.js'

export interface FolderFlags {
  readonly dir: string
  readonly json?: boolean
}

export function addFolderOptions(command: Command): Command {
  return command
    .requiredOption('--dir <folder>', "the participant's folder")
    .option('--json', 'JSON instead of sentences')
}

/** Names a file with the passphrase, where no option does. */
export const PASSPHRASE_FILE_VARIABLE = 'MCBN_PASSPHRASE_FILE'

/** Reads what opens the folder: an option, else the file of the environment, else it is asked for. */
export async function lockOf(flags: LockFlags, ask: 'new' | 'known' = 'known'): Promise<StoreLock> {
  const fromEnvironment = process.env[PASSPHRASE_FILE_VARIABLE]
  const given = flags.passphraseFile !== undefined || flags.keyFile !== undefined
  if (given || fromEnvironment === undefined || fromEnvironment === '') return readLock(flags, ask)
  return await readLock({ passphraseFile: fromEnvironment }, ask)
}
