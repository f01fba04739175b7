// What the measured JavaScript processes have in common: counting what arrives, and timing what returns.

import { WARM_UP_MS } from './credentials.js'
import { median } from './measurement.js'

/** As long as the process that started this one would let it live. */
setTimeout(() => process.exit(1), 240_000).unref()

export function say(name: string, value: number): void {
  process.stdout.write(`${name} ${value}\n`)
}

/** Counts from WARM_UP_MS after the first arrival for so many seconds, then says rate and cost, and exits. */
export class Counter {
  readonly #seconds: number
  #count = 0
  #begun = false

  constructor(seconds: number) {
    this.#seconds = seconds
  }

  /** To be called by the 'message' listener. */
  arrived(): void {
    this.#count += 1
    if (!this.#begun) {
      this.#begun = true
      setTimeout(() => this.#start(), WARM_UP_MS)
    }
  }

  #start(): void {
    const before = this.#count
    const started = performance.now()
    const cpu = process.cpuUsage()
    say('started', 0)
    setTimeout(() => {
      const seconds = (performance.now() - started) / 1_000
      const arrived = this.#count - before
      const { user, system } = process.cpuUsage(cpu)
      say('cost', (user + system) / arrived)
      process.stdout.write(`result ${arrived / seconds}\n`, () => process.exit(0))
    }, this.#seconds * 1_000)
  }
}

/** One connection after the other; says when those that count begin, after so many seconds the rate, and exits. */
export async function countHandshakes(
  seconds: number,
  openAndClose: () => Promise<void>,
): Promise<void> {
  const countFrom = performance.now() + WARM_UP_MS
  while (performance.now() < countFrom) await openAndClose()
  say('started', 0)
  const started = performance.now()
  let count = 0
  let elapsed = 0
  do {
    await openAndClose()
    count += 1
    elapsed = (performance.now() - started) / 1_000
  } while (elapsed < seconds)
  process.stdout.write(`result ${count / elapsed}\n`, () => process.exit(0))
}

const PATIENCE_MS = 200

/** One message there and back at a time; says the median in microseconds and exits. */
export class Pinger {
  readonly #send: () => void
  readonly #times: number[] = []
  readonly #countFrom = performance.now() + WARM_UP_MS
  readonly #end: number
  #sentAt = 0
  #started = false

  constructor(seconds: number, send: () => void) {
    this.#send = send
    this.#end = this.#countFrom + seconds * 1_000
    // UDP may lose one.
    setInterval(() => {
      if (performance.now() - this.#sentAt > PATIENCE_MS) this.ping()
    }, PATIENCE_MS)
  }

  /** Sends the next; says when those that count begin. */
  ping(): void {
    if (!this.#started && performance.now() >= this.#countFrom) {
      this.#started = true
      say('started', 0)
    }
    this.#sentAt = performance.now()
    this.#send()
  }

  /** To be called by the 'message' listener. */
  answered(): void {
    const now = performance.now()
    if (this.#sentAt > this.#countFrom) this.#times.push((now - this.#sentAt) * 1_000)
    if (now < this.#end) this.ping()
    else process.stdout.write(`result ${median(this.#times)}\n`, () => process.exit(0))
  }
}
