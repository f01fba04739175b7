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
    this.#staged += message.length
    this.#thread.stage(this.#endpoint, this.#session, message, this)
    if (this.#staged + this.#submittedBytes < this.#highWaterMark) return true
    if (this.bytes < this.#highWaterMark) return true
    this.#wait()
    return false
  }

  onSubmitted(number: number): void {
    if (this.#staged === 0) return
    this.#submitted.push({ number, bytes: this.#staged })
    this.#submittedBytes += this.#staged
    this.#staged = 0
  }

  onProgress(): boolean {
    if (this.bytes > this.#highWaterMark / 2) {
      this.#waiting = false
      this.#wait()
      return false
    }
    this.#waiting = false
    this.#socket.emit('drain')
    // A listener may have filled it again.
    return !this.#waiting
  }

  stop(): void {
    this.#waiting = false
    this.#thread.forget(this, this.#endpoint)
  }

  #wait(): void {
    if (this.#waiting) return
    this.#waiting = true
    this.#thread.flush()
    this.#thread.wait(this, this.#endpoint, this.#submitted.at(-1)?.number ?? this.#progress)
  }

  get #progress(): number {
    return this.#thread.native.progress(this.#endpoint)
  }

  #settle(): void {
    if (this.#submitted.length === 0) return
    const progress = this.#progress
    let gone = 0
    for (const { number, bytes } of this.#submitted) {
      // Numbers wrap at 2^32.
      if (((number - progress) | 0) > 0) break
      this.#submittedBytes -= bytes
      gone += 1
    }
    if (gone > 0) this.#submitted = this.#submitted.slice(gone)
  }
}
