// Challenges that need no memory: what the participant has to know again stands in the challenge itself, under
// a MAC that only it can make. A flood of requests thus takes processor time and nothing else, and pushes
// out nobody. Only answered challenges are remembered, so that none is good twice.
//
//   c = milliseconds (6 bytes) || random (10) || HMAC-SHA256(key, lp(title) || those 16 || canonical request) (16)
//
// To workloads it is 32 random bytes. The MAC covers the request, which comes back with the evidence: an answer
// for another request than the one that was asked is no answer.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { lengthPrefixed } from '../../psk/encoding.js'
import { fromBase64url } from '../base/base64url.js'
import { canonicalBytes } from '../base/canonical.js'
import type { Clock } from '../base/clock.js'
import { Stopwatch } from '../base/stopwatch.js'
import { toUnixSeconds, type UnixSeconds } from '../base/time.js'
import type { ReleaseRequest } from '../release/messages.js'

export interface ChallengesOptions {
  readonly clock: Clock
  /** Seconds until an unanswered challenge is worth nothing. */
  readonly seconds: number
  /** Most answered challenges remembered whose evidence came to nothing. */
  readonly answered: number
  /** 32 bytes; the same for all that answer for one participant. @defaultValue random: for this process alone */
  readonly key?: Uint8Array
}

const TITLE = lengthPrefixed('mcbn/1 challenge')
const CHALLENGE_BYTES = 32
const TIME_BYTES = 6
const STAMP_BYTES = 16
/** How far the clocks of several that answer for one participant may be apart. */
const SKEW_MS = 5_000

/** The challenges of one participant. */
export class Challenges {
  readonly #stopwatch: Stopwatch
  readonly #clock: Clock
  readonly #lifetime: number
  readonly #key: Uint8Array
  readonly #skew: number
  readonly #most: number
  /**
   * Being judged, or answered by a release: forgetting one early could release twice. By when it may be
   * forgotten (monotonic), in that order. Bounded by what is judged at once and by real releases.
   */
  readonly #taken = new Map<string, number>()
  /** Answered by what came to nothing: one that is forgotten early costs another look at bad evidence. */
  readonly #spent = new Map<string, number>()

  constructor({ clock, seconds, answered, key }: ChallengesOptions) {
    this.#clock = clock
    this.#stopwatch = new Stopwatch(clock)
    this.#lifetime = seconds * 1000
    this.#most = answered
    this.#key = key ?? randomBytes(32)
    this.#skew = key === undefined ? 0 : SKEW_MS
  }

  /** Answered challenges that are remembered. */
  get remembered(): number {
    this.#forget()
    return this.#taken.size + this.#spent.size
  }

  /** Makes a challenge for a request; keeps nothing. */
  issue(request: ReleaseRequest): { readonly c: Buffer; readonly expires: UnixSeconds } {
    const now = Math.floor(this.#stopwatch.now().date)
    const c = Buffer.alloc(CHALLENGE_BYTES)
    c.writeUIntBE(now, 0, TIME_BYTES)
    randomBytes(STAMP_BYTES - TIME_BYTES).copy(c, TIME_BYTES)
    this.#mac(c.subarray(0, STAMP_BYTES), request).copy(c, STAMP_BYTES)
    // Rounded down: never later than what is enforced.
    return { c, expires: toUnixSeconds(now + this.#lifetime) }
  }

  /**
   * A challenge that could be spent now; nothing is spent.
   *
   * @returns 32 bytes; `undefined` when it was never given for this request, has expired or was answered already.
   */
  open(c: string, request: ReleaseRequest): Buffer | undefined {
    this.#forget()
    if (this.#taken.has(c) || this.#spent.has(c)) return undefined
    return this.#live(c, request)
  }

  /** Spends what {@link open} has returned, in the same tick: no answer is judged twice. End it with {@link settle}. */
  spend(c: string): void {
    this.#taken.set(c, this.#clock.monotonic() + this.#lifetime)
  }

  /** Milliseconds after which no challenge that is good now is good any more, wherever it is answered. */
  get longest(): number {
    return this.#lifetime + 2 * this.#skew
  }

  /** @param released - whether a share left. */
  settle(c: string, released: boolean): void {
    const until = this.#taken.get(c)
    if (until === undefined || released) return
    this.#taken.delete(c)
    this.#spent.set(c, until)
    for (const oldest of this.#spent.keys()) {
      if (this.#spent.size <= this.#most) break
      this.#spent.delete(oldest)
    }
  }

  clear(): void {
    this.#taken.clear()
    this.#spent.clear()
  }

  #live(text: string, request: ReleaseRequest): Buffer | undefined {
    const c = fromBase64url(text, CHALLENGE_BYTES)
    if (c === undefined) return undefined
    const stamp = c.subarray(0, STAMP_BYTES)
    if (!timingSafeEqual(c.subarray(STAMP_BYTES), this.#mac(stamp, request))) return undefined
    const age = this.#stopwatch.now().date - c.readUIntBE(0, TIME_BYTES)
    return age >= -this.#skew && age < this.#lifetime ? c : undefined
  }

  #mac(stamp: Uint8Array, request: ReleaseRequest): Buffer {
    const mac = createHmac('sha256', this.#key).update(TITLE).update(stamp)
    return mac
      .update(canonicalBytes(request))
      .digest()
      .subarray(0, CHALLENGE_BYTES - STAMP_BYTES)
  }

  #forget(): void {
    const now = this.#clock.monotonic()
    for (const table of [this.#taken, this.#spent]) {
      for (const [c, until] of table) {
        if (until > now) break
        table.delete(c)
      }
    }
  }
}
