import type { SessionStore, SessionStoreChange } from '../../src/dtls/index.js'

/** A store in memory that can fail, wait, and be looked into: what a crash leaves is `disk`. */
export class TestStore implements SessionStore {
  disk = new Map<string, Buffer>()
  broken: Error | undefined
  /** Holds writes back until it resolves. */
  gate: Promise<void> | undefined
  writes = 0
  /** By performance.now(), in milliseconds. */
  writtenAt = 0
  opened = false

  async open(): Promise<void> {
    if (this.opened) throw new Error('it is open')
    this.opened = true
  }

  async *rows(): AsyncIterable<readonly [string, Uint8Array]> {
    yield* [...this.disk]
  }

  async write(changes: readonly SessionStoreChange[]): Promise<void> {
    await this.gate
    if (this.broken) throw this.broken
    this.writes += 1
    this.writtenAt = performance.now()
    for (const { name, row } of changes) {
      if (row) this.disk.set(name, Buffer.from(row))
      else this.disk.delete(name)
    }
  }

  async close(): Promise<void> {
    this.opened = false
  }

  /** What the next process would find if this one were killed now. */
  crashed(): TestStore {
    const copy = new TestStore()
    copy.disk = new Map(this.disk)
    return copy
  }

  get names(): string[] {
    return [...this.disk.keys()].filter((name) => name !== 'header')
  }
}
