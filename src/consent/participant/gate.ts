// How much costly work goes on at once. RSA verification and sealing run on the thread pool; what
// waits for them is memory that a stranger fills, so the queue has an end.

/** Lets `active` tasks run at once and `waiting` more stand in line. */
export class Gate {
  readonly #active: number
  readonly #waiting: number
  readonly #queue: (() => void)[] = []
  #running = 0

  constructor({ active, waiting }: { readonly active: number; readonly waiting: number }) {
    this.#active = active
    this.#waiting = waiting
  }

  /** Whether {@link run} would refuse. */
  get full(): boolean {
    return this.#running >= this.#active && this.#queue.length >= this.#waiting
  }

  /** Runs a task in its turn. Ask {@link full} first, in the same tick: this queues whatever it gets. */
  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    // A turn is handed over, never given up in between: `#running` counts it all the while.
    if (this.#running >= this.#active) await new Promise<void>((turn) => this.#queue.push(turn))
    else this.#running += 1
    try {
      return await task()
    } finally {
      const next = this.#queue.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}
