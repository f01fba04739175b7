// The sessions of clients in a session store. All clients of this JavaScript thread that name the same store have
// it open together:
//
//   connect() --join()--> opened once --take()--> the row of a session with that server, if one was left
//   the end of the last socket --leave()--> closed; rows that nobody asked for stay in it

import { createHash, timingSafeEqual } from 'node:crypto'
import { McbnError } from '../../errors.js'
import type { ClientKey } from '../../keys/client-key.js'
import type { ResolvedSessionStore } from './option.js'
import { NAME_BYTES, PREFIX_BYTES, SessionRows, type StoredRow } from './session-rows.js'

/** With whom a client's session is. */
export interface RowTarget {
  readonly host: string
  readonly port: number
  /** Empty: none. */
  readonly servername: string
}

/** A row that is the caller's from now on. */
export interface TakenRow extends StoredRow {
  /** Opens it. */
  readonly key: Uint8Array
}

/** A client that has the store open. */
export interface RowsUser {
  onStoreError(error: McbnError): void
}

const opened = new Map<ResolvedSessionStore['place'], ClientRows>()

/** A store that is open, or about to be. */
export class ClientRows {
  readonly rows: SessionRows
  /** Rejects with a McbnError when the store cannot be opened. */
  readonly ready: Promise<void>
  readonly #place: ResolvedSessionStore['place']
  readonly #keyHash: Buffer
  readonly #users = new Set<RowsUser>()
  /** What the store had, by the beginning of the names. */
  readonly #left = new Map<string, TakenRow[]>()
  #closed: Promise<void> | undefined

  /**
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` where other clients have the store open with another sealing key.
   */
  static join(option: ResolvedSessionStore, user: RowsUser): ClientRows {
    const keyHash = createHash('sha256').update(option.sealingKey).digest()
    let joined = opened.get(option.place)
    if (joined === undefined || joined.#closed) {
      joined = new ClientRows(option, keyHash, joined === undefined ? undefined : joined.#closed)
      opened.set(option.place, joined)
    } else if (!timingSafeEqual(joined.#keyHash, keyHash)) {
      throw new McbnError(
        'MCBN_OPTION_CONFLICT',
        'sessionStore.sealingKey: expected the key with which other clients of this process have the store open',
      )
    }
    joined.#users.add(user)
    return joined
  }

  private constructor(
    { store, place, sealingKey }: ResolvedSessionStore,
    keyHash: Buffer,
    before: Promise<void> | undefined,
  ) {
    this.rows = new SessionRows(store, sealingKey, (error) => {
      for (const user of [...this.#users]) user.onStoreError(error)
    })
    this.#place = place
    this.#keyHash = keyHash
    this.ready = this.#open(before)
    // Every client hears of it, and the next one tries anew.
    this.ready.catch(() => this.#forget())
  }

  async #open(before: Promise<void> | undefined): Promise<void> {
    await before
    for (const { key, rows } of await this.rows.open()) {
      for (const row of rows) {
        if (row.name.length !== NAME_BYTES) continue
        const prefix = row.name.slice(0, PREFIX_BYTES)
        const others = this.#left.get(prefix)
        if (others) others.push({ ...row, key })
        else this.#left.set(prefix, [{ ...row, key }])
      }
    }
  }

  /**
   * How the names of rows about sessions with this server begin.
   *
   * @param key - absent: a function knows it, once it has heard the server's hint.
   */
  prefixFor({ host, port, servername }: RowTarget, key: ClientKey | undefined): Buffer {
    const hash = createHash('sha256')
    const names = [host, String(port), servername].map((text) => Buffer.from(text.toLowerCase()))
    for (const part of [...names, ...(key ? [key.identity, key.key] : [])]) {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(part.length)
      hash.update(length).update(part)
    }
    return this.rows.prefixFor(hash.digest())
  }

  /** The row of a session with this server, which nobody else is given. */
  take(target: RowTarget, key: ClientKey | undefined): TakenRow | undefined {
    return this.#left.get(this.prefixFor(target, key).toString('latin1'))?.pop()
  }

  /** Its rows are written or removed by now, or never will be. The last one closes the store. */
  leave(user: RowsUser): void {
    if (!this.#users.delete(user) || this.#users.size > 0) return
    this.#closed = this.#close()
    void this.#closed.then(() => this.#forget())
  }

  async #close(): Promise<void> {
    try {
      await this.ready
      await this.rows.close(true)
    } catch {
      // Told already; what the store has is older, and safe.
    }
    for (const left of this.#left.values()) for (const { key } of left) key.fill(0)
    this.#left.clear()
  }

  #forget(): void {
    if (opened.get(this.#place) === this) opened.delete(this.#place)
  }
}
