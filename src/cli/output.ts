// stdout as a byte sink: whatever it is (pipe, socket, file, terminal), nothing added, nothing lost.

import { setImmediate } from 'node:timers/promises'

/** Where datagrams are dropped rather than queued for a reader that does not read, in bytes. */
const DATAGRAM_QUEUE_BYTES = 16 * 1024 * 1024

/** The process's stdout. One per process. */
export class Output {
  readonly #stream: NodeJS.WriteStream = process.stdout
  readonly #onDrain = new Set<() => void>()
  #gone = false
  #unread = 0

  /**
   * @param onGone - called once when the reader has closed its end (EPIPE): the usual end of
   * `mcbn connect ... | head -1`, not a failure. Other errors come with it.
   */
  constructor(onGone: (error: NodeJS.ErrnoException) => void) {
    this.#stream.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#gone) return
      this.#gone = true
      this.#release()
      onGone(error)
    })
    this.#stream.on('drain', () => this.#release())
  }

  /** Bytes not yet handed to the operating system. */
  get waiting(): number {
    return this.#stream.writableLength
  }

  /** Datagrams that {@link writeDatagram} dropped. */
  get dropped(): number {
    return this.#unread
  }

  /** @returns false when the reader is slower than the writer: stop, and go on at {@link onceDrained}. */
  write(chunk: Uint8Array | string): boolean {
    if (this.#gone) return true
    return this.#stream.write(chunk)
  }

  /** For data that cannot be told to wait: UDP has no back-pressure, memory has a limit. */
  writeDatagram(message: Uint8Array): void {
    if (this.#stream.writableLength > DATAGRAM_QUEUE_BYTES) this.#unread += 1
    else this.write(message)
  }

  /** Calls back once, when stdout takes more. */
  onceDrained(callback: () => void): void {
    if (this.#gone || !this.#stream.writableNeedDrain) callback()
    else this.#onDrain.add(callback)
  }

  /** Resolves when everything written has left the process, or can no longer leave it. */
  async flushed(): Promise<void> {
    while (!this.#gone && this.#stream.writableLength > 0) {
      await new Promise<void>((resolve) => {
        this.#onDrain.add(resolve)
        this.#stream.write('', () => resolve())
      })
      await setImmediate()
    }
  }

  #release(): void {
    const callbacks = [...this.#onDrain]
    this.#onDrain.clear()
    for (const callback of callbacks) callback()
  }
}
