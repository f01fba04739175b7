// Files of a store: what others could read or write is refused, and what is written is there entirely or
// not at all, also after a power failure.

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  chmod,
  type FileHandle,
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
/** Not those of the lock: another process may be at it. */
const TEMPORARY = /^\.[a-z]+\.[a-z.]+\.[0-9a-f]{16}\.tmp$/

/** Makes a folder that only its owner may enter; an existing one has to be so and empty. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const names = await readdir(path)
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
  const before = shred ? await openForShredding(path) : undefined
  try {
    await writeNewFile(temporary, content, 0o600)
    await rename(temporary, path)
    await syncFolder(folder)
    if (before !== undefined) await overwrite(before)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw invalid(`${path}: expected to be able to write it, got ${codeOf(error)}`, error)
  } finally {
    await before?.close()
  }
}

/** Puts a file in another's place. */
export async function moveStoreFile(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncFolder(dirname(to))
}

/** Removes what a crash in the middle of {@link writeStoreFile} left. Only for who holds the store. */
export async function removeTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (TEMPORARY.test(name)) await unlink(join(folder, name))
  }
}

async function openForShredding(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDWR | constants.O_NOFOLLOW)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function overwrite(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat()
  await handle.write(randomBytes(size), 0, size, 0)
  await handle.sync()
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
