// A key service by a program of the participant's: `program wrap` and `program unwrap`, bytes in and bytes out.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { McbnError } from '../../errors.js'
import { secretBytes, secretCopy } from '../../secret-bytes.js'
import type { KeyWrapper } from './seal.js'
import { WRAPPED_MAX_BYTES } from './sealed-file.js'

/** Milliseconds: a service in the network, or a person who touches a token. */
const TIMEOUT_MS = 60_000

/**
 * Wraps keys by a program. It is run without a shell, with the argument `wrap` (a key of 32 bytes on standard input,
 * on standard output what only the service can make that key of again, at most 4,096 bytes) or `unwrap` (the other
 * way round). It ends with 0 within a minute; what it says on standard error is passed on.
 *
 * @param command - the program, and arguments before `wrap` or `unwrap`.
 */
export function keyCommand(command: readonly [string, ...string[]]): KeyWrapper {
  return {
    wrap: async (key) => await ran(command, 'wrap', key),
    unwrap: async (wrapped) => await ran(command, 'unwrap', wrapped),
  }
}

async function ran(
  [program, ...args]: readonly [string, ...string[]],
  what: 'wrap' | 'unwrap',
  input: Uint8Array,
): Promise<Buffer> {
  const child = spawn(program, [...args, what], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Its group: what it has started ends with it.
    detached: true,
  })
  // It may end without reading.
  child.stdin.on('error', () => undefined)
  // Not the caller's bytes: they are wiped before the pipe has taken them, or after.
  const given = secretCopy(input)
  child.stdin.end(given, () => given.fill(0))
  const chunks: Buffer[] = []
  try {
    await ended(child, program, what, chunks)
    const all = secretBytes(chunks.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const chunk of chunks) at += chunk.copy(all, at)
    return all
  } finally {
    for (const chunk of chunks) chunk.fill(0)
    given.fill(0)
  }
}

async function ended(
  child: ChildProcessByStdio<Writable, Readable, null>,
  program: string,
  what: string,
  chunks: Buffer[],
): Promise<void> {
  const failed = (got: string, cause?: unknown): McbnError =>
    new McbnError(
      'MCBN_STORE_INVALID',
      `${program} ${what}: expected a key service that answers, got ${got}`,
      cause === undefined ? {} : { cause },
    )
  const kill = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
  const impatient = setTimeout(kill, TIMEOUT_MS)
  await new Promise<void>((resolve, reject) => {
    let length = 0
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= WRAPPED_MAX_BYTES) return void chunks.push(chunk)
      chunk.fill(0)
      kill()
    })
    child.once('error', (error) => reject(failed(`${Object(error).code ?? 'no program'}`, error)))
    child.once('close', (code, signal) => {
      if (length > WRAPPED_MAX_BYTES) return reject(failed(`more than ${WRAPPED_MAX_BYTES} bytes`))
      if (code === 0) return resolve()
      reject(failed(code === null ? `an end by ${signal}` : `exit code ${code}`))
    })
  }).finally(() => clearTimeout(impatient))
}
