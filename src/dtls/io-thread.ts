// JavaScript's end of an I/O thread: gathers what is sent, hands on what comes back.
//
//   send() --stage--> one submit() a turn of the event loop --> I/O thread
//   I/O thread --batch--> rows in order --> the endpoint they belong to

import type {
  NativeEnding,
  NativeFarewell,
  NativeIoThread,
  NativeOpenedSession,
  NativeRemote,
  NativeRow,
  NativeSessionQuestion,
  NativeSystemError,
} from '../native/dtls.js'
import { EVENT, EVENT_ROW_LENGTH, NO_DETAIL } from '../native/dtls.js'
import { loadAddon } from '../native/load.js'
import { rethrowLater, shielded } from '../shield.js'
import { Staging } from './staging.js'

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
  onAddressChanged(session: number, remote: NativeRemote): void
  /** @param awaited - something waits until the row is written. */
  onRow(session: number, row: NativeRow, awaited: boolean): void
}

/** Somebody who was told to wait until less is waiting to be sent. */
export interface Waiter {
  /** Its endpoint has got further; forget() says that the wait is over. */
  onProgress(): void
}

/** What one call from the addon tells of at most. */
const ROWS = 8_192
/** Up to so many bytes of messages are copied from the inbox; more come as a Buffer that lends the addon's memory. */
const INBOX_BYTES = 16 * 1_024

/**
 * What `slab.subarray()` makes, without its 60 ns of looking up and clamping: the class of Buffers themselves,
 * which a Buffer names as its species (ECMA-262 section 23.2.4.1).
 */
const View = (Buffer as unknown as Record<symbol, typeof FastBuffer>)[
  Symbol.species
] as typeof FastBuffer
declare class FastBuffer extends Buffer {
  constructor(memory: ArrayBufferLike, offset: number, length: number)
}

export class IoThread {
  readonly native: NativeIoThread
  readonly #endpoints = new Map<number, EndpointListener>()
  /** By endpoint. */
  readonly #waiters = new Map<number, Set<Waiter>>()
  #stagers: Stager[] = []
  #lastEndpoint = 0
  readonly #staging: Staging
  #flushQueued = false
  #references = 0
  readonly #rows = new Uint32Array(ROWS * EVENT_ROW_LENGTH)
  readonly #inbox = Buffer.allocUnsafeSlow(INBOX_BYTES)

  constructor() {
    this.native = new (loadAddon().IoThread)(
      (count, messages, details) => this.#onBatch(count, messages, details),
      this.#rows,
      this.#inbox,
    )
    this.#staging = new Staging(this.native)
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
  closeEndpoint(endpoint: number, farewell: NativeFarewell = 'goodbye'): void {
    this.flush()
    this.#endpoints.delete(endpoint)
    this.native.closeEndpoint(endpoint, farewell)
  }

  closeSession(endpoint: number, session: number): void {
    this.flush()
    this.native.closeSession(endpoint, session)
  }

  /** Puts a message where the next flush() finds it. */
  stage(endpoint: number, session: number, message: Uint8Array): void {
    if (!this.#staging.add(endpoint, session, message)) {
      this.flush()
      this.#staging.add(endpoint, session, message)
    }
    if (!this.#flushQueued) {
      this.#flushQueued = true
      queueMicrotask(() => {
        this.#flushQueued = false
        this.flush()
      })
    }
  }

  /** Tells the stager of the next flush(), once for each call of this. */
  tellSubmitted(stager: Stager): void {
    this.#stagers.push(stager)
  }

  flush(): void {
    if (this.#staging.empty) return
    const number = this.#staging.submit()
    const stagers = this.#stagers
    this.#stagers = []
    for (const stager of stagers) stager.onSubmitted(number)
  }

  /** Calls the waiter when the endpoint has sent a submission, and now and then before, until forget(). */
  wait(waiter: Waiter, endpoint: number, submission: number): void {
    const others = this.#waiters.get(endpoint)
    if (others) others.add(waiter)
    else this.#waiters.set(endpoint, new Set([waiter]))
    this.native.notifyAt(endpoint, submission)
  }

  forget(waiter: Waiter, endpoint: number): void {
    const waiting = this.#waiters.get(endpoint)
    if (waiting?.delete(waiter) && waiting.size === 0) this.#waiters.delete(endpoint)
  }

  /** Keeps the process alive until as many unref() calls. */
  ref(): void {
    if (this.#references++ === 0) this.native.ref()
  }

  unref(): void {
    if (--this.#references === 0) this.native.unref()
  }

  #onBatch(
    count: number,
    messages: number | Buffer,
    details: readonly unknown[] | undefined,
  ): void {
    const rows = this.#rows
    const end = count * EVENT_ROW_LENGTH
    const { buffer: memory, byteOffset: base } =
      typeof messages === 'number' ? this.#fromInbox(messages) : messages
    const heard = new Set<EndpointListener>()
    let endpoint = 0
    let listener: EndpointListener | undefined
    for (let at = 0; at < end; at += EVENT_ROW_LENGTH) {
      const kind = rows[at] as number
      const a = rows[at + 3] as number
      if (kind === EVENT.progress) {
        this.#onProgress(rows[at + 1] as number)
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
          listener.onMessage(session, new View(memory, base + a, length))
        } catch (error) {
          rethrowLater(error)
        }
        continue
      }
      const to = listener
      const detail = a === NO_DETAIL ? undefined : details?.[a]
      const b = rows[at + 4] as number
      shielded(() => dispatch(to, kind, session, detail, b))
    }
    for (const each of heard) shielded(() => each.onBatchEnd())
  }

  /** The next batch overwrites the inbox, while listeners may keep their messages. */
  #fromInbox(bytes: number): Buffer {
    const copy = Buffer.allocUnsafe(bytes)
    this.#inbox.copy(copy, 0, 0, bytes)
    return copy
  }

  #onProgress(endpoint: number): void {
    // A copy: a waiter that is done may wait again at once.
    for (const waiter of [...(this.#waiters.get(endpoint) ?? [])]) {
      shielded(() => waiter.onProgress())
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
  b: number,
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
    case EVENT.addressChanged:
      return listener.onAddressChanged(session, detail as NativeRemote)
    case EVENT.row:
      return listener.onRow(session, detail as NativeRow, b === 1)
  }
}

let clientThread: IoThread | undefined

/** The I/O thread that all clients of this JavaScript thread share. */
export function sharedClientThread(): IoThread {
  clientThread ??= new IoThread()
  return clientThread
}
