// How many key lookups may run at a time. A lookup has its place until its promise settles, whether or not its
// connection is there still: else a stranger who connects, names an identity and leaves could have any number of them.
//
// No host has more places than it leaves to others: one alone gets half of them, two a third each, and there is
// always one for a host that has none. Others wait, which their handshake's time bounds.

import { sourceOf } from '../source.js'
import type { Cancel } from './server-keys.js'

/** Where nothing else is said; as a DTLS server's `maxHandshakes`. */
const MOST_LOOKUPS = 4_096

/** Begins a lookup; `settled` is to be called exactly once, when it costs nothing any more. */
type Begin = (settled: () => void) => Cancel

interface Waiter {
  readonly begin: Begin
  /** Once it has begun. */
  cancel: Cancel | undefined
}

export class LookupPlaces {
  readonly #most: () => number | undefined
  #taken = 0
  #calling = false
  readonly #takenByHost = new Map<string, number>()
  /** By host, in the order in which they came. */
  readonly #waiting = new Map<string, Set<Waiter>>()

  /** @param most - how many there are; asked each time, undefined: 4,096. */
  constructor(most: () => number | undefined) {
    this.#most = most
  }

  /** Begins at once where there is a place, else later. @returns what ends either. */
  take(address: string, begin: Begin): Cancel {
    const host = sourceOf(address).own
    if (this.#isFree(host)) return this.#begin(host, begin)
    const waiter: Waiter = { begin, cancel: undefined }
    const others = this.#waiting.get(host)
    if (others) others.add(waiter)
    else this.#waiting.set(host, new Set([waiter]))
    return () => {
      if (waiter.cancel) waiter.cancel()
      else this.#forget(host, waiter)
    }
  }

  #isFree(host: string): boolean {
    const most = this.#most() ?? MOST_LOOKUPS
    return this.#taken + (this.#takenByHost.get(host) ?? 0) < most
  }

  #begin(host: string, begin: Begin): Cancel {
    this.#taken += 1
    this.#takenByHost.set(host, (this.#takenByHost.get(host) ?? 0) + 1)
    return begin(() => {
      this.#taken -= 1
      const left = (this.#takenByHost.get(host) ?? 0) - 1
      if (left > 0) this.#takenByHost.set(host, left)
      else this.#takenByHost.delete(host)
      this.#callWaiting()
    })
  }

  /** As many as there are places for; one that answers at once frees its own in the middle of it. */
  #callWaiting(): void {
    if (this.#calling) return
    this.#calling = true
    for (let next = this.#next(); next; next = this.#next()) {
      const { host, waiter } = next
      waiter.cancel = this.#begin(host, waiter.begin)
    }
    this.#calling = false
  }

  #next(): { readonly host: string; readonly waiter: Waiter } | undefined {
    for (const [host, waiters] of this.#waiting) {
      const [waiter] = waiters
      if (!waiter || !this.#isFree(host)) continue
      this.#forget(host, waiter)
      if (waiters.size > 0) {
        // Hosts take turns.
        this.#waiting.delete(host)
        this.#waiting.set(host, waiters)
      }
      return { host, waiter }
    }
    return undefined
  }

  #forget(host: string, waiter: Waiter): void {
    const waiters = this.#waiting.get(host)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#waiting.delete(host)
  }
}
