// Lines out of chunks: on DTLS each line of stdin is one datagram.

const NEWLINE = 0x0a

/**
 * Cuts a byte stream after each newline, without ever holding more than one line.
 *
 * The newline stays in the line, as openssl s_client sends it: the bytes that arrive are those that
 * were typed, and no line is empty (DTLS libraries differ about records without content). Only the
 * line feed counts; a carriage return before it is data.
 */
export class LineCutter {
  readonly #onTooLong: (limit: number) => void
  #pieces: Buffer[] = []
  #length = 0
  #skipping = false

  /**
   * @param onTooLong - called once for a line over the limit. The line is dropped, up to its newline;
   * what was held of it is freed at once.
   */
  constructor(onTooLong: (limit: number) => void) {
    this.#onTooLong = onTooLong
  }

  /** @returns the lines that this chunk completes. */
  cut(chunk: Buffer, limit: number): Buffer[] {
    const lines: Buffer[] = []
    let at = 0
    while (at < chunk.length) {
      const newline = chunk.indexOf(NEWLINE, at)
      const end = newline === -1 ? chunk.length : newline + 1
      this.#take(chunk.subarray(at, end), limit)
      if (newline !== -1) {
        if (!this.#skipping) lines.push(this.#join())
        this.#skipping = false
      }
      at = end
    }
    return lines
  }

  /** @returns what stands behind the last newline, at the end of the stream; undefined for nothing. */
  rest(): Buffer | undefined {
    return this.#length === 0 ? undefined : this.#join()
  }

  #take(piece: Buffer, limit: number): void {
    if (this.#skipping) return
    if (this.#length + piece.length > limit) {
      this.#skipping = true
      this.#pieces = []
      this.#length = 0
      this.#onTooLong(limit)
      return
    }
    this.#pieces.push(piece)
    this.#length += piece.length
  }

  #join(): Buffer {
    const [first] = this.#pieces
    const line =
      this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#length = 0
    return line
  }
}
