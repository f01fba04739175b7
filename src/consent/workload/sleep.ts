import { MAX_MILLISECONDS } from '../../options.js'
import type { Clock } from '../base/clock.js'

/** Waits on a clock's timer. @returns resolves after `milliseconds`, or at once when the signal aborts. */
export function sleep(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(Math.min(Math.max(0, milliseconds), MAX_MILLISECONDS), done)
    signal.addEventListener('abort', done, { once: true })
  })
}

/** For promises of others, who may not look at their signal: rejects as soon as it aborts. */
export function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new Error('it took too long'))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/**
 * A signal that aborts with another one, or when time is over.
 *
 * @returns the signal, and what frees it.
 */
export function timeLimit(
  clock: Clock,
  milliseconds: number,
  outer: AbortSignal,
): { readonly signal: AbortSignal; readonly free: () => void } {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  const cancel = clock.after(Math.min(milliseconds, MAX_MILLISECONDS), abort)
  if (outer.aborted) abort()
  else outer.addEventListener('abort', abort, { once: true })
  return {
    signal: controller.signal,
    free: () => {
      cancel()
      outer.removeEventListener('abort', abort)
    },
  }
}
