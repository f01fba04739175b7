// One process a store: two would count leases apart and break each other's audit.
//
// Node has no flock(2), so this is a file `lock` that names its holder: process id, when that process
// started and when the machine did (so that a process id used again is not taken for the holder), and the
// host's name (so that nobody judges processes that it cannot see, such as another container's or another
// machine's on a shared disk). It appears whole or not at all, by link(2). A holder that is dead is
// replaced by whoever makes the folder `lock.takeover` first; it is there for some microseconds.

import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { invalid } from './files.js'

interface Holder {
  readonly pid: number
  /** As /proc tells it, in clock ticks since boot; empty where there is no /proc. */
  readonly started: string
  /** The kernel's boot id; empty where there is none. */
  readonly boot: string
  readonly host: string
}

/**
 * Takes the store, or says who has it.
 *
 * @returns gives it back; harmless when called again.
 * @throws {McbnError} `MCBN_STORE_INVALID` while another process, or this one, has it.
 */
export function lockStore(folder: string): () => void {
  const path = join(folder, 'lock')
  const own: Holder = {
    pid: process.pid,
    started: startOf(process.pid),
    boot: bootId(),
    host: hostname(),
  }
  if (!put(folder, path, own)) {
    takeOver(folder, path, own)
  }
  let held = true
  return () => {
    if (held) unlinkSync(path)
    held = false
  }
}

/** Replaces a dead holder. Everything in here is synchronous, and under the folder's protection. */
function takeOver(folder: string, path: string, own: Holder): void {
  refuseWhileAlive(path, own)
  const takeover = join(folder, 'lock.takeover')
  try {
    mkdirSync(takeover)
  } catch {
    throw invalid(
      `${takeover}: expected none; another process is taking this store right now, or died doing so: if no such process runs, remove this empty folder`,
    )
  }
  try {
    // Somebody else may have taken it over, or given it back, since it was read.
    refuseWhileAlive(path, own)
    unlinkIfThere(path)
    if (!put(folder, path, own)) throw invalid(`${path}: another process has just taken this store`)
  } finally {
    rmdirSync(takeover)
  }
}

function refuseWhileAlive(path: string, own: Holder): void {
  const holder = read(path)
  if (holder === undefined) return
  if (holder.host !== own.host) {
    throw invalid(
      `${path}: expected nobody to use this store, got process ${holder.pid} on host ${holder.host}; whether it still runs cannot be seen from here: if it does not, remove the file`,
    )
  }
  if (!isAlive(holder, own)) return
  const who = holder.pid === own.pid ? 'this process' : `process ${holder.pid}`
  throw invalid(`${path}: expected nobody to use this store, got ${who}; stop it first`)
}

function isAlive(holder: Holder, own: Holder): boolean {
  if (holder.boot !== own.boot) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if ((error as { code?: string }).code === 'ESRCH') return false
  }
  return startOf(holder.pid) === holder.started
}

/** @returns whether there was none. */
function put(folder: string, path: string, own: Holder): boolean {
  const temporary = join(folder, `.lock.${randomBytes(8).toString('hex')}.tmp`)
  writeFileSync(temporary, JSON.stringify(own), { flag: 'wx', mode: 0o600 })
  try {
    linkSync(temporary, path)
    return true
  } catch (error) {
    if ((error as { code?: string }).code === 'EEXIST') return false
    throw invalid(`${path}: expected to be able to create it`, error)
  } finally {
    unlinkSync(temporary)
  }
}

function read(path: string): Holder | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  try {
    const { pid, started, boot, host } = JSON.parse(text) as Record<string, unknown>
    if (!Number.isSafeInteger(pid) || Number(pid) < 1) throw new TypeError('pid')
    return { pid: Number(pid), started: String(started), boot: String(boot), host: String(host) }
  } catch {
    throw invalid(
      `${path}: expected the lock of a process, got something else; remove it if none runs`,
    )
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error
  }
}

/** Field 22 of /proc/<pid>/stat (proc(5)); the name before it can hold spaces and brackets. */
function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}
