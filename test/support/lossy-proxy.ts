// A UDP relay that treats datagrams as a bad network does, the same way for the same seed.
//
//   client -> relay -> server: every client gets its own port to the server.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { seeded } from './random.js'

export type Direction = 'to server' | 'to client'

/** Probabilities of 0 to 1, for each datagram; 0 unless told. */
export interface Weather {
  readonly drop?: number
  readonly duplicate?: number
  /** Held back until later ones have overtaken it. */
  readonly reorder?: number
  /** One bit is changed. */
  readonly flip?: number
  /** Milliseconds for every datagram. */
  readonly delay?: number
}

export interface ProxyOptions extends Weather {
  readonly seed?: number
  /** Decides alone about a datagram: one that it does not let pass is gone. */
  readonly pass?: (datagram: Buffer, direction: Direction) => boolean
}

const LOOPBACK = '127.0.0.1'
/** How long a reordered datagram waits at most, ms. */
const OVERTAKEN = 30

export class LossyProxy {
  readonly #server: number
  readonly #random: () => number
  readonly #front: Socket
  readonly #backs = new Map<string, Socket>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly counts = { passed: 0, dropped: 0, duplicated: 0, reordered: 0, flipped: 0 }
  /** May be changed while it runs. */
  weather: Weather
  pass: ProxyOptions['pass']

  private constructor(server: number, options: ProxyOptions) {
    const { seed = 1, pass, ...weather } = options
    this.#server = server
    this.#random = seeded(seed)
    this.weather = weather
    this.pass = pass
    this.#front = createSocket('udp4')
    this.#front.on('message', (datagram, { port }) => this.#fromClient(datagram, port))
  }

  /** In front of a server's port; closed when the test ends. */
  static async start(server: number, options: ProxyOptions = {}): Promise<LossyProxy> {
    const proxy = new LossyProxy(server, options)
    proxy.#front.bind(0, LOOPBACK)
    await once(proxy.#front, 'listening')
    onTestFinished(() => proxy.#close())
    return proxy
  }

  get port(): number {
    return this.#front.address().port
  }

  /** Sends a datagram of a stranger who knows both addresses, to or from the newest client. */
  inject(datagram: Buffer, direction: Direction): void {
    const newest = [...this.#backs].at(-1)
    if (!newest) return
    const [port, back] = newest
    if (direction === 'to server') back.send(datagram, this.#server, LOOPBACK)
    else this.#front.send(datagram, Number(port), LOOPBACK)
  }

  #close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#front.close()
    for (const back of this.#backs.values()) back.close()
    this.#backs.clear()
  }

  #fromClient(datagram: Buffer, port: number): void {
    const key = String(port)
    let back = this.#backs.get(key)
    if (!back) {
      back = createSocket('udp4')
      back.on('error', () => {}) // ICMP: the server has gone
      back.on('message', (answer) =>
        this.#carry(answer, 'to client', (bytes) => this.#front.send(bytes, port, LOOPBACK)),
      )
      this.#backs.set(key, back)
    }
    const to = back
    this.#carry(datagram, 'to server', (bytes) => to.send(bytes, this.#server, LOOPBACK))
  }

  #carry(datagram: Buffer, direction: Direction, send: (bytes: Buffer) => void): void {
    const { drop = 0, duplicate = 0, reorder = 0, flip = 0, delay = 0 } = this.weather
    // Every datagram takes as many numbers as every other, so that one decision moves no other.
    const [lost, doubled, late, changed, where] = Array.from({ length: 5 }, this.#random) as [
      number,
      number,
      number,
      number,
      number,
    ]
    if (this.pass?.(datagram, direction) === false || lost < drop) {
      this.counts.dropped += 1
      return
    }
    let bytes = datagram
    if (changed < flip && bytes.length > 0) {
      this.counts.flipped += 1
      bytes = Buffer.from(bytes)
      const bit = Math.floor(where * bytes.length * 8)
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
    }
    const wait = delay + (late < reorder ? 1 + where * OVERTAKEN : 0)
    if (late < reorder) this.counts.reordered += 1
    const copies = doubled < duplicate ? 2 : 1
    if (copies === 2) this.counts.duplicated += 1
    for (let copy = 0; copy < copies; copy += 1) {
      this.counts.passed += 1
      this.#after(wait + copy * 2, () => send(bytes))
    }
  }

  #after(milliseconds: number, send: () => void): void {
    const safely = (): void => {
      try {
        send()
      } catch {
        // closed meanwhile
      }
    }
    if (milliseconds === 0) return safely()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      safely()
    }, milliseconds)
    this.#timers.add(timer)
  }
}
