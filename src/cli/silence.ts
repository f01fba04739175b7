/** Calls back once when nothing has happened for a while, counted only while it is being watched. */
export class Silence {
  readonly #milliseconds: number
  readonly #onSilence: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(milliseconds: number, onSilence: () => void) {
    this.#milliseconds = milliseconds
    this.#onSilence = onSilence
  }

  /** Something happened, or the wait begins: counts from now. */
  restart(): void {
    if (this.#timer === undefined) this.#timer = setTimeout(this.#onSilence, this.#milliseconds)
    else this.#timer.refresh()
  }

  /** Silence has another reason now than the peer: do not count it. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
