// stdin to a peer, no faster than the peer takes it.

import { McbnError } from '../errors.js'
import { LineCutter } from './lines.js'
import type { Link } from './link.js'

export interface StdinHandlers {
  /** Everything that stdin had was handed to a link; called once. */
  ended(): void
  /** A line or chunk could not be sent and was dropped; the feed goes on with the next. */
  failed(error: unknown): void
}

/**
 * Reads process.stdin only while somebody wants it: with no link, bytes stay in the pipe. It must not
 * be made where stdin belongs to nobody here (`--echo`, `--http`).
 */
export class StdinFeed {
  readonly #stdin = process.stdin
  readonly #handlers: StdinHandlers
  readonly #cutter: LineCutter | undefined
  /** Read, not sent yet: at most one chunk of stdin, in lines where they matter. */
  #units: Buffer[] = []
  #next = 0
  #link: Link | undefined
  #full = false
  #ended = false
  #started = false
  #finished = false

  /** @param lines - one send per line (DTLS), rather than per chunk. */
  constructor(lines: boolean, handlers: StdinHandlers) {
    this.#handlers = handlers
    this.#cutter = lines
      ? new LineCutter((limit) => handlers.failed(lineTooLong(limit)))
      : undefined
  }

  /** Sends to this link from now on; undefined holds stdin back. */
  to(link: Link | undefined): void {
    if (link === this.#link) return
    this.#link = link
    this.#full = false
    if (link !== undefined && !this.#started) this.#start()
    this.#pump()
  }

  /** Whether all of stdin has been handed over. */
  get finished(): boolean {
    return this.#finished
  }

  /** To be called when the link takes more. */
  flushed(link: Link): void {
    if (link !== this.#link) return
    this.#full = false
    this.#pump()
  }

  /** Lets go of stdin, so that it keeps no process alive. */
  stop(): void {
    this.#link = undefined
    if (this.#started) this.#stdin.destroy()
  }

  #start(): void {
    this.#started = true
    this.#stdin.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#stdin.once('end', () => this.#end())
    // A terminal that went away, a directory as stdin: there is no more to read, that is all.
    this.#stdin.once('error', () => this.#end())
  }

  #read(chunk: Buffer): void {
    const limit = this.#link?.maxDatagramSize
    const units = this.#cutter?.cut(chunk, limit ?? chunk.length) ?? [chunk]
    this.#units = this.#units.length === 0 ? units : this.#units.concat(units)
    this.#pump()
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    const rest = this.#cutter?.rest()
    if (rest !== undefined) this.#units.push(rest)
    this.#pump()
  }

  #pump(): void {
    while (this.#link !== undefined && !this.#full && this.#next < this.#units.length) {
      const unit = this.#units[this.#next]
      this.#next += 1
      if (unit !== undefined) this.#send(this.#link, unit)
    }
    if (this.#next === this.#units.length) {
      this.#units = []
      this.#next = 0
      if (this.#ended && !this.#finished) {
        this.#finished = true
        this.#handlers.ended()
      }
    }
    if (!this.#started || this.#ended) return
    if (this.#link !== undefined && !this.#full && this.#units.length === 0) this.#stdin.resume()
    else this.#stdin.pause()
  }

  #send(link: Link, unit: Buffer): void {
    try {
      this.#full = !link.send(unit)
    } catch (error) {
      this.#handlers.failed(error)
    }
  }
}

function lineTooLong(limit: number): McbnError {
  return new McbnError(
    'MCBN_MESSAGE_TOO_LARGE',
    `stdin: expected lines of at most ${limit} bytes with their newline, as each is one datagram; got a longer one; split it`,
  )
}
