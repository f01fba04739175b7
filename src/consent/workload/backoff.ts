// How long to wait before asking again.

import { randomInt } from 'node:crypto'

/** Waiting times between attempts. */
export interface RetryOptions {
  /** Milliseconds before the second attempt; doubled with each further one. @defaultValue 500 */
  readonly initial?: number
  /** Most milliseconds between two attempts. @defaultValue 15_000 */
  readonly max?: number
  /** Which part of each wait is left to chance, 0 to 1: workloads must not ask in step. @defaultValue 0.5 */
  readonly jitter?: number
}

/** The one place where these defaults are written. */
export const RETRY_DEFAULTS = {
  initial: 500,
  max: 15_000,
  jitter: 0.5,
} as const satisfies Required<RetryOptions>

const PARTS = 1_000_000

/** A number from 0 (inclusive) to 1 (exclusive). */
function chance(): number {
  return randomInt(PARTS) / PARTS
}

/**
 * The wait after some failed attempts.
 *
 * @param failures - attempts in a row that failed, from 1.
 * @returns milliseconds, at most `max`, at least `(1 - jitter)` of what doubling gives.
 */
export function backoff(retry: Required<RetryOptions>, failures: number): number {
  const whole = Math.min(retry.max, retry.initial * 2 ** Math.min(failures - 1, 30))
  return whole * (1 - retry.jitter * chance())
}

/** Milliseconds between two requests to a participant whose policy says no: one to two minutes. */
export function slowly(): number {
  return SLOW * (1 + chance())
}

const SLOW = 60_000

/**
 * When to renew a lease: from half of it on, spread over a tenth, so that the workloads that one event
 * started do not keep asking all at once.
 *
 * @param left - milliseconds until the lease ends.
 * @returns milliseconds, 0.5 to 0.6 of it.
 */
export function renewalDelay(left: number, jitter: number): number {
  return left * (0.5 + 0.1 * jitter * chance())
}
