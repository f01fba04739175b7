// How much costly work goes on at once. Evidence waits for an issuer's keys, a release for the disk; what waits
// behind them is memory that strangers fill, so the queue is bounded. Instances that hold a lease have their own queue, which
// comes first, and places that nobody else takes: a flood must not keep them from renewing.

export interface GateOptions {
  /** Tasks at once, besides the places that are kept. */
  readonly active: number
  /** Tasks that wait, in each of the two queues. */
  readonly waiting: number
}

/** Places beside the others, one for so many, that are kept for holders of a lease. */
const OTHERS_FOR_ONE_KEPT = 4

export class Gate {
  readonly #active: number
  readonly #forAnybody: number
  readonly #waiting: number
  readonly #queues: { readonly [first in 'first' | 'others']: (() => void)[] } = {
    first: [],
    others: [],
  }
  #running = 0

  constructor({ active, waiting }: GateOptions) {
    this.#forAnybody = active
    this.#active = active + Math.ceil(active / OTHERS_FOR_ONE_KEPT)
    this.#waiting = waiting
  }

  /** Whether {@link run} would refuse. @param first - for an instance that holds a lease. */
  isFull(first: boolean): boolean {
    return this.#running >= this.#most(first) && this.#queue(first).length >= this.#waiting
  }

  /** Runs a task in its turn. Ask {@link isFull} first, in the same tick: this queues whatever it gets. */
  async run<Result>(first: boolean, task: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#most(first)) {
      // The turn is counted by who gives it: nobody can get between.
      await new Promise<void>((turn) => this.#queue(first).push(turn))
    } else {
      this.#running += 1
    }
    try {
      return await task()
    } finally {
      this.#running -= 1
      this.#next()
    }
  }

  #next(): void {
    for (const first of [true, false]) {
      if (this.#running >= this.#most(first)) continue
      const turn = this.#queue(first).shift()
      if (turn === undefined) continue
      this.#running += 1
      turn()
      return
    }
  }

  #most(first: boolean): number {
    return first ? this.#active : this.#forAnybody
  }

  #queue(first: boolean): (() => void)[] {
    return first ? this.#queues.first : this.#queues.others
  }
}
