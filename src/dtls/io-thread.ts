// JavaScript's end of an I/O thread: gathers what is sent, hands on what comes back.
//
//   send() --stage--> one submit() a turn of the event loop --> I/O thread
//   I/O thread --batch--> rows in order --> the endpoint they belong to

import type {
  NativeEnding,
  NativeIoThread,
  NativeOpenedSession,
  NativeSessionQuestion,
  NativeSystemError,
} from '../native/dtls.js'
import { EVENT, EVENT_ROW_LENGTH, NO_DETAIL } from '../native/dtls.js'
import { loadAddon } from '../native/load.js'
import { rethrowLater, shielded } from '../shield.js'

/** What an endpoint hears; calls come in the order in which things happened. */
export interface EndpointListener {
  onMessage(session: number, message: Buffer): void
  /** Everything that had come when the batch was made has been told. */
  onBatchEnd(): void
  onOpened(session: number, opened: NativeOpenedSession): void
  onQuestion(session: number, question: NativeSessionQuestion): void
  /** @param ending - none: the peer said close_notify. */
  onEnded(session: number, ending: NativeEnding | undefined): void
  onRefused(session: number, ending: NativeEnding): void
  onKeylog(session: number, line: Buffer): void
  onSocketError(error: NativeSystemError): void
}

/** Somebody who was told to wait until less is waiting to be sent. */
export interface Waiter {
  /** @returns whether the wait is over. */
  onProgress(): boolean
}

const ROW_HEADER_BYTES = 12
/** Submitted early, so that the I/O thread encrypts while JavaScript is still sending. */
const STAGED_BYTES = 64 * 1024

export class IoThread {
  readonly native: NativeIoThread
  readonly #endpoints = new Map<number, EndpointListener>()
  readonly #waiters = new Set<Waiter>()
  readonly #stagers = new Set<Stager>()
  #lastEndpoint = 0
  #staging = Buffer.allocUnsafeSlow(STAGED_BYTES)
  #staged = 0
  #flushQueued = false
  #references = 0

  constructor() {
    this.native = new (loadAddon().IoThread)((rows, slab, details) =>
      this.#onBatch(rows, slab, details),
    )
  }

  /** @returns the number by which the endpoint is known to the I/O thread. */
  register(listener: EndpointListener): number {
    // Wraps after 2^32 endpoints, and then passes over those that are still there.
    do this.#lastEndpoint = (this.#lastEndpoint + 1) >>> 0
    while (this.#lastEndpoint === 0 || this.#endpoints.has(this.#lastEndpoint))
    this.#endpoints.set(this.#lastEndpoint, listener)
    return this.#lastEndpoint
  }

  /** Closes the endpoint's sessions and socket, after what was sent. */
  closeEndpoint(endpoint: number): void {
    this.flush()
    this.#endpoints.delete(endpoint)
    this.native.closeEndpoint(endpoint)
  }

  closeSession(endpoint: number, session: number): void {
    this.flush()
    this.native.closeSession(endpoint, session)
  }

  /** Puts a message where the next flush() finds it. */
  stage(endpoint: number, session: number, message: Uint8Array, stager: Stager): void {
    const needed = ROW_HEADER_BYTES + message.length
    if (this.#staged + needed > this.#staging.length) {
      this.flush()
      if (needed > this.#staging.length) this.#staging = Buffer.allocUnsafeSlow(needed)
    }
    const at = this.#staged
    const staging = this.#staging
    staging.writeUInt32LE(endpoint, at)
    staging.writeUInt32LE(session, at + 4)
    staging.writeUInt32LE(message.length, at + 8)
    staging.set(message, at + ROW_HEADER_BYTES)
    this.#staged = at + needed
    this.#stagers.add(stager)
    if (!this.#flushQueued) {
      this.#flushQueued = true
      queueMicrotask(() => {
        this.#flushQueued = false
        this.flush()
      })
    }
  }

  flush(): void {
    if (this.#staged === 0) return
    const number = this.native.submit(this.#staging, this.#staged)
    this.#staged = 0
    for (const stager of this.#stagers) stager.onSubmitted(number)
    this.#stagers.clear()
  }

  /** Calls the waiter when what it has submitted has gone, until it says that it is content. */
  wait(waiter: Waiter, submission: number): void {
    this.#waiters.add(waiter)
    this.native.notifyAt(submission)
  }

  forget(waiter: Waiter): void {
    this.#waiters.delete(waiter)
  }

  /** Keeps the process alive until as many unref() calls. */
  ref(): void {
    if (this.#references++ === 0) this.native.ref()
  }

  unref(): void {
    if (--this.#references === 0) this.native.unref()
  }

  #onBatch(rows: Uint32Array, slab: Buffer, details: readonly unknown[]): void {
    const heard = new Set<EndpointListener>()
    let endpoint = 0
    let listener: EndpointListener | undefined
    for (let at = 0; at < rows.length; at += EVENT_ROW_LENGTH) {
      const kind = rows[at] as number
      const a = rows[at + 3] as number
      if (kind === EVENT.progress) {
        shielded(() => this.#onProgress())
        continue
      }
      // A batch is mostly one endpoint's.
      if (rows[at + 1] !== endpoint) {
        endpoint = rows[at + 1] as number
        listener = this.#endpoints.get(endpoint)
        if (listener) heard.add(listener)
      }
      if (!listener) continue
      const session = rows[at + 2] as number
      if (kind === EVENT.message) {
        const length = rows[at + 4] as number
        try {
          listener.onMessage(session, slab.subarray(a, a + length))
        } catch (error) {
          rethrowLater(error)
        }
        continue
      }
      const to = listener
      shielded(() => dispatch(to, kind, session, a === NO_DETAIL ? undefined : details[a]))
    }
    for (const each of heard) shielded(() => each.onBatchEnd())
  }

  #onProgress(): void {
    for (const waiter of this.#waiters) {
      if (waiter.onProgress()) this.#waiters.delete(waiter)
    }
  }
}

/** Somebody with messages in the staging buffer. */
export interface Stager {
  onSubmitted(submission: number): void
}

function dispatch(
  listener: EndpointListener,
  kind: number,
  session: number,
  detail: unknown,
): void {
  switch (kind) {
    case EVENT.opened:
      return listener.onOpened(session, detail as NativeOpenedSession)
    case EVENT.question:
      return listener.onQuestion(session, detail as NativeSessionQuestion)
    case EVENT.ended:
      return listener.onEnded(session, detail as NativeEnding | undefined)
    case EVENT.refused:
      return listener.onRefused(session, detail as NativeEnding)
    case EVENT.keylog:
      return listener.onKeylog(session, detail as Buffer)
    case EVENT.socketError:
      return listener.onSocketError(detail as NativeSystemError)
  }
}

let clientThread: IoThread | undefined

/** The I/O thread that all clients of this JavaScript thread share. */
export function sharedClientThread(): IoThread {
  clientThread ??= new IoThread()
  return clientThread
}
