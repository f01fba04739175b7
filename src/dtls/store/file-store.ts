// The embedded session store: a folder of LevelDB's, in which every write is on the disk before it counts.

import type { ClassicLevel } from 'classic-level'
import { McbnError } from '../../errors.js'
import { stringOption } from '../../options.js'
import { optionalPackage, storeFailed } from './failure.js'
import type { SessionStore, SessionStoreChange } from './types.js'

type Database = ClassicLevel<string, Uint8Array>

/**
 * A session store in a folder of this machine: a log that is appended to and synced to the disk (fdatasync),
 * on a separate thread. The folder is locked by the process that has it open; the lock ends with
 * the process. Needs the package `classic-level`, which brings its binary along.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`; when opened, `MCBN_SESSION_STORE_FAILED`.
 */
export function fileSessionStore(path: string): SessionStore {
  const folder = stringOption('path', path, 4_096)
  if (!folder) throw new McbnError('MCBN_OPTION_TYPE', 'path: expected the path of a folder')
  return new FileSessionStore(folder)
}

class FileSessionStore implements SessionStore {
  readonly #path: string
  #database: Database | undefined

  constructor(path: string) {
    this.#path = path
  }

  async open(): Promise<void> {
    const { ClassicLevel: Level } = await optionalPackage<typeof import('classic-level')>(
      'classic-level',
      'a session store in a folder',
    )
    const encodings = { keyEncoding: 'utf8', valueEncoding: 'view' } as const
    const database: Database = new Level(this.#path, encodings)
    try {
      await database.open()
    } catch (error) {
      const { code } = ((error as Error).cause ?? error) as { code?: string }
      const why =
        code === 'LEVEL_LOCKED'
          ? 'it is open already, here or in another process; a session has one owner'
          : 'LevelDB cannot open it'
      throw storeFailed(`${this.#path}: ${why}`, error)
    }
    this.#database = database
  }

  async *rows(): AsyncIterable<readonly [name: string, row: Uint8Array]> {
    yield* this.#opened().iterator()
  }

  async write(changes: readonly SessionStoreChange[]): Promise<void> {
    // After an error LevelDB takes nothing more until it is opened again.
    if (!this.#database) await this.open()
    const database = this.#opened()
    try {
      const batch = database.batch()
      for (const { name, row } of changes) row ? batch.put(name, row) : batch.del(name)
      await batch.write({ sync: true })
    } catch (error) {
      await this.close()
      throw storeFailed(`${this.#path}: LevelDB cannot write`, error)
    }
  }

  async close(): Promise<void> {
    const database = this.#database
    this.#database = undefined
    await database?.close()
  }

  #opened(): Database {
    if (this.#database) return this.#database
    throw storeFailed(`${this.#path}: expected a store that is open`)
  }
}
