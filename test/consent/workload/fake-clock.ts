// A clock that only a test moves: the wall, the monotonic one, or both.

import type { Clock } from '../../../src/consent/base/clock.js'

interface Timer {
  readonly at: number
  readonly callback: () => void
}

export class FakeClock implements Clock {
  #wall: number
  #monotonic = 1_000
  readonly #timers = new Set<Timer>()

  constructor(wall = Date.UTC(2027, 2, 5, 12)) {
    this.#wall = wall
  }

  wall(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.#monotonic + milliseconds, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers waiting. */
  get waiting(): number {
    return this.#timers.size
  }

  /** Time goes by as it should, each timer at its moment. */
  advance(milliseconds: number): void {
    const until = this.#monotonic + milliseconds
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > until) break
      this.#timers.delete(next)
      this.#step(Math.max(0, next.at - this.#monotonic))
      next.callback()
    }
    this.#step(until - this.#monotonic)
  }

  /** The process stands still (SIGSTOP): both clocks go on, no timer runs until `wake`. */
  stop(milliseconds: number): void {
    this.#step(milliseconds)
  }

  /** The machine is suspended: the monotonic clock stands still as well. */
  suspend(milliseconds: number): void {
    this.#wall += milliseconds
  }

  /** Somebody sets the wall clock. */
  setWall(by: number): void {
    this.#wall += by
  }

  /** Runs what is due. */
  wake(): void {
    this.advance(0)
  }

  #step(milliseconds: number): void {
    this.#wall += milliseconds
    this.#monotonic += milliseconds
  }
}
