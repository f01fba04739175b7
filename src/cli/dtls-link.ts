// A DTLS socket as a Link.

import type { DtlsSocket } from '../dtls/index.js'
import {
  atMost,
  factsOf,
  GOODBYE_MS,
  type Link,
  type LinkFacts,
  type LinkHandlers,
} from './link.js'

export class DtlsLink implements Link {
  readonly facts: LinkFacts
  readonly truncated = false
  readonly #socket: DtlsSocket
  readonly #over: Promise<void>
  #failure: Error | undefined
  #full = false

  /** @param socket - in the turn in which its handshake was done. */
  constructor(socket: DtlsSocket) {
    this.facts = factsOf(socket)
    this.#socket = socket
    this.#over = new Promise((resolve) => socket.once('close', () => resolve()))
    socket.on('error', (error: Error) => {
      this.#failure ??= error
    })
  }

  start(handlers: LinkHandlers): void {
    this.#socket.on('message', (message: Buffer) => handlers.data(message))
    this.#socket.on('drain', () => {
      this.#full = false
      handlers.flushed()
    })
    this.#socket.once('close', () => handlers.closed(this.#failure))
  }

  get maxDatagramSize(): number {
    return this.#socket.maxDatagramSize
  }

  get idle(): boolean {
    return this.#socket.closeReason === 'idle'
  }

  get figures(): object {
    return this.#socket.stats
  }

  get unsent(): boolean {
    return this.#full
  }

  send(data: Buffer): boolean {
    this.#full = !this.#socket.send(data)
    return !this.#full
  }

  pause(): void {
    // UDP has no way to ask a sender to wait.
  }

  resume(): void {
    // See pause().
  }

  async close(): Promise<void> {
    void this.#socket.close()
    await atMost(GOODBYE_MS, this.#over)
    this.#socket.destroy()
  }
}
