// One process a folder: two would count leases apart and break each other's audit.
//
// The kernel keeps the lock, on the file `lock`: it holds across PID namespaces and containers that share the
// folder, and it ends with the process, however that ends. The file stays; nobody has to remove it. Its
// content is for people: it says which process has the folder, or had it last.

import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { loadAddon } from '../../native/load.js'
import { invalid } from './files.js'

/** The process that has a folder, as it described itself. */
interface Holder {
  readonly pid: number
  readonly host: string
  /** RFC 3339. */
  readonly since: string
}

/** Somebody may put another file in the lock's place, but not forever. */
const MOST_ATTEMPTS = 8

/**
 * Takes a folder for this process, or says which process has it.
 *
 * @returns a function that gives it back; harmless when called again.
 * @throws {McbnError} `MCBN_STORE_INVALID` while another process, or this one, has it;
 * `MCBN_ADDON_UNAVAILABLE` where the addon cannot be loaded: Node itself has no lock.
 */
export function lockFolder(folder: string): () => void {
  const { tryLockFile, unlockFile } = loadAddon()
  const path = join(folder, 'lock')
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const fd = openLock(path)
    try {
      if (!tryLockFile(fd)) throw taken(folder, path)
      // A lock on a file that has no name any more keeps nobody out.
      if (!isStillAt(fd, path)) {
        closeSync(fd)
        continue
      }
      note(fd)
    } catch (error) {
      closeSync(fd)
      throw error
    }
    let held = true
    return () => {
      if (!held) return
      held = false
      unlockFile(fd)
      closeSync(fd)
    }
  }
  throw invalid(`${path}: expected a file that stays, got one that others keep replacing`)
}

function openLock(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants
  try {
    return openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600)
  } catch (error) {
    throw invalid(`${path}: expected to be able to open it`, error)
  }
}

function isStillAt(fd: number, path: string): boolean {
  const own = fstatSync(fd)
  const there = statSync(path, { throwIfNoEntry: false })
  return there?.ino === own.ino && there.dev === own.dev
}

function note(fd: number): void {
  const own: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() }
  ftruncateSync(fd)
  writeSync(fd, `${JSON.stringify(own)}\n`, 0)
}

function taken(folder: string, path: string): Error {
  const got = `${folder}: expected nobody to use this folder, got`
  const holder = holderIn(path)
  if (holder === undefined) return invalid(`${got} another process; stop it first`)
  const { pid, host, since } = holder
  const here = host === hostname()
  if (here && pid === process.pid) return invalid(`${got} this process; close it there first`)
  // A number of another PID namespace: it is the one that ran there.
  const where = here ? '' : ` on ${host}`
  return invalid(`${got} process ${pid}${where}, since ${since}; stop it first`)
}

function holderIn(path: string): Holder | undefined {
  try {
    const { pid, host, since } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    if (!Number.isSafeInteger(pid) || !/^[\w.-]{1,255}$/.test(`${host}`)) return undefined
    if (Number.isNaN(Date.parse(`${since}`))) return undefined
    return { pid: Number(pid), host: `${host}`, since: new Date(`${since}`).toISOString() }
  } catch {
    return undefined
  }
}
