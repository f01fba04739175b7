// The talk of `mcbn connect` with its one peer, from the handshake to the exit code.

import type { Diagnostics } from './diagnostics.js'
import { EXIT, type Finish } from './exit.js'
import type { Link } from './link.js'
import { Output } from './output.js'
import { Silence } from './silence.js'
import { StdinFeed } from './stdin-feed.js'

/** How long the peer must be silent after the end of stdin to be taken as done, in milliseconds. */
const SILENCE_MS = 2000

export class Conversation {
  readonly #link: Link
  readonly #diagnostics: Diagnostics
  readonly #finish: Finish
  readonly #output: Output
  readonly #feed: StdinFeed
  readonly #silence = new Silence(SILENCE_MS, () => void this.#end(EXIT.ok))
  #stdoutFull = false
  #over = false

  /** @param link - just opened; the conversation starts it. */
  constructor(link: Link, diagnostics: Diagnostics, finish: Finish) {
    this.#link = link
    this.#diagnostics = diagnostics
    this.#finish = finish
    this.#output = new Output((error) => this.#stdoutGone(error))
    this.#feed = new StdinFeed(link.maxDatagramSize !== undefined, {
      ended: () => this.#watchSilence(),
      failed: (error) => this.#fail(error),
    })
    link.start({
      data: (bytes) => this.#receive(bytes),
      flushed: () => {
        this.#feed.flushed(link)
        this.#watchSilence()
      },
      closed: (error) => this.#closed(error),
    })
    this.#feed.to(link)
  }

  /** Ends early, as a signal asks for; resolves when the peer has been told. */
  async goodbye(): Promise<void> {
    this.#stop()
    await this.#link.close()
  }

  #receive(bytes: Buffer): void {
    if (this.#link.maxDatagramSize !== undefined) this.#output.writeDatagram(bytes)
    else if (!this.#output.write(bytes)) this.#waitForStdout()
    this.#watchSilence()
  }

  #waitForStdout(): void {
    if (this.#stdoutFull) return
    this.#stdoutFull = true
    this.#link.pause()
    this.#output.onceDrained(() => {
      this.#stdoutFull = false
      this.#link.resume()
      this.#watchSilence()
    })
  }

  /** The peer is silent only when all of stdin is on its way and nothing here keeps it from talking. */
  #watchSilence(): void {
    if (this.#over) return
    if (this.#feed.finished && !this.#link.unsent && !this.#stdoutFull) this.#silence.restart()
    else this.#silence.stop()
  }

  #closed(error: Error | undefined): void {
    if (this.#over) return
    if (error !== undefined) {
      this.#fail(error)
      return
    }
    if (this.#link.truncated) {
      this.#diagnostics.warning(
        'the peer closed without close_notify: the end of what it sent may be missing',
      )
    }
    const [by, sentence] = this.#link.idle
      ? ['idle', 'the connection was idle for --idle-timeout, and is closed']
      : ['peer', 'the peer closed the connection']
    this.#diagnostics.event('closed', sentence, { by })
    void this.#end(EXIT.ok)
  }

  #stdoutGone(error: NodeJS.ErrnoException): void {
    if (this.#over) return
    if (error.code === 'EPIPE' || error.code === 'ECONNRESET') void this.#end(EXIT.ok)
    else this.#fail(error)
  }

  #fail(error: unknown): void {
    if (this.#over) return
    this.#diagnostics.failure(error)
    void this.#end(EXIT.failure)
  }

  async #end(code: number): Promise<void> {
    if (this.#over) return
    this.#stop()
    await this.#link.close()
    const { dropped } = this.#output
    if (dropped > 0) this.#diagnostics.warning(`${dropped} datagrams dropped: stdout was too slow`)
    this.#finish(code)
  }

  #stop(): void {
    this.#over = true
    this.#silence.stop()
    this.#feed.stop()
  }
}
