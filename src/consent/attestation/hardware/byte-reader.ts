// Fields one behind the other, little-endian; a stranger wrote the lengths.

import { refused } from '../refuse.js'

/** Every method throws `MCBN_EVIDENCE_REFUSED` where there are fewer bytes than it needs. */
export class ByteReader {
  readonly #bytes: Buffer
  readonly #name: string
  #at = 0

  constructor(bytes: Buffer, name: string) {
    this.#bytes = bytes
    this.#name = name
  }

  get at(): number {
    return this.#at
  }

  take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw refused(this.#name, 'expected more bytes')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }

  u16(): number {
    return this.take(2).readUInt16LE()
  }

  u32(): number {
    return this.take(4).readUInt32LE()
  }

  rest(): Buffer {
    return this.take(this.#bytes.length - this.#at)
  }

  /** Nothing may be left. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw refused(this.#name, 'expected nothing behind it')
  }
}
