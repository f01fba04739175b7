// How a person proves to be the one who started the participant: with what the command printed. The
// token works as long as the process runs; a link works once and for ten minutes, as links end up in
// histories and screenshots.

import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../base/clock.js'
import type { Seconds } from '../../base/time.js'
import { RateLimiterMemory, RateLimiterRes } from '../rate-limiter.js'
import { hash, randomText } from './sessions.js'

/** Wrong tokens before everybody has to wait. */
export const MOST_WRONG = 10
/** Seconds in which that many wrong tokens count. */
export const WRONG_SECONDS = 60
/** Links not used yet; one more replaces the oldest. */
export const MOST_LINKS = 8
const LINK_MILLISECONDS = 600_000

export type LoginResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly retryAfter?: Seconds }

/** Tokens, links, and how often somebody may guess. */
export class Login {
  /** For typing or pasting: 43 characters. */
  readonly token = randomText()
  readonly #tokenHash = hash(this.token)
  readonly #clock: Clock
  #links: { readonly hash: Buffer; readonly ends: number }[] = []
  readonly #limiter = new RateLimiterMemory({ points: MOST_WRONG, duration: WRONG_SECONDS })

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A new secret for a link. */
  link(): string {
    const text = randomText()
    const ends = this.#clock.monotonic() + LINK_MILLISECONDS
    this.#links = [...this.#links, { hash: hash(text), ends }].slice(-MOST_LINKS)
    return text
  }

  /** @param secret - the token, or what a link carried; a link is spent by this. */
  async check(secret: string): Promise<LoginResult> {
    // All callers share one allowance: on loopback an address tells nobody apart. Programs of this
    // machine can use it up; a foreign web page cannot, its requests never come this far.
    // Counted before it is looked at, or many at once would all be looked at.
    try {
      await this.#limiter.consume(EVERYBODY)
    } catch (refused) {
      return { ok: false, retryAfter: secondsUntil(refused) }
    }
    if (!this.#matches(hash(secret))) return { ok: false }
    await this.#limiter.reward(EVERYBODY)
    return { ok: true }
  }

  #matches(given: Buffer): boolean {
    const now = this.#clock.monotonic()
    // Compares with all of them, always: time tells neither which matched nor how far.
    const spent = this.#links.filter((link) => timingSafeEqual(link.hash, given))
    this.#links = this.#links.filter((link) => !spent.includes(link) && now < link.ends)
    return timingSafeEqual(this.#tokenHash, given) || spent.some((link) => now < link.ends)
  }
}

const EVERYBODY = 'everybody'

function secondsUntil(refused: unknown): number {
  const milliseconds = refused instanceof RateLimiterRes ? refused.msBeforeNext : 0
  return Math.max(1, Math.ceil(milliseconds / 1000))
}
