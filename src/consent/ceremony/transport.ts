// How messages get from one participant to the others: something that keeps bytes under names, each
// written once. It is trusted with nothing but availability.

import { randomBytes } from 'node:crypto'
import { link, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { McbnError } from '../../errors.js'
import { writeNewFile } from '../base/durable-file.js'
import { invalid } from './refusals.js'

/** A place that all participants reach: a shared folder, an HTTP board, memory. */
export interface CeremonyTransport {
  /**
   * Publishes. Repeating it with the same bytes does nothing.
   *
   * @throws {McbnError} `MCBN_CEREMONY_INVALID` when there are other bytes under this name already;
   * `MCBN_CONNECTION_FAILED` when the place cannot be reached.
   */
  put(name: string, bytes: Uint8Array): Promise<void>
  /**
   * @returns what is there, unverified; undefined when there is nothing yet.
   * @throws {McbnError} `MCBN_CONNECTION_FAILED` when the place cannot be reached.
   */
  get(name: string): Promise<Uint8Array | undefined>
}

/** The name that the plan itself is published under. */
export const PLAN_NAME = 'plan'

/** What is larger is not read: no message and no plan is. */
export const PUBLISHED_MAX_BYTES = 128 * 1024

/** Names of messages, and of the plan: labels and rounds, never a path. */
const NAME = /^[a-z][a-z0-9._-]{0,150}$/

/** @throws {McbnError} `MCBN_CEREMONY_INVALID` for anything that could leave a folder or an address. */
export function checkName(name: string): string {
  if (NAME.test(name)) return name
  throw invalid('name: expected 1 to 151 of a-z, 0-9, ., _, -, a letter first')
}

/** For tests, and for a board that forgets. */
export class MemoryTransport implements CeremonyTransport {
  readonly #published = new Map<string, Buffer>()

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const there = this.#published.get(checkName(name))
    if (there !== undefined && !there.equals(bytes)) throw taken(name)
    this.#published.set(name, Buffer.from(bytes))
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return this.#published.get(name)
  }
}

/** A folder that all share: on one machine, a network drive, a stick that goes round. */
export class FolderTransport implements CeremonyTransport {
  readonly #folder: string

  /** @param folder - must exist. */
  constructor(folder: string) {
    this.#folder = folder
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const file = this.#file(name)
    // Written beside, then named: nobody ever reads half a message, and no message replaces another.
    const beside = join(this.#folder, `.${name}.${randomBytes(6).toString('hex')}`)
    try {
      await writeNewFile(beside, bytes, 0o644)
      await publish(beside, file)
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw folderFailed(this.#folder, error)
      const there = await this.get(name)
      if (there === undefined || Buffer.compare(there, bytes) !== 0) throw taken(`${name}.json`)
    } finally {
      await unlink(beside).catch(() => undefined)
    }
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const file = this.#file(name)
    try {
      const { size } = await stat(file)
      // A name that is taken, and not written yet: see publish().
      if (size === 0) return undefined
      if (size > PUBLISHED_MAX_BYTES) {
        throw invalid(`${name}.json: expected at most ${PUBLISHED_MAX_BYTES} bytes, got ${size}`)
      }
      return await readFile(file)
    } catch (error) {
      if (error instanceof McbnError) throw error
      if (errorCode(error) !== 'ENOENT') throw folderFailed(this.#folder, error)
    }
    // A folder that is not there (yet, or any more) must not look like one without messages.
    await stat(this.#folder).catch((error: unknown) => {
      throw folderFailed(this.#folder, error)
    })
    return undefined
  }

  #file(name: string): string {
    return join(this.#folder, `${checkName(name)}.json`)
  }
}

/** Fails with EEXIST when the name is taken, on every file system, in one step where it has hard links. */
async function publish(beside: string, file: string): Promise<void> {
  try {
    await link(beside, file)
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EOPNOTSUPP'].includes(errorCode(error))) throw error
    // FAT and some network drives: the name is taken with an empty file, which rename then replaces.
    await (await open(file, 'wx')).close()
    await rename(beside, file)
  }
}

/** The error for a second, different message under one name. */
export function taken(name: string): McbnError {
  return invalid(
    `${name}: expected to publish it first, found another one there; a ceremony needs its own folder or board, and a participant one state only`,
  )
}

/** The error for a folder that does not answer. */
function folderFailed(folder: string, error: unknown): McbnError {
  if (errorCode(error) !== 'ENOENT') return unreachable(folder, error)
  return new McbnError(
    'MCBN_CONNECTION_FAILED',
    `${folder}: expected the folder that all of you share, found none; make it (mkdir), or mount it`,
    { cause: error },
  )
}

/** The error for a place that does not answer. */
export function unreachable(place: string, cause: unknown): McbnError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new McbnError('MCBN_CONNECTION_FAILED', `${place}: cannot exchange messages: ${why}`, {
    cause,
  })
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
