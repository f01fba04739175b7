// The leases of one epoch: which participants' consent is alive, and until when.
//
// A lease is counted from the moment its request was sent, so that no delay on the way makes
// it longer. The first clock to say so ends it (see Stopwatch), and so do the dates that the participant and
// the descriptor set.

import type { Moment, Stopwatch } from '../base/stopwatch.js'
import type { ElapsedMilliseconds, UnixMilliseconds } from '../base/time.js'

/** What a lease is made of. */
export interface Grant {
  readonly label: string
  /** When the request was sent, by the stopwatch. */
  readonly sentAt: ElapsedMilliseconds
  /** How long it lasts, milliseconds. */
  readonly lasts: number
  /** When it ends in any case. */
  readonly endsAt: UnixMilliseconds
}

export interface HeldLease extends Grant {
  readonly renewals: number
  /** Attempts to renew it so far. */
  tries: number
}

export class Leases {
  readonly #stopwatch: Stopwatch
  readonly #held = new Map<string, HeldLease>()

  constructor(stopwatch: Stopwatch) {
    this.#stopwatch = stopwatch
  }

  /** How many there are, as of the last {@link expire}. */
  get count(): number {
    return this.#held.size
  }

  get(label: string): HeldLease | undefined {
    return this.#held.get(label)
  }

  [Symbol.iterator](): IterableIterator<HeldLease> {
    return this.#held.values()
  }

  /** Milliseconds left; zero or less: it has ended. */
  remaining(grant: Grant): number {
    return remainingAt(grant, this.#stopwatch.now())
  }

  /**
   * A new lease, or a renewed one: the participant's last word counts, also when it is a shorter lease.
   *
   * @returns the lease; `undefined` for one that is over before it began.
   */
  grant(grant: Grant): HeldLease | undefined {
    if (this.remaining(grant) <= 0) return undefined
    const before = this.#held.get(grant.label)
    const lease = { ...grant, renewals: before ? before.renewals + 1 : 0, tries: 0 }
    this.#held.set(grant.label, lease)
    return lease
  }

  drop(label: string): void {
    this.#held.delete(label)
  }

  clear(): void {
    this.#held.clear()
  }

  /** Looks at the clocks. @returns the leases that have ended; they are gone from here. */
  expire(): HeldLease[] {
    const now = this.#stopwatch.now()
    const over: HeldLease[] = []
    for (const lease of this.#held.values()) {
      if (remainingAt(lease, now) <= 0) over.push(lease)
    }
    for (const { label } of over) this.#held.delete(label)
    return over
  }

  /**
   * Milliseconds until the clocks are worth a look: a second, less where leases are short, and the
   * moment one ends.
   */
  nextLook(): number {
    let wait = LONGEST_BETWEEN_LOOKS
    for (const lease of this.#held.values()) {
      wait = Math.min(wait, lease.lasts / 10, this.remaining(lease))
    }
    return Math.max(SHORTEST_BETWEEN_LOOKS, wait)
  }
}

/** Milliseconds. */
const LONGEST_BETWEEN_LOOKS = 1_000
const SHORTEST_BETWEEN_LOOKS = 10

function remainingAt({ sentAt, lasts, endsAt }: Grant, { elapsed, date }: Moment): number {
  return Math.min(sentAt + lasts - elapsed, endsAt - date)
}
