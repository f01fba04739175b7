// Files and standard input on the command line of consent, bounded, with the option's name in every error.

import { open, readFile, stat } from 'node:fs/promises'
import { readWithin } from '../../consent/base/read-within.js'
import { McbnError } from '../../errors.js'

/**
 * Reads a file that an option names; `-` is standard input.
 *
 * @param option - e.g. `--key-file`, for messages.
 * @param most - bytes.
 * @returns fresh bytes; the caller wipes them where they are secret.
 * @throws {McbnError} `MCBN_OPTION_RANGE` when it cannot be read, or is longer.
 */
export async function readInput(path: string, option: string, most: number): Promise<Buffer> {
  if (path === '-') return await readStdin(option, most)
  try {
    const { size } = await stat(path)
    if (size > most) throw tooLong(option, most)
    return await readFile(path)
  } catch (cause) {
    if (cause instanceof McbnError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new McbnError('MCBN_OPTION_RANGE', `${option}: cannot be read: ${reason}`, { cause })
  }
}

/**
 * Writes a new file; one that is there stays as it is.
 *
 * @param mode - 0o600 for what is secret, 0o644 for what is not.
 * @throws {McbnError} `MCBN_OPTION_RANGE` when it is there already, or cannot be written.
 */
export async function writeNew(
  path: string,
  option: string,
  bytes: Uint8Array | string,
  mode: 0o600 | 0o644,
): Promise<void> {
  try {
    const handle = await open(path, 'wx', mode)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new McbnError('MCBN_OPTION_RANGE', `${option}: cannot write a new file: ${reason}`, {
      cause,
    })
  }
}

/** One argument as a shell takes it, for commands that are shown to be typed. */
export function shellWord(text: string): string {
  return /^[\w./:@=,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

async function readStdin(option: string, most: number): Promise<Buffer> {
  const bytes = await readWithin(process.stdin as AsyncIterable<Buffer>, most)
  if (bytes === undefined) throw tooLong(option, most)
  return bytes
}

function tooLong(option: string, most: number): McbnError {
  return new McbnError('MCBN_OPTION_RANGE', `${option}: expected at most ${most} bytes, got more`)
}
