// What one side of DTLS 1.3 made by hand speaks and hears with: epochs, which messages it has heard before, and which
// messages of this side wait for an answer.

import { message, record } from '../../support/dtls-wire.js'
import { MESSAGE13, TYPE13 } from '../../support/dtls13-handshake.js'
import {
  ackOf,
  Epoch13,
  framesOf,
  type Opened13,
  type RecordNumber13,
} from '../../support/dtls13-records.js'

export class Keys13 {
  /** message_seq of the next message of an open session; the handshake sets it. */
  nextMessage = 0
  #reading: Epoch13[] = []
  #writing: Epoch13[] = []
  #number = 0
  #heard: RecordNumber13[] = []
  #handshakes = 0
  readonly #seen = new Set<string>()
  readonly #waiting = new Set<string>()
  #posted: { readonly number: RecordNumber13; readonly update: boolean } | undefined

  /** Another handshake begins, whose messages of an open session are numbered from here. */
  begin(reading: Epoch13, writing: Epoch13, nextMessage: number): void {
    this.#reading = [reading]
    this.#writing = [writing]
    this.#heard = []
    this.#handshakes += 1
    this.#waiting.clear()
    this.#posted = undefined
    this.nextMessage = nextMessage
  }

  addEpoch(reading: Epoch13, writing: Epoch13): void {
    this.#reading.unshift(reading)
    this.#writing.unshift(writing)
  }

  /** The newest of the session's epochs: 3, unless keys were renewed. */
  get newest(): number {
    return Math.max(3, this.#writing[0]?.epoch ?? 0)
  }

  has(epoch: number): boolean {
    return this.#writing.some((each) => each.epoch === epoch)
  }

  plain(type: number, content: Uint8Array): Buffer {
    this.#number += 1
    return record(type, 0, this.#number - 1, content)
  }

  /** With the keys of this epoch, or with keys that nobody has. */
  seal(epoch: number, type: number, content: Uint8Array): Buffer {
    return this.#keysOf(epoch).seal(type, content).record
  }

  /** What may have to wait for its time is sent once, until something protected is answered. */
  sealOnce(name: string, epoch: number, type: number, content: Uint8Array): Buffer | undefined {
    return this.once(name, () => this.seal(epoch, type, content))
  }

  /** A message of an open session, of which one at a time waits for its ACK (RFC 9147 section 5.8.4). */
  post(type: number, body: Uint8Array): Buffer | undefined {
    return this.once('post', () => {
      const epoch = this.newest
      const content = message(type, this.nextMessage, body)
      const { record: made, number } = this.#keysOf(epoch).seal(TYPE13.handshake, content)
      if (this.has(epoch)) this.#posted = { number, update: type === MESSAGE13.keyUpdate }
      return made
    })
  }

  /** Before there are keys nothing waits. */
  once(name: string, make: () => Buffer): Buffer | undefined {
    if (this.has(2) && this.#waiting.has(name)) return undefined
    this.#waiting.add(name)
    return make()
  }

  answered(): void {
    this.#waiting.clear()
  }

  /** The content of an ACK of all that was heard of the handshake. */
  acks(): Buffer {
    return ackOf(this.#heard)
  }

  /** The records of a datagram that can be read, one after another: keys may come with the first. */
  *read(datagram: Buffer): Generator<Opened13> {
    for (const frame of framesOf(datagram)) {
      const opened = frame.encrypted ? this.#open(frame) : frame.opened
      if (!opened) continue
      if (opened.type === TYPE13.handshake) this.#heard.push(opened.number)
      if (opened.type === TYPE13.ack) this.#takeAck(opened.content)
      yield opened
    }
  }

  /** Whether this message of the handshake came before. When flights are repeated is a matter of time. */
  repeats({ number, content }: Opened13): boolean {
    const name = `${number.epoch > 0 ? this.#handshakes : 0} ${content.toString('latin1')}`
    const known = this.#seen.has(name)
    this.#seen.add(name)
    return known
  }

  /** The peer's KeyUpdate was heard. */
  readNext(): void {
    const [newest] = this.#reading
    if (newest) this.#reading.unshift(newest.next())
  }

  #keysOf(epoch: number): Epoch13 {
    return this.#writing.find((each) => each.epoch === epoch) ?? Epoch13.forged(epoch)
  }

  #open(frame: Parameters<Epoch13['open']>[0]): Opened13 | undefined {
    for (const epoch of this.#reading) {
      const opened = epoch.open(frame)
      if (opened) return opened
    }
    return undefined
  }

  #takeAck(content: Buffer): void {
    const posted = this.#posted
    if (!posted) return
    for (let at = 2; at + 16 <= content.length; at += 16) {
      const epoch = content.readUIntBE(at + 2, 6)
      const sequence = content.readUIntBE(at + 10, 6)
      if (epoch !== posted.number.epoch || sequence !== posted.number.sequence) continue
      this.#posted = undefined
      this.nextMessage += 1
      const [newest] = this.#writing
      if (posted.update && newest) this.#writing.unshift(newest.next())
      return
    }
  }
}
