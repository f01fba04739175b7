import { setTimeout as sleep } from 'node:timers/promises'
import { slowdown } from './pace.js'

/**
 * Polls until `condition` gives something other than false, null or undefined, and returns it.
 * @param what - names the awaited state in the error.
 * @param timeout - milliseconds, 30,000 unless told.
 * @throws {Error} when the time is over; an error thrown by `condition` is thrown on at once.
 */
export async function waitFor<Value>(
  what: string,
  condition: () => Value | Promise<Value>,
  timeout = 30_000,
): Promise<NonNullable<Value>> {
  const deadline = performance.now() + timeout * slowdown
  for (;;) {
    const value = await condition()
    if (value !== false && value !== null && value !== undefined) return value
    if (performance.now() > deadline) throw new Error(`${timeout} ms passed without: ${what}`)
    await sleep(10)
  }
}
