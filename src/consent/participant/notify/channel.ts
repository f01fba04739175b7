// One way in which a person is told, with its queue and its patience. Whatever the other end does, it costs a
// participant no more than this: one notification at a time, so many tries, one list of what is new.

import { randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.js'
import type { NotificationResult } from './options.js'

export type Outcome =
  | { readonly done: true }
  | {
      readonly done: false
      /** Whether another try could go better. */
      readonly again: boolean
      readonly reason: string
      /** What the other end asks for. */
      readonly waitMilliseconds?: number
    }

export interface Delivery {
  readonly channel: NotificationResult['channel']
  /** One try. Never rejects; ends soon once `signal` is aborted. */
  attempt(id: string, body: string, signal: AbortSignal): Promise<Outcome>
  /** Wipes what is secret. */
  close(): void
}

export interface ChannelOptions {
  readonly clock: Clock
  readonly tries: number
  readonly timeout: number
  readonly pause: number
  /** The body about these requests; undefined where none of them waits any more. */
  readonly bodyFor: (ids: readonly string[]) => string | undefined
  readonly onResult: (result: NotificationResult) => void
}

/** Requests of one notification that are kept by name; of more only the latest. */
const MOST_NEW = 256
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 60_000

export class Channel {
  readonly #delivery: Delivery
  readonly #options: ChannelOptions
  readonly #closing = new AbortController()
  #fresh: string[] = []
  #busy = false
  #running: Promise<void> = Promise.resolve()

  constructor(delivery: Delivery, options: ChannelOptions) {
    this.#delivery = delivery
    this.#options = options
  }

  /** Returns at once. */
  add(id: string): void {
    if (this.#closing.signal.aborted) return
    this.#fresh = [id, ...this.#fresh].slice(0, MOST_NEW)
    if (!this.#busy) this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
    this.#delivery.close()
  }

  async #run(): Promise<void> {
    const { pause, bodyFor, onResult } = this.#options
    this.#busy = true
    while (this.#fresh.length > 0 && !this.#closing.signal.aborted) {
      const ids = this.#fresh
      this.#fresh = []
      const body = bodyFor(ids)
      if (body === undefined) continue
      onResult({ requests: ids.length, ...(await this.#deliver(body)) })
      await this.#sleep(pause)
    }
    this.#busy = false
  }

  async #deliver(body: string): Promise<Omit<NotificationResult, 'requests'>> {
    const { tries, timeout, clock } = this.#options
    const { channel } = this.#delivery
    // The same for every try: the receiver can tell that it has it already.
    const id = `msg_${randomBytes(18).toString('base64url')}`
    for (let count = 1; ; count += 1) {
      const late = new AbortController()
      const cancel = clock.after(timeout, () => late.abort())
      const signal = AbortSignal.any([this.#closing.signal, late.signal])
      const outcome = await this.#delivery.attempt(id, body, signal)
      cancel()
      if (outcome.done) return { channel, tries: count }
      if (!outcome.again || count === tries || this.#closing.signal.aborted) {
        return { channel, tries: count, error: outcome.reason }
      }
      const backoff = FIRST_WAIT_MS * 2 ** (count - 1) * (1 + Math.random() / 4)
      await this.#sleep(Math.min(LONGEST_WAIT_MS, Math.max(backoff, outcome.waitMilliseconds ?? 0)))
    }
  }

  async #sleep(milliseconds: number): Promise<void> {
    const { signal } = this.#closing
    if (signal.aborted || milliseconds === 0) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        cancel()
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const cancel = this.#options.clock.after(milliseconds, wake)
      signal.addEventListener('abort', wake)
    })
  }
}
