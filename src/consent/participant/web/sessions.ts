// The people signed in. A session has two halves: a cookie that scripts cannot read, and a key that the
// page keeps for its own origin and sends as a header. Cookies are shared by all ports of one host, so
// another program on this machine gets to see the first half; only our own page has the second.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../base/clock.js'

/** More people than one participant has; the oldest session goes when there is one too many. */
export const MOST_SESSIONS = 16

export interface Session {
  /** Monotonic milliseconds. */
  readonly ends: number
  /** Aborted when the session ends, however it does. */
  readonly signal: AbortSignal
}

/** What the browser keeps of a session: both are 32 random bytes as base64url. */
export interface SessionSecrets {
  readonly cookie: string
  readonly key: string
}

interface Entry extends Session {
  readonly key: Buffer
  readonly end: () => void
}

/** The table of sessions; in memory only, so that a restart signs everybody out. */
export class Sessions {
  readonly #clock: Clock
  readonly #lifetime: number
  /** By the hash of the cookie: how long a look-up takes says nothing about a cookie. */
  readonly #entries = new Map<string, Entry>()

  /** @param lifetime - milliseconds, counted from signing in; using the page does not prolong it. */
  constructor(clock: Clock, lifetime: number) {
    this.#clock = clock
    this.#lifetime = lifetime
  }

  get size(): number {
    return this.#entries.size
  }

  open(): SessionSecrets {
    const [oldest] = this.#entries.keys()
    if (this.#entries.size >= MOST_SESSIONS && oldest !== undefined) this.#end(oldest)
    const secrets = { cookie: randomText(), key: randomText() }
    const id = hash(secrets.cookie).toString('hex')
    const aborter = new AbortController()
    const cancel = this.#clock.after(this.#lifetime, () => this.#end(id))
    this.#entries.set(id, {
      key: hash(secrets.key),
      ends: this.#clock.monotonic() + this.#lifetime,
      signal: aborter.signal,
      end: () => {
        cancel()
        aborter.abort()
      },
    })
    return secrets
  }

  /** The session of these two halves; undefined when either is missing, wrong or too old. */
  find(cookie: string | undefined, key: string | undefined): Session | undefined {
    const id = hash(cookie ?? '').toString('hex')
    const entry = this.#entries.get(id)
    if (!entry || !timingSafeEqual(entry.key, hash(key ?? ''))) return undefined
    if (this.#clock.monotonic() < entry.ends) return entry
    this.#end(id)
    return undefined
  }

  close(cookie: string | undefined): void {
    this.#end(hash(cookie ?? '').toString('hex'))
  }

  closeAll(): void {
    for (const id of [...this.#entries.keys()]) this.#end(id)
  }

  #end(id: string): void {
    const entry = this.#entries.get(id)
    this.#entries.delete(id)
    entry?.end()
  }
}

/** 32 random bytes as 43 characters of base64url. */
export function randomText(): string {
  return randomBytes(32).toString('base64url')
}

/** Equal lengths for comparing, and nothing to steal from a memory dump of the table. */
export function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
