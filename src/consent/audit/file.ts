// The file behind an audit. Lines count as written when the disk has them; what a crash left unfinished
// is set aside where a person sees it.

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { McbnError } from '../../errors.js'
import { syncFolder, writeNewFile } from '../base/durable-file.js'
import { type AuditHead, type AuditLine, broken, EMPTY_CHAIN } from './chain.js'
import { reason, walk } from './read.js'

/** Where lines go. */
export interface AuditSink {
  /** Adds whole lines; resolves when they are kept. On an error none of them is. */
  add(bytes: Buffer): Promise<void>
  /** The kept lines, from the first. */
  read(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  close(): Promise<void>
}

/** What was found in a file when it was opened. */
export interface OpenedFile {
  readonly sink: AuditSink
  readonly head: AuditHead
  readonly recent: readonly AuditLine[]
  /** An unfinished last line, already moved to its own file beside it. */
  readonly setAside?: { readonly file: string; readonly bytes: number }
}

interface Hear {
  readonly keepRecent: number
  readonly onLine: ((line: AuditLine) => void) | undefined
}

/** Opens or creates an audit's file, verifying all of it. */
export async function openAuditFile(
  path: string,
  fsync: boolean,
  { keepRecent, onLine }: Hear,
): Promise<OpenedFile> {
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants
  const handle = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600).catch(
    (error: unknown) => {
      throw unwritable('cannot be opened', error)
    },
  )
  try {
    const { size } = await handle.stat()
    let head = EMPTY_CHAIN
    let torn: Buffer | undefined
    const recent: AuditLine[] = []
    for await (const step of walk(chunksOf(handle, size))) {
      if ('torn' in step) {
        torn = step.torn
        continue
      }
      head = step.head
      onLine?.(step.line)
      recent.push(step.line)
      if (recent.length > keepRecent) recent.shift()
    }
    const whole = size - (torn?.length ?? 0)
    const setAside = torn && { file: await moveAside(path, head, torn), bytes: torn.length }
    // In this order: a crash in between leaves the piece twice, never nowhere.
    if (torn !== undefined) await handle.truncate(whole)
    if (fsync) {
      await handle.sync()
      await syncFolder(dirname(path))
    }
    const sink = new FileSink(handle, whole, head.lines, fsync)
    return { sink, head, recent, ...(setAside !== undefined && { setAside }) }
  } catch (error) {
    await handle.close()
    throw error instanceof McbnError ? error : unwritable('cannot be opened', error)
  }
}

class FileSink implements AuditSink {
  readonly #handle: FileHandle
  readonly #fsync: boolean
  #size: number
  #lines: number
  #failed: McbnError | undefined

  constructor(handle: FileHandle, size: number, lines: number, fsync: boolean) {
    this.#handle = handle
    this.#size = size
    this.#lines = lines
    this.#fsync = fsync
  }

  async add(bytes: Buffer): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed
    const { size, nlink } = await this.#handle.stat()
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
      if (this.#fsync) await this.#handle.datasync()
    } catch (error) {
      await this.#takeBack()
      throw unwritable('cannot be written', error)
    }
    this.#size += bytes.length
    this.#lines += bytes.reduce((lines, byte) => lines + (byte === 0x0a ? 1 : 0), 0)
  }

  read(): AsyncIterable<Uint8Array> {
    return chunksOf(this.#handle, this.#size)
  }

  close(): Promise<void> {
    return this.#handle.close()
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

const CHUNK_BYTES = 64 * 1024

/** Reads up to `size` and no further: what is being added meanwhile is somebody else's turn. */
async function* chunksOf(handle: FileHandle, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < size; ) {
    const buffer = Buffer.alloc(Math.min(CHUNK_BYTES, size - at))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
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
