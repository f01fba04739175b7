// What opens a folder of secrets: a passphrase from the terminal or a file, or a key file. Never an
// argument: those are visible to all users of the machine.

import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Command } from 'commander'
import { keyCommand } from '../../consent/store/key-command.js'
import type { StoreLock } from '../../consent/store/seal.js'
import { McbnError } from '../../errors.js'
import { Interrupted } from '../exit.js'
import { warnIfExposed } from '../secret-file.js'
import { readInput, shellWord } from './files.js'

export interface LockFlags {
  readonly passphraseFile?: string
  readonly keyFile?: string
  readonly keyCommand?: string
}

/** Adds --passphrase-file, --key-file and --key-command. */
export function addLockOptions(command: Command): Command {
  return command
    .option('--passphrase-file <file>', 'file with the passphrase of the secrets (- reads stdin)')
    .option('--key-file <file>', 'file with 32 or more random bytes that lock the secrets instead')
    .option(
      '--key-command <program>',
      'program that wraps and unwraps the key of the secrets instead: for a KMS or a token (PKCS#11)',
    )
}

/**
 * Reads the lock; asks on the terminal when no option says it.
 *
 * @param ask - `new` asks twice, since a slip would lock the secrets away.
 * @throws {McbnError} `MCBN_OPTION_CONFLICT` for both options, or none without a terminal.
 */
export async function readLock(
  flags: LockFlags,
  ask: 'new' | 'known' = 'known',
): Promise<StoreLock> {
  const { passphraseFile, keyFile, keyCommand: program } = flags
  const given = [passphraseFile, keyFile, program].filter((one) => one !== undefined)
  if (given.length > 1) {
    throw conflict(
      '--key-file: expected one of it, --passphrase-file and --key-command; drop the others',
    )
  }
  if (program !== undefined) return { keyWrapper: keyCommand([program]) }
  if (keyFile !== undefined) {
    await warnIfExposed(keyFile, '--key-file')
    return { keyFile: await readInput(keyFile, '--key-file', 4096) }
  }
  if (passphraseFile !== undefined) {
    await warnIfExposed(passphraseFile, '--passphrase-file')
    const bytes = await readInput(passphraseFile, '--passphrase-file', 1026)
    return { passphrase: withoutLineEnd(bytes) }
  }
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) {
    throw conflict(
      '--passphrase-file: expected it, --key-file or --key-command where there is no terminal to ask on',
    )
  }
  const passphrase = await askHidden('Passphrase for the secrets (8 characters or more): ')
  if (ask === 'new') (await import('../../consent/store/seal.js')).passphraseLength(passphrase)
  if (ask === 'new' && (await askHidden('The same once more: ')) !== passphrase) {
    throw conflict('passphrase: expected the same twice, got two different ones')
  }
  return { passphrase }
}

/** The options again, for a next command that is shown. */
export function lockWords({ passphraseFile, keyFile, keyCommand: program }: LockFlags): string {
  if (program !== undefined) return ` --key-command ${shellWord(program)}`
  if (keyFile !== undefined) return ` --key-file ${shellWord(keyFile)}`
  return passphraseFile === undefined ? '' : ` --passphrase-file ${shellWord(passphraseFile)}`
}

/** Exactly one line end: editors and echo add it. */
function withoutLineEnd(bytes: Buffer): Buffer {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? 2 : 1) : 0
  return bytes.subarray(0, bytes.length - end)
}

/** Shows the question, and nothing of the answer. */
async function askHidden(question: string): Promise<string> {
  process.stderr.write(question)
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true })
  try {
    return await new Promise((resolve, reject) => {
      lines.once('SIGINT', () => reject(new Interrupted('interrupted')))
      lines.once('close', () => reject(conflict('passphrase: expected one, got the end of input')))
      lines.question('', resolve)
    })
  } finally {
    lines.removeAllListeners('close')
    lines.close()
    process.stderr.write('\n')
  }
}

function conflict(message: string): McbnError {
  return new McbnError('MCBN_OPTION_CONFLICT', message)
}
