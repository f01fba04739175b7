// Messages of a socket that came before anybody listened.

/** Bytes of them that are kept. */
const MAX_EARLY_BYTES = 1_048_576
/** What a kept message costs besides its bytes. */
const EARLY_MESSAGE_BYTES = 256

export class EarlyMessages {
  readonly all: Buffer[] = []
  #bytes = 0

  /** @returns false when there is no room. */
  keep(message: Buffer): boolean {
    const bytes = this.#bytes + message.length + EARLY_MESSAGE_BYTES
    if (bytes > MAX_EARLY_BYTES) return false
    this.#bytes = bytes
    // A copy: a slice would keep the whole batch that it came with, also other sessions' share.
    this.all.push(Buffer.from(message))
    return true
  }
}
