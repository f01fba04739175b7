// The rows of sessions: written behind, in the order in which the I/O threads make them.
//
//   I/O thread --row--> put() --> one write() at a time, with all that has come meanwhile --> rowsWritten()
//
// What is not written yet holds back the numbers that it would reserve, and nothing else: docs/SESSIONS.md.

import { hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import type { McbnError } from '../../errors.js'
import { storeFailed } from './failure.js'
import type { SessionStore, SessionStoreChange } from './types.js'

const SALT_BYTES = 16
export const NAME_BYTES = 16
/** Of a name, where it tells whom the session is with. */
export const PREFIX_BYTES = 8
const HEADER = 'header'
const VERSION = 1
/** Milliseconds until a write is tried again: at first, at most. */
const RETRY = { first: 100, most: 5_000 } as const
/**
 * Milliseconds from the beginning of a write to that of the next: a busy server's rows then share what a write costs,
 * which is thirty times what a row costs. Rows are asked for an eighth of a second ahead and more, unless something
 * waits for them already.
 */
const PACE = { relaxed: 40, awaited: 5 } as const
/** Names that are removed with one write. */
const CLEAR_BATCH = 4_096

/** Is told when the rows of its sessions are written. */
export interface RowOwner {
  rowsWritten(sessions: Uint32Array): void
}

/** A row as the store had it. */
export interface StoredRow {
  /** 16 bytes as latin1 text. */
  readonly name: string
  readonly sealed: Uint8Array
}

/** Rows that one key opens. */
export interface StoredRows {
  readonly key: Uint8Array
  readonly rows: StoredRow[]
}

/** A flush() that waits until so much is written. */
interface Waiter {
  readonly upTo: number
  resolve(): void
  reject(error: McbnError): void
}

interface Pending {
  readonly row: Uint8Array | undefined
  readonly owner: RowOwner | undefined
  readonly session: number
}

export class SessionRows {
  readonly #store: SessionStore
  readonly #sealingKey: Buffer
  readonly #onOutage: (error: McbnError) => void
  readonly #salt = randomBytes(SALT_BYTES)
  #pending = new Map<string, Pending>()
  /** How many changes there have been, and how many are written. */
  #changes = 0
  #writtenChanges = 0
  #waiters: Waiter[] = []
  #writing: Promise<void> | undefined
  #writeBegan = Number.NEGATIVE_INFINITY
  /** Something waits for a row that is pending. */
  #awaited = false
  #paced: NodeJS.Timeout | undefined
  /** Removed here before their I/O thread has said so: what it made before must not bring them back. */
  readonly #abandoned = new Set<string>()
  #failures = 0
  #retry: NodeJS.Timeout | undefined
  #closed = false

  /** @param onOutage - called once when writing begins to fail; it is tried again until it succeeds. */
  constructor(store: SessionStore, sealingKey: Uint8Array, onOutage: (error: McbnError) => void) {
    this.#store = store
    this.#sealingKey = Buffer.from(sealingKey)
    this.#onOutage = onOutage
  }

  /** The key of the rows that are made from now on; the caller wipes it. */
  rowKey(): Buffer {
    return this.#derive('row', this.#salt)
  }

  /** The same 8 bytes for the same `whom` and sealing key; nobody else can tell whom they are about. */
  prefixFor(whom: Uint8Array): Buffer {
    return this.#derive('client', whom).subarray(0, PREFIX_BYTES)
  }

  /**
   * Takes possession of the store.
   *
   * @returns what it has.
   * @throws {McbnError} `MCBN_SESSION_STORE_FAILED`, also when its rows were sealed with another key.
   */
  async open(): Promise<StoredRows[]> {
    await this.#store.open().catch((error: unknown) => {
      throw asFailure(error, 'cannot be opened')
    })
    try {
      return await this.#load()
    } catch (error) {
      await this.#store.close().catch(() => {})
      throw asFailure(error, 'cannot be read')
    }
  }

  async #load(): Promise<StoredRows[]> {
    const bySalt = new Map<string, StoredRows>()
    const check = this.#derive('check', Buffer.alloc(0)).subarray(0, SALT_BYTES)
    let header: Uint8Array | undefined
    for await (const [name, row] of this.#store.rows()) {
      if (name === HEADER) {
        header = row
        continue
      }
      const salt = Buffer.from(row.subarray(0, SALT_BYTES))
      const saltText = salt.toString('latin1')
      let group = bySalt.get(saltText)
      if (!group) {
        group = { key: this.#derive('row', salt), rows: [] }
        bySalt.set(saltText, group)
      }
      const latin1 = Buffer.from(name, 'hex').toString('latin1')
      group.rows.push({ name: latin1, sealed: row.subarray(SALT_BYTES) })
    }
    if (!header) {
      await this.#store.write([{ name: HEADER, row: Buffer.from([VERSION, ...check]) }])
    } else if (header[0] !== VERSION || header.length !== 1 + SALT_BYTES) {
      throw storeFailed('has a format that this version does not know')
    } else if (!timingSafeEqual(header.subarray(1), check)) {
      throw storeFailed('was made with another sealingKey: give that one, or an empty store')
    }
    return [...bySalt.values()]
  }

  /**
   * A session's new row; its owner is told when it is written.
   *
   * @param awaited - something waits until then.
   */
  put(
    name: string,
    sealed: Uint8Array,
    session: number,
    owner: RowOwner | undefined,
    awaited = false,
  ): void {
    if (this.#abandoned.has(name)) return
    if (awaited && !this.#awaited) {
      this.#awaited = true
      clearTimeout(this.#paced)
      this.#paced = undefined
    }
    this.#change(name, { row: Buffer.concat([this.#salt, sealed]), owner, session })
  }

  /** The I/O thread says that the session is gone: nothing more comes of it. */
  remove(name: string): void {
    if (this.#abandoned.delete(name)) return
    this.#change(name, { row: undefined, owner: undefined, session: 0 })
  }

  /** The session is gone, and the I/O thread is about to say so. */
  abandon(name: string): void {
    this.remove(name)
    this.#abandoned.add(name)
  }

  /** Resolves when all that was put and removed so far is written. @throws {McbnError} when it cannot be. */
  async flush(): Promise<void> {
    if (this.#writtenChanges === this.#changes) return
    this.#hurry()
    const written = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ upTo: this.#changes, resolve, reject })
    })
    this.#pump()
    await written
  }

  /** Somebody waits: nothing is paced. */
  #hurry(): void {
    clearTimeout(this.#paced)
    this.#paced = undefined
    clearTimeout(this.#retry)
    this.#retry = undefined
  }

  /**
   * @param keep - for the next process; otherwise nothing is left of the sessions.
   * @throws {McbnError} `MCBN_SESSION_STORE_FAILED`: what the store has then is older, and safe.
   */
  async close(keep: boolean): Promise<void> {
    try {
      if (keep) await this.flush()
      else await this.#clear()
    } finally {
      this.#closed = true
      this.#hurry()
      this.#sealingKey.fill(0)
      await this.#store.close().catch(() => {})
    }
  }

  async #clear(): Promise<void> {
    this.#closed = true
    this.#pending.clear()
    await this.#writing
    try {
      let changes: SessionStoreChange[] = []
      for await (const [name] of this.#store.rows()) {
        if (name !== HEADER) changes.push({ name, row: undefined })
        if (changes.length < CLEAR_BATCH) continue
        await this.#store.write(changes)
        changes = []
      }
      if (changes.length > 0) await this.#store.write(changes)
    } catch (error) {
      throw asFailure(error, 'cannot be written')
    }
  }

  #change(name: string, pending: Pending): void {
    this.#pending.set(name, pending)
    this.#changes += 1
    this.#pump()
  }

  #pump(): void {
    if (this.#writing || this.#retry || this.#paced || this.#closed) return
    const pace = this.#awaited ? PACE.awaited : PACE.relaxed
    const wait = this.#writeBegan + pace - performance.now()
    if (wait > 0 && this.#waiters.length === 0) {
      this.#paced = setTimeout(() => {
        this.#paced = undefined
        this.#pump()
      }, wait)
      return
    }
    // The rest of the batch that is being told comes along.
    this.#writing = Promise.resolve().then(() => this.#write())
  }

  async #write(): Promise<void> {
    this.#writeBegan = performance.now()
    this.#awaited = false
    const batch = this.#pending
    this.#pending = new Map()
    const upTo = this.#changes
    const changes: SessionStoreChange[] = []
    for (const [name, { row }] of batch) {
      changes.push({ name: Buffer.from(name, 'latin1').toString('hex'), row })
    }
    try {
      await this.#store.write(changes)
    } catch (error) {
      return this.#failed(batch, error)
    }
    this.#written(batch, upTo)
  }

  #written(batch: ReadonlyMap<string, Pending>, upTo: number): void {
    this.#writing = undefined
    this.#failures = 0
    this.#writtenChanges = upTo
    const done = this.#waiters.filter((waiter) => waiter.upTo <= upTo)
    this.#waiters = this.#waiters.filter((waiter) => waiter.upTo > upTo)
    for (const { resolve } of done) resolve()
    const written = new Map<RowOwner, number[]>()
    for (const { owner, session } of batch.values()) {
      if (!owner) continue
      const sessions = written.get(owner)
      if (sessions) sessions.push(session)
      else written.set(owner, [session])
    }
    for (const [owner, sessions] of written) owner.rowsWritten(Uint32Array.from(sessions))
    if (this.#pending.size > 0) this.#pump()
  }

  #failed(batch: Map<string, Pending>, error: unknown): void {
    this.#writing = undefined
    // What came since is newer.
    for (const [name, pending] of this.#pending) batch.set(name, pending)
    this.#pending = batch
    this.#failures += 1
    const failure = asFailure(error, 'cannot be written')
    for (const { reject } of this.#waiters.splice(0)) reject(failure)
    if (!this.#closed) {
      const wait = Math.min(RETRY.most, RETRY.first * 2 ** (this.#failures - 1))
      this.#retry = setTimeout(() => {
        this.#retry = undefined
        this.#pump()
      }, wait).unref()
    }
    if (this.#failures === 1) this.#onOutage(failure)
  }

  #derive(purpose: string, salt: Uint8Array): Buffer {
    const info = `mcbn session store ${purpose}`
    return Buffer.from(hkdfSync('sha256', this.#sealingKey, salt, info, 32))
  }
}

function asFailure(error: unknown, what: string): McbnError {
  const known = error as Partial<McbnError>
  return known.code === 'MCBN_SESSION_STORE_FAILED'
    ? (error as McbnError)
    : storeFailed(what, error)
}
