// Open challenges: at most so many, each good once and for one request. A challenge costs this
// participant random bytes and a place in this table; everything that costs more comes after it.

import { randomBytes } from 'node:crypto'
import { toBase64url } from '../base/base64url.js'
import type { Clock } from '../base/clock.js'
import { toUnixSeconds, type UnixSeconds } from '../base/time.js'

export interface ChallengeTableOptions {
  readonly clock: Clock
  /** Most challenges open at once. */
  readonly capacity: number
  /** Seconds until an unanswered challenge is worth nothing. */
  readonly seconds: number
}

/** A challenge and the request that it was given for. */
export interface OpenChallenge<Request> {
  /** 32 random bytes. */
  readonly c: Buffer
  /** Rounded down: never later than what the monotonic clock enforces. */
  readonly expires: UnixSeconds
  readonly request: Request
}

interface Entry<Request> extends OpenChallenge<Request> {
  readonly key: string
  readonly source: string
  readonly deadline: number
}

const CHALLENGE_BYTES = 32

/** The table. `Request` is what the answer has to be about; it comes back with the answer. */
export class ChallengeTable<Request> {
  readonly #clock: Clock
  readonly #capacity: number
  readonly #milliseconds: number
  /** All live for the same time, so the order of insertion is the order of expiry. */
  readonly #entries = new Map<string, Entry<Request>>()
  /** The same entries by who asked, oldest first. */
  readonly #sources = new Map<string, Set<Entry<Request>>>()

  constructor({ clock, capacity, seconds }: ChallengeTableOptions) {
    this.#clock = clock
    this.#capacity = capacity
    this.#milliseconds = seconds * 1000
  }

  /** Open challenges, expired ones not counted. */
  get size(): number {
    this.#expire()
    return this.#entries.size
  }

  /**
   * Opens a challenge. When the table is full, whoever holds most places gives its oldest to a source
   * that would still hold fewer: a flood from one address displaces only itself.
   *
   * @param source - who asks, as the transport sees it.
   * @returns `undefined` when the table is full and `source` has its fair share: busy.
   */
  open(request: Request, source: string): OpenChallenge<Request> | undefined {
    this.#expire()
    if (this.#entries.size >= this.#capacity && !this.#displaceFor(source)) return undefined
    const c = randomBytes(CHALLENGE_BYTES)
    const entry: Entry<Request> = {
      c,
      key: toBase64url(c),
      expires: toUnixSeconds(this.#clock.wall() + this.#milliseconds),
      deadline: this.#clock.monotonic() + this.#milliseconds,
      request,
      source,
    }
    this.#entries.set(entry.key, entry)
    const own = this.#sources.get(source)
    if (own === undefined) this.#sources.set(source, new Set([entry]))
    else own.add(entry)
    return entry
  }

  /** Whether {@link take} would give something. Spends nothing. */
  has(c: string): boolean {
    this.#expire()
    return this.#entries.has(c)
  }

  /** Gives the challenge out and forgets it in the same step: no answer is judged twice. */
  take(c: string): OpenChallenge<Request> | undefined {
    this.#expire()
    const entry = this.#entries.get(c)
    if (entry !== undefined) this.#remove(entry)
    return entry
  }

  clear(): void {
    this.#entries.clear()
    this.#sources.clear()
  }

  #expire(): void {
    const now = this.#clock.monotonic()
    for (const entry of this.#entries.values()) {
      if (entry.deadline > now) return
      this.#remove(entry)
    }
  }

  /** Looks at every source, but only while the table is full, and there are fewer than places. */
  #displaceFor(source: string): boolean {
    let greediest: Set<Entry<Request>> | undefined
    for (const held of this.#sources.values()) {
      if (greediest === undefined || held.size > greediest.size) greediest = held
    }
    const own = this.#sources.get(source)?.size ?? 0
    if (greediest === undefined || greediest.size <= own + 1) return false
    for (const oldest of greediest) {
      this.#remove(oldest)
      return true
    }
    return false
  }

  #remove(entry: Entry<Request>): void {
    this.#entries.delete(entry.key)
    const own = this.#sources.get(entry.source)
    own?.delete(entry)
    if (own?.size === 0) this.#sources.delete(entry.source)
  }
}
