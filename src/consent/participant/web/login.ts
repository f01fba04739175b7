// How a person proves to be the one who started the participant: with what the command printed. The
// token works as long as the process runs; a link works once and for ten minutes, as links end up in
// histories and screenshots.

import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../base/clock.js'
import type { Seconds } from '../../base/time.js'
import { RateLimiterMemory, RateLimiterRes } from '../rate-limiter.js'
import { hash, randomText } from './sessions.js'

/** Wrong secrets before further wrong ones are told to wait. */
export const MOST_WRONG = 10
/** Seconds in which that many count. */
export const WRONG_SECONDS = 60
/** Links not used yet; one more replaces the oldest. */
export const MOST_LINKS = 8
const LINK_MILLISECONDS = 600_000

export type LoginResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly retryAfter?: Seconds }

/**
 * Tokens, links, and how often somebody may guess.
 *
 * A right secret always opens, however many wrong ones came before: 256 random bits are not guessed at any rate,
 * and a limit for all would let any program of this machine lock the owner out. The limit is for what does not
 * match: it tells people and their scripts that something is wrong.
 */
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
    if (this.#matches(hash(secret))) return { ok: true }
    try {
      await this.#limiter.consume(EVERYBODY)
      return { ok: false }
    } catch (refused) {
      return { ok: false, retryAfter: secondsUntil(refused) }
    }
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
