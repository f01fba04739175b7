// Bytes that were fetched once, kept under their own hash: whatever is read from here is checked again, so
// that nobody who can write into the folder can put anything into an image.

import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { McbnError } from '../errors.js'

export type HashName = 'sha256' | 'sha512'

export interface ContentStoreOptions {
  /** @defaultValue `$XDG_CACHE_HOME/mcbn` or `~/.cache/mcbn` */
  readonly dir?: string
  /** Never fetch: what is not here is missing. @defaultValue false */
  readonly offline?: boolean
}

export class ContentStore {
  readonly dir: string
  readonly offline: boolean

  constructor({ dir = defaultDir(), offline = false }: ContentStoreOptions = {}) {
    this.dir = dir
    this.offline = offline
  }

  /** What has this hash, if it is here and whole. */
  async find(hash: HashName, hex: string): Promise<Buffer | undefined> {
    const bytes = await this.#read(`${hash}-${hex}`)
    return bytes !== undefined && digestOf(hash, bytes) === hex ? bytes : undefined
  }

  /**
   * What has this hash: from here, or from `fetch`.
   *
   * @throws {McbnError} `MCBN_IMAGE_SOURCE_UNAVAILABLE` when it is not here and may not be fetched, or when
   * what was fetched is something else.
   */
  async get(what: string, hash: HashName, hex: string, fetch: () => Promise<Uint8Array>) {
    const found = await this.find(hash, hex)
    if (found !== undefined) return found
    this.demandOnline(what)
    const bytes = await fetch()
    await this.put(what, hash, hex, bytes)
    return bytes
  }

  /** @throws {McbnError} as {@link get}. */
  async put(what: string, hash: HashName, hex: string, bytes: Uint8Array): Promise<void> {
    const got = digestOf(hash, bytes)
    if (got !== hex) {
      throw new McbnError(
        'MCBN_IMAGE_SOURCE_UNAVAILABLE',
        `${what}: expected ${hash} ${hex}, what came has ${got}`,
      )
    }
    await this.#write(`${hash}-${hex}`, bytes)
  }

  /** @throws {McbnError} `MCBN_IMAGE_SOURCE_UNAVAILABLE` when nothing may be fetched. */
  demandOnline(what: string): void {
    if (!this.offline) return
    throw new McbnError(
      'MCBN_IMAGE_SOURCE_UNAVAILABLE',
      `${what} is not in ${this.dir}: build once without --offline`,
    )
  }

  /** What follows from other bytes and takes long to make; kept only if `holds`. */
  async derived(
    name: string,
    make: () => Promise<Uint8Array>,
    holds: (bytes: Uint8Array) => boolean,
  ): Promise<Uint8Array> {
    const found = await this.#read(name)
    if (found !== undefined && holds(found)) return found
    const made = await make()
    await this.#write(name, made)
    return made
  }

  async #read(name: string): Promise<Buffer | undefined> {
    try {
      return await readFile(join(this.dir, name))
    } catch {
      return undefined
    }
  }

  /** A folder that cannot be written makes the next build slower, and nothing else. */
  async #write(name: string, bytes: Uint8Array): Promise<void> {
    const draft = join(this.dir, `.${name.slice(0, 40)}-${randomUUID()}`)
    try {
      await mkdir(this.dir, { recursive: true, mode: 0o700 })
      await writeFile(draft, bytes, { mode: 0o600 })
      await rename(draft, join(this.dir, name))
    } catch {
      // Nothing is lost.
    }
  }
}

function digestOf(hash: HashName, bytes: Uint8Array): string {
  return createHash(hash).update(bytes).digest('hex')
}

function defaultDir(): string {
  const { XDG_CACHE_HOME } = process.env
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'mcbn')
}
