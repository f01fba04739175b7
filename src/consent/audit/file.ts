// The files behind an audit. Lines count as written when the disk has them; what a crash left unfinished
// is set aside where a person sees it.

import { randomBytes } from 'node:crypto'
import { constants, fstatSync } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { McbnError } from '../../errors.js'
import { syncFolder, writeNewFile } from '../base/durable-file.js'
import { type AuditHead, type AuditLine, broken, EMPTY_CHAIN } from './chain.js'
import { type CheckpointKey, isCheckpointOf } from './checkpoint.js'
import { reason, type WalkFrom, walk } from './read.js'
import { bytesOf, newlinesIn, type Segment, segmentPath, segmentsOf, tailOf } from './segments.js'
import { verified } from './verify.js'

/** Where lines go. */
export interface AuditSink {
  /** Adds whole lines; resolves when they are kept. On an error none of them is. */
  add(bytes: Buffer): Promise<void>
  /** Goes on in a new segment that begins with these lines. On an error the one before stays in use. */
  begin(bytes: Buffer, first: number): Promise<void>
  /** What comes before the first line that is kept. */
  readonly from: WalkFrom
  /** The last whole lines, oldest first, without newlines. */
  last(most: number): Promise<Buffer[]>
  /** Kept lines, among them this one if it is kept. */
  around(line: number): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  /** The kept lines, from the first; not what is added later. */
  read(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  close(): Promise<void>
}

/** What was found when an audit was opened. */
export interface OpenedFile {
  readonly sink: AuditSink
  readonly head: AuditHead
  /** Lines behind the last checkpoint, and how many that one carried. */
  readonly sinceCheckpoint: number
  readonly carried: number
  /** An unfinished last line, already moved to its own file beside it. */
  readonly setAside?: { readonly file: string; readonly bytes: number }
}

interface Hear {
  readonly onLine: ((line: AuditLine) => void) | undefined
  /** Whose checkpoints count; absent: every line is read. */
  readonly signedBy: CheckpointKey | undefined
}

/**
 * Linux alone lets a file be opened so that each write waits for the disk as fdatasync does: one turn through the
 * thread pool instead of two. What macOS calls the same does not ask the disk to empty its cache.
 */
const WRITES_WAIT = process.platform === 'linux'

/** @param more - flags of open(2) besides. */
async function openToAdd(path: string, fsync: boolean, more = 0): Promise<FileHandle> {
  const { O_RDWR, O_APPEND, O_NOFOLLOW, O_DSYNC } = constants
  const waiting = fsync && WRITES_WAIT ? O_DSYNC : 0
  return await open(path, O_RDWR | O_APPEND | O_NOFOLLOW | waiting | more, 0o600)
}

/** Opens or creates an audit, verifying all of it that is not behind a signed checkpoint. */
export async function openAuditFile(
  path: string,
  fsync: boolean,
  { onLine, signedBy }: Hear,
): Promise<OpenedFile> {
  const segments = await segmentsOf(path)
  const current = segments.at(-1) ?? { path, first: 1 }
  const before = segments.slice(0, -1)
  const handle = await openToAdd(current.path, fsync, constants.O_CREAT).catch((error: unknown) => {
    throw unwritable('cannot be opened', error)
  })
  try {
    const { size } = await handle.stat()
    let head = EMPTY_CHAIN
    if (signedBy === undefined) {
      for await (const step of verified(bytesOf(before), {})) {
        onLine?.(step.line)
        head = step.head
      }
    }
    const known = current.first === 1 || signedBy === undefined
    let checkpoint: AuditLine | undefined
    let torn: Buffer | undefined
    let since = 0
    const bytes = bytesOf([{ ...current, bytes: size }])
    for await (const step of walk(bytes, known ? head : 'claimed')) {
      if ('torn' in step) {
        torn = step.torn
        continue
      }
      const { line } = step
      head = step.head
      since += 1
      if (line.event === 'checkpoint' && signedBy !== undefined) {
        if (!isCheckpointOf(signedBy, line)) throw unsigned(line.seq, signedBy)
        checkpoint = line
        since = 0
      }
      if (!known && checkpoint === undefined && line.event !== 'carried') {
        throw unsigned(line.seq, signedBy)
      }
      onLine?.(line)
    }
    if (!known && checkpoint === undefined) throw unsigned(current.first, signedBy)
    const whole = size - (torn?.length ?? 0)
    const setAside = torn && { file: await moveAside(current.path, head, torn), bytes: torn.length }
    // In this order: a crash in between leaves the piece twice, never nowhere.
    if (torn !== undefined) await handle.truncate(whole)
    if (fsync) {
      await handle.sync()
      await syncFolder(dirname(path))
    }
    const sink = new FileSink({
      path,
      handle,
      before,
      current,
      size: whole,
      lines: head.lines,
      fsync,
    })
    return {
      ...{ sink, head, sinceCheckpoint: since },
      carried: Number(checkpoint?.['carried'] ?? 0),
      ...(setAside !== undefined && { setAside }),
    }
  } catch (error) {
    await handle.close()
    throw error instanceof McbnError ? error : unwritable('cannot be opened', error)
  }
}

function unsigned(line: number, signedBy: CheckpointKey | undefined): McbnError {
  return broken(line, `expected a checkpoint signed by ${signedBy?.label}, got none or another one`)
}

interface FileSinkParts {
  /** Of the first segment. */
  readonly path: string
  /** Of the last one. */
  readonly handle: FileHandle
  readonly before: readonly Segment[]
  readonly current: Segment
  readonly size: number
  readonly lines: number
  readonly fsync: boolean
}

class FileSink implements AuditSink {
  readonly #path: string
  readonly #fsync: boolean
  readonly #before: Segment[]
  #handle: FileHandle
  #current: Segment
  #size: number
  #lines: number
  #failed: McbnError | undefined

