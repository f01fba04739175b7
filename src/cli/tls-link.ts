// A TLS socket as a Link.

import type { TlsSocket } from '../tls/index.js'
import {
  atMost,
  factsOf,
  GOODBYE_MS,
  type Link,
  type LinkFacts,
  type LinkHandlers,
} from './link.js'

export class TlsLink implements Link {
  readonly facts: LinkFacts
  readonly maxDatagramSize = undefined
  readonly figures = undefined
  readonly idle = false
  readonly #socket: TlsSocket
  readonly #over: Promise<void>
  #peerEnded = false
  #failure: Error | undefined

  /** @param socket - after its handshake, not yet read from. */
  constructor(socket: TlsSocket) {
    this.facts = factsOf(socket)
    this.#socket = socket
    this.#over = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', (error: Error) => {
      // After the peer's goodbye a reset only says that it did not wait for ours.
      if (!this.#peerEnded) this.#failure ??= error
    })
  }

  start(handlers: LinkHandlers): void {
    this.#socket.on('data', (bytes: Buffer) => handlers.data(bytes))
    this.#socket.on('drain', () => handlers.flushed())
    this.#socket.once('end', () => {
      this.#peerEnded = true
      // A peer that has said goodbye gets ours, whether or not halves may stay open, and a while to
      // read what is on its way.
      void this.close()
    })
    this.#socket.once('close', () => handlers.closed(this.#failure))
  }

  get unsent(): boolean {
    return this.#socket.writableLength > 0
  }

  get truncated(): boolean {
    return this.#socket.truncated
  }

  send(data: Buffer): boolean {
    return this.#socket.write(data)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  async close(): Promise<void> {
    this.#socket.end()
    await atMost(GOODBYE_MS, this.#over)
    this.#socket.destroy()
    await this.#over
  }
}
