// Live updates: server-sent events (WHATWG HTML section 9.2), read by the page with fetch(), as
// EventSource cannot send the session's key. A page without a stream polls.

import type { Context } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { Clock } from '../../base/clock.js'
import type { Session } from './sessions.js'
import type { ParticipantView } from './view.js'

/** In all, and of one session: a browser opens six connections to one host, and needs some to act. */
export const MOST_STREAMS = 12
export const MOST_STREAMS_OF_SESSION = 3
/** Changes closer together than this are told as one. */
const PAUSE_MILLISECONDS = 250
/** Nothing happened: tell the state all the same. Leases end without a word, and silent sockets are cut. */
const ALIVE_MILLISECONDS = 15_000

export class LiveUpdates {
  readonly #view: ParticipantView
  readonly #clock: Clock
  readonly #streams = new Map<Session, number>()

  constructor(view: ParticipantView, clock: Clock) {
    this.#view = view
    this.#clock = clock
  }

  get size(): number {
    return [...this.#streams.values()].reduce((sum, count) => sum + count, 0)
  }

  /**
   * A stream of states until the session ends or the browser leaves.
   * @param state - the state as JSON, made anew whenever something changed.
   */
  answer(context: Context, session: Session, state: () => string): Response {
    const count = this.#streams.get(session) ?? 0
    if (this.size >= MOST_STREAMS || count >= MOST_STREAMS_OF_SESSION) {
      return context.json({ error: 'busy', message: 'too many open pages; this one polls' }, 503)
    }
    this.#streams.set(session, count + 1)
    return streamSSE(context, async (stream) => {
      const left = new AbortController()
      stream.onAbort(() => left.abort())
      const signal = AbortSignal.any([session.signal, left.signal])
      // Remembered, not queued: a browser that reads slowly gets the newest state, not all of them.
      let changed = false
      let wake = () => {}
      const stop = this.#view.onChange(() => {
        changed = true
        wake()
      })
      try {
        while (!signal.aborted) {
          changed = false
          await stream.writeSSE({ event: 'state', data: state() })
          await this.#sleep(PAUSE_MILLISECONDS, signal)
          if (changed) continue
          await this.#sleep(ALIVE_MILLISECONDS, signal, (early) => {
            wake = early
          })
        }
        if (!left.signal.aborted) await stream.writeSSE({ event: 'ended', data: '' })
      } finally {
        stop()
        this.#leave(session)
      }
    })
  }

  #leave(session: Session): void {
    const count = this.#streams.get(session) ?? 0
    if (count > 1) this.#streams.set(session, count - 1)
    else this.#streams.delete(session)
  }

  #sleep(
    milliseconds: number,
    signal: AbortSignal,
    early: (wake: () => void) => void = () => {},
  ): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel()
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const cancel = this.#clock.after(milliseconds, wake)
      if (signal.aborted) wake()
      else signal.addEventListener('abort', wake)
      early(wake)
    })
  }
}
