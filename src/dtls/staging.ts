// Where messages wait for the end of the turn: written once, encrypted in the same place, sent from there.
//
// A frame is memory of the addon's. It is written here, handed over by submit(), and may be written again
// when the I/O thread is done with it.

import type { NativeIoThread } from '../native/dtls.js'
import { FRAME } from '../native/dtls.js'

/** Bytes of a frame; what is full is submitted early, so that the I/O thread encrypts meanwhile. */
const FRAME_BYTES = 64 * 1024
/** Beyond so many frames in use, what is submitted is copied. */
const MOST_FRAMES = 32
const HEADER_WORDS = 3

interface Frame {
  readonly index: number
  readonly bytes: Uint8Array
  /** The same memory. */
  readonly words: Uint32Array
  /** The submission it was handed over with; 0: free. */
  submission: number
}

export class Staging {
  readonly #native: NativeIoThread
  readonly #frames: Frame[] = []
  #frame: Frame
  #used = 0

  constructor(native: NativeIoThread) {
    this.#native = native
    this.#frame = this.#anotherFrame()
  }

  get empty(): boolean {
    return this.#used === 0
  }

  /** @returns whether there was room. */
  add(endpoint: number, session: number, message: Uint8Array): boolean {
    const at = this.#used
    const end = at + FRAME.before + message.length + FRAME.behind
    if (end > FRAME_BYTES) return false
    const { bytes, words } = this.#frame
    const header = (at + FRAME.before) / 4 - HEADER_WORDS
    words[header] = endpoint
    words[header + 1] = session
    words[header + 2] = message.length
    bytes.set(message, at + FRAME.before)
    this.#used = (end + 3) & ~3
    return true
  }

  /** @returns the number of the submission. */
  submit(): number {
    const frame = this.#frame
    const free = this.#freeFrame(frame)
    const number = this.#native.submit(frame.index, this.#used, free === undefined)
    this.#used = 0
    if (free === undefined) return number
    frame.submission = number
    // What was sent at once is free again, and warm.
    this.#frame = this.#isFree(frame) ? frame : free
    return number
  }

  /** One to go on with, besides the one in use; undefined: there are too many. */
  #freeFrame(used: Frame): Frame | undefined {
    for (const frame of this.#frames) {
      if (frame !== used && this.#isFree(frame)) return frame
    }
    return this.#frames.length < MOST_FRAMES ? this.#anotherFrame() : undefined
  }

  #isFree(frame: Frame): boolean {
    if (frame.submission === 0) return true
    // Numbers wrap at 2^32.
    if (((frame.submission - this.#native.released()) | 0) > 0) return false
    frame.submission = 0
    return true
  }

  #anotherFrame(): Frame {
    const bytes = this.#native.frame(FRAME_BYTES)
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, FRAME_BYTES / 4)
    const frame = { index: this.#frames.length, bytes, words, submission: 0 }
    this.#frames.push(frame)
    return frame
  }
}
