// Files of a store: what others could read or write is refused, and what is written is there entirely or
// not at all, also after a power failure.

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  chmod,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  stat,
  unlink,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { McbnError } from '../../errors.js'
import { syncFolder, writeNewFile } from '../base/durable-file.js'

/** Bits of a mode that let the group or others in. */
const SHARED = 0o077
const SHARED_WRITE = 0o022
/** Of any file of a store: some names have no extension. */
const TEMPORARY = /^\.[a-z]+(?:\.[a-z]+)*\.[0-9a-f]{16}\.tmp$/
/** What a file held before, until it has been overwritten. */
const REPLACED = /^\.([a-z]+(?:\.[a-z]+)*)\.[0-9a-f]{16}\.old$/

/**
 * Makes a folder that only its owner may enter. An existing one must be like that, and empty except for `leftOvers`:
 * what a process that ended while it made the folder has left.
 */
export async function makeFolder(path: string, leftOvers: readonly string[] = []): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const names = (await readdir(path)).filter(
    (name) => !leftOvers.includes(name) && !TEMPORARY.test(name) && !REPLACED.test(name),
  )
  if (names.length > 0) {
    throw invalid(`${path}: expected an empty folder or none, got one with ${names.length} entries`)
  }
  // What is empty and ours can be closed; mkdir's mode is cut by the umask and ignored where it exists.
  await chmod(path, 0o700)
  await checkFolder(path)
}

/** @throws {McbnError} `MCBN_STORE_INVALID` where somebody else than the owner may enter, or owns it. */
export async function checkFolder(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    throw invalid(`${path}: expected a participant's folder, got ${codeOf(error)}`, error)
  })
  if (!found.isDirectory()) throw invalid(`${path}: expected a folder, got something else`)
  checkOwner(path, found)
  if ((found.mode & SHARED) !== 0) {
    const got = (found.mode & 0o777).toString(8).padStart(4, '0')
    throw invalid(`${path}: expected mode 0700, since it holds secrets, got ${got}; run chmod 700`)
  }
}

export interface ReadOptions {
  readonly mostBytes: number
  /** Whether nobody else may read it either. */
  readonly secret?: boolean
}

/**
 * Reads a file of the store.
 *
 * @returns `undefined` where there is none.
 * @throws {McbnError} `MCBN_STORE_INVALID` for a symbolic link, another owner, a file that others may write
 * (or, if secret, read), or one that is too large.
 */
export async function readStoreFile(
  path: string,
  { mostBytes, secret = false }: ReadOptions,
): Promise<Buffer | undefined> {
  let handle: FileHandle
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw invalid(`${path}: expected a file that can be read, got ${codeOf(error)}`, error)
  }
  try {
    const found = await handle.stat()
    if (!found.isFile()) throw invalid(`${path}: expected a file, got something else`)
    checkOwner(path, found)
    const closed = secret ? SHARED : SHARED_WRITE
    if ((found.mode & closed) !== 0) {
      const who = secret ? 'only its owner can read' : 'only its owner can write'
      throw invalid(`${path}: expected a file that ${who}; run chmod 600`)
    }
    if (found.size > mostBytes) {
      throw invalid(`${path}: expected at most ${mostBytes} bytes, got ${found.size}`)
    }
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

/**
 * Writes a file entirely or not at all: a temporary one beside it, fsync, rename, fsync of the folder.
 *
 * @param shred - overwrites what the file held before, once the new one is in place. That helps where a
 * file system writes in place. It does not reach what an SSD has moved, a journal or a copy-on-write file
 * system keeps, or a back-up has: against those only the sealing helps, see {@link sealSecrets}.
 */
export async function writeStoreFile(
  path: string,
  content: string | Uint8Array,
  { shred = false }: { readonly shred?: boolean } = {},
): Promise<void> {
  const folder = dirname(path)
  const name = path.slice(folder.length + 1)
  const temporary = join(folder, `.${name}.${randomBytes(8).toString('hex')}.tmp`)
  try {
    const before = shred ? await keepBeside(path) : undefined
    await writeNewFile(temporary, content, 0o600)
    await rename(temporary, path)
    await syncFolder(folder)
    if (before !== undefined) await shredAndRemove(before)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw invalid(`${path}: expected to be able to write it, got ${codeOf(error)}`, error)
  }
}

/** Removes a file that may not be there. */
export async function removeStoreFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw invalid(`${path}: expected to be able to remove it, got ${codeOf(error)}`, error)
  }
  await syncFolder(dirname(path))
}

/** Overwrites a file and removes it; it may not be there. */
export async function shredStoreFile(path: string): Promise<void> {
  try {
    await shredAndRemove(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

/** Puts a file in another's place. */
export async function moveStoreFile(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncFolder(dirname(to))
}

/**
 * Removes what a crash in the middle of {@link writeStoreFile} left, and overwrites what it had not come to.
 * Only for the process that holds the store.
 */
export async function removeTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    if (TEMPORARY.test(name)) await shredAndRemove(path)
    const replaced = REPLACED.exec(name)?.[1]
    if (replaced === undefined) continue
    // The crash came before the new file was in place: this is a second name of the one in use.
    if (await isSameFile(path, join(folder, replaced))) await unlink(path)
    else await shredAndRemove(path)
  }
}

/** Gives a file a second name: whatever happens from now on, its bytes can be found and overwritten. */
async function keepBeside(path: string): Promise<string | undefined> {
  const name = path.slice(dirname(path).length + 1)
  const beside = join(dirname(path), `.${name}.${randomBytes(8).toString('hex')}.old`)
  try {
    await link(path, beside)
    return beside
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function isSameFile(left: string, right: string): Promise<boolean> {
  const [one, other] = await Promise.all([stat(left), stat(right).catch(() => undefined)])
  return one.ino === other?.ino && one.dev === other.dev
}

async function shredAndRemove(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW)
  try {
    const { size } = await handle.stat()
    await handle.write(randomBytes(size), 0, size, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await unlink(path)
  await syncFolder(dirname(path))
}

function checkOwner(path: string, { uid }: { readonly uid: number }): void {
  const own = process.getuid?.()
  if (own === undefined || uid === own) return
  throw invalid(`${path}: expected it to belong to this user (${own}), got user ${uid}`)
}

function codeOf(error: unknown): string {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' ? code : 'another error'
}

export function invalid(message: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_STORE_INVALID', message, cause === undefined ? {} : { cause })
}
