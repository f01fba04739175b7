// What TLS itself says to a peer whose connection is open: answers to its KeyUpdates (RFC 8446 section 4.6.3), refusals to
// renegotiate. They do not wait for the application to write, so its backpressure does not hold them back.

import type { Duplex } from 'node:stream'

/** Bytes of answers that may wait for the peer to take them: over a thousand. Nobody needs more than some. */
const MOST_WAITING = 64 * 1024

/** Reads nothing more from a peer that asks for answers and does not take them, until it does. */
export class Answers {
  readonly #transport: Duplex
  #waiting = 0

  constructor(transport: Duplex) {
    this.#transport = transport
  }

  /** Whether the transport must not be read now. */
  get full(): boolean {
    return this.#waiting > MOST_WAITING
  }

  send(ciphertext: Buffer): void {
    const length = ciphertext.length
    this.#waiting += length
    this.#transport.write(ciphertext, () => {
      const was = this.full
      this.#waiting -= length
      if (was && !this.full) this.#transport.resume()
    })
    if (this.full) this.#transport.pause()
  }
}
