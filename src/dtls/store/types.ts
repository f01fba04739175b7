// What a session store is, and the option that names one.

/** A row that is written, or removed. */
export interface SessionStoreChange {
  /** 32 hexadecimal digits, or `header`. */
  readonly name: string
  /** About 190 bytes, sealed; absent: the row is removed. */
  readonly row: Uint8Array | undefined
}

/**
 * Where a server or clients keep what they need to go on with their sessions after a crash: rows by name. A server
 * has a store to itself, the clients of a JavaScript thread may share one; one `write` is made at a time. `fileSessionStore` and `valkeySessionStore`
 * make one; anything else that keeps these promises may be given as well.
 */
export interface SessionStore {
  /**
   * Takes possession. While it is open nobody else may open it; a process that was killed must not stand in
   * the way for long.
   */
  open(): Promise<void>
  /** Every row, in any order. */
  rows(): AsyncIterable<readonly [name: string, row: Uint8Array]>
  /**
   * Resolves when all changes are made and no crash can undo them, neither this process's nor the store's.
   * When it rejects, any of them may have been made; the same changes come again, or newer ones of the same
   * names. It must reject once another has taken possession.
   */
  write(changes: readonly SessionStoreChange[]): Promise<void>
  /** Gives up possession. */
  close(): Promise<void>
}

/** The option `sessionStore`. */
export interface DtlsSessionStoreOptions {
  /** A store, or the path of a folder for `fileSessionStore`, which is made if need be. */
  readonly store: string | SessionStore
  /**
   * Seals the rows: 32 random bytes, the same ones after a restart. As `DtlsTransferOptions.sealingKey`; keys
   * for AES-256-GCM are derived from it anew at each start.
   */
  readonly sealingKey: Uint8Array
}
