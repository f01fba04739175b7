// How much time has passed, by the clock that says more. A wall clock can be set back, a monotonic one
// may stand still while the machine is paused; an operator can do one after the other. So the greater
// advance counts between every two looks, not only from begin to end.

import type { Clock } from './clock.js'

/**
 * Milliseconds from which on a look is kept. Looks in between change nothing, or the rounding of two
 * clocks would be counted with each of thousands of connections.
 */
const STEP = 250

/** One look at the clocks. */
export interface Moment {
  /** Milliseconds since the stopwatch was made; never less than a look before said. */
  readonly elapsed: number
  /** Milliseconds since 1970, by the wall clock or by what has passed since the begin: never set back. */
  readonly date: number
}

export class Stopwatch {
  readonly #clock: Clock
  #wall: number
  #monotonic: number
  /** Milliseconds until the last look that was kept. */
  #kept = 0
  /** The most that was ever said. */
  #elapsed = 0
  readonly #began: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#wall = clock.wall()
    this.#monotonic = clock.monotonic()
    this.#began = this.#wall
  }

  /** Looks at both clocks. */
  now(): Moment {
    const wall = this.#clock.wall()
    const elapsed = this.#passedUntil(wall)
    return { elapsed, date: Math.max(wall, this.#began + elapsed) }
  }

  #passedUntil(wall: number): number {
    const monotonic = this.#clock.monotonic()
    const passed = Math.max(wall - this.#wall, monotonic - this.#monotonic, 0)
    this.#elapsed = Math.max(this.#elapsed, this.#kept + passed)
    if (passed >= STEP || wall - this.#wall <= -STEP) {
      this.#wall = wall
      this.#monotonic = monotonic
      this.#kept = this.#elapsed
    }
    return this.#elapsed
  }
}
