// How much of what one socket has sent is still waiting, and when to tell it to wait or go on.

import type { EventEmitter } from 'node:events'
import type { DtlsSocketEvents } from './events.js'
import type { IoThread, Stager, Waiter } from './io-thread.js'

interface Submitted {
  readonly number: number
  readonly bytes: number
}

/** Where the socket lives. */
interface OutgoingHome {
  readonly thread: IoThread
  readonly endpoint: number
  readonly highWaterMark: number
}

/** Messages beyond so many high-water marks are not taken. */
const TAKEN_MARKS = 4
/** Submissions that are remembered without asking whether they have gone: each costs 50 bytes. */
const MOST_UNSETTLED = 32

export class Outgoing implements Stager, Waiter {
  readonly #thread: IoThread
  readonly #endpoint: number
  readonly #session: number
  readonly #highWaterMark: number
  readonly #socket: EventEmitter<DtlsSocketEvents>
  #staged = 0
  #submitted: Submitted[] = []
  #submittedBytes = 0
  #waiting = false
  /** The submission that is waited for. */
  #awaited = 0

  /** @param socket - emits `drain`. */
  constructor(home: OutgoingHome, session: number, socket: EventEmitter<DtlsSocketEvents>) {
    this.#thread = home.thread
    this.#endpoint = home.endpoint
    this.#session = session
    this.#highWaterMark = home.highWaterMark
    this.#socket = socket
  }

  /** Bytes of messages that the system has not taken yet. */
  get bytes(): number {
    this.#settle()
    return this.#staged + this.#submittedBytes
  }

  /** Whether one more message is taken, however large. */
  get accepts(): boolean {
    const limit = this.#highWaterMark * TAKEN_MARKS
    // The unsettled sum is an upper bound, and costs nothing.
    return this.#staged + this.#submittedBytes < limit || this.bytes < limit
  }

  /** @returns false when the high-water mark is reached: onDrain() follows. */
  push(message: Uint8Array): boolean {
    // In this order: stage() may submit, but only what was staged before this.
    this.#thread.stage(this.#endpoint, this.#session, message)
    if (this.#staged === 0) this.#thread.tellSubmitted(this)
    this.#staged += message.length
    if (this.#staged + this.#submittedBytes < this.#highWaterMark) return true
    if (this.bytes < this.#highWaterMark) return true
    this.#wait()
    return false
  }

  onSubmitted(number: number): void {
    this.#submitted.push({ number, bytes: this.#staged })
    this.#submittedBytes += this.#staged
    this.#staged = 0
    if (this.#submitted.length >= MOST_UNSETTLED) this.#settle()
  }

  onProgress(): void {
    // Another socket's listener may have closed this one.
    if (!this.#waiting) return
    if (this.bytes > this.#highWaterMark / 2) {
      // Another session's news: asking again each time would double the questions with every waiting session.
      if (after(this.#awaited, this.#progress)) return
      this.#waiting = false
      this.#wait()
      return
    }
    this.stop()
    this.#socket.emit('drain')
  }

  stop(): void {
    this.#waiting = false
    this.#thread.forget(this, this.#endpoint)
  }

  #wait(): void {
    if (this.#waiting) return
    this.#waiting = true
    this.#thread.flush()
    this.#awaited = this.#submitted.at(-1)?.number ?? this.#progress
    this.#thread.wait(this, this.#endpoint, this.#awaited)
  }

  get #progress(): number {
    return this.#thread.native.progress(this.#endpoint)
  }

  #settle(): void {
    if (this.#submitted.length === 0) return
    const progress = this.#progress
    let gone = 0
    for (const { number, bytes } of this.#submitted) {
      if (after(number, progress)) break
      this.#submittedBytes -= bytes
      gone += 1
    }
    if (gone > 0) this.#submitted = this.#submitted.slice(gone)
  }
}

/** Whether one submission comes after another; numbers wrap at 2^32. */
function after(number: number, other: number): boolean {
  return ((number - other) | 0) > 0
}