  constructor({ path, handle, before, current, size, lines, fsync }: FileSinkParts) {
    this.#path = path
    this.#handle = handle
    this.#before = [...before]
    this.#current = current
    this.#size = size
    this.#lines = lines
    this.#fsync = fsync
  }

  async add(bytes: Buffer): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed
    // Known to the kernel: as fast as a turn through the thread pool begins.
    const { size, nlink } = fstatSync(this.#handle.fd)
    if (size !== this.#size || nlink === 0) {
      const what = nlink === 0 ? 'the file was removed' : 'somebody else wrote to the file'
      this.#failed = broken(this.#lines + 1, `${what} while this process had it open`)
      throw this.#failed
    }
    try {
      let written = 0
      while (written < bytes.length) {
        written += (await this.#handle.write(bytes, written)).bytesWritten
      }
      if (this.#fsync && !WRITES_WAIT) await this.#handle.datasync()
    } catch (error) {
      await this.#takeBack()
      throw unwritable('cannot be written', error)
    }
    this.#size += bytes.length
    this.#lines += newlinesIn(bytes)
  }

  async begin(bytes: Buffer, first: number): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed
    const folder = dirname(this.#path)
    // The whole of it under another name first: a segment that there is begins with its checkpoint.
    const temporary = join(folder, `.audit.next.${randomBytes(8).toString('hex')}.tmp`)
    const path = segmentPath(this.#path, first)
    let next: FileHandle | undefined
    try {
      await writeNewFile(temporary, bytes, 0o600)
      next = await openToAdd(temporary, this.#fsync)
      await rename(temporary, path)
    } catch (error) {
      await next?.close()
      await unlink(temporary).catch(() => undefined)
      throw unwritable('cannot go on in a new segment', error)
    }
    const ended = this.#handle
    this.#before.push({ ...this.#current, bytes: this.#size })
    this.#handle = next
    this.#current = { path, first }
    this.#size = bytes.length
    this.#lines += newlinesIn(bytes)
    await ended.close()
    if (!this.#fsync) return
    try {
      await syncFolder(folder)
    } catch (error) {
      // Its name may be gone after a power failure, and all lines in it: none is confirmed.
      this.#failed = unwritable('cannot go on in a new segment', error)
      throw this.#failed
    }
  }

  get from(): WalkFrom {
    return this.#segments[0]?.first === 1 ? EMPTY_CHAIN : 'claimed'
  }

  async last(most: number): Promise<Buffer[]> {
    return await tailOf(this.#segments, most)
  }

  around(line: number): AsyncIterable<Uint8Array> {
    return bytesOf(this.#segments.filter(({ first }) => first <= line).slice(-1))
  }

  read(): AsyncIterable<Uint8Array> {
    return bytesOf(this.#segments)
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  /** As far as they are kept now. */
  get #segments(): readonly Segment[] {
    return [...this.#before, { ...this.#current, bytes: this.#size }]
  }

  /** A full disk leaves half a line: without this, every later line would hang behind it. */
  async #takeBack(): Promise<void> {
    try {
      await this.#handle.truncate(this.#size)
      if (this.#fsync) await this.#handle.sync()
    } catch (error) {
      this.#failed = unwritable('cannot be written, nor what was begun be taken back', error)
    }
  }
}

/** @returns the name of the file that now has it. */
async function moveAside(path: string, { lines }: AuditHead, torn: Buffer): Promise<string> {
  for (let attempt = 0; ; attempt += 1) {
    const aside = `${path}.torn-${lines + 1}${attempt === 0 ? '' : `-${attempt}`}`
    try {
      await writeNewFile(aside, torn, 0o600)
      return basename(aside)
    } catch (error) {
      if (reason(error) !== 'EEXIST' || attempt > 100) throw error
    }
  }
}

function unwritable(what: string, error: unknown): McbnError {
  return new McbnError('MCBN_AUDIT_BROKEN', `audit: ${what}: ${reason(error)}`, { cause: error })
}
