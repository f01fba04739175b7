// The two clocks that leases are counted by. A wall clock can be set, by an operator too; a monotonic
// one cannot, but may stand still while a machine is paused. Whichever runs out first ends a lease.

import { performance } from 'node:perf_hooks'

/** Time and timers, replaceable by a test. */
export interface Clock {
  /** Wall clock: milliseconds since 1970-01-01T00:00:00Z. */
  wall(): number
  /** Monotonic clock: milliseconds since some moment, never set back. */
  monotonic(): number
  /**
   * Calls back once, `milliseconds` later at the earliest. The timer does not keep the process alive.
   * @returns a function that cancels it.
   */
  after(milliseconds: number, callback: () => void): () => void
}

/** The machine's own clocks. */
export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
