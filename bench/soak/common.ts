// What the processes of a soak share.

import { createHmac } from 'node:crypto'

export const HOST = '127.0.0.1'
export const IDENTITIES = 64

/** What bench/soak.ts reads. */
export function say(name: string, value: number): void {
  process.stdout.write(`${name} ${value}\n`)
}

/** Ends this process, whatever happens to the one that started it. */
export function endAfter(minutes: number): void {
  setTimeout(() => process.exit(1), minutes * 60_000 + 60_000).unref()
}

export const identityOf = (index: number): string => `client-${index % IDENTITIES}`

/** Not secret: both processes make it. */
export function keyOf(index: number): Buffer {
  return createHmac('sha256', 'soak').update(identityOf(index)).digest()
}

/** Microseconds of the last thousand echoes. */
export class Latency {
  readonly #name: string
  #values: number[] = []

  constructor(name: string) {
    this.#name = name
  }

  add(milliseconds: number): void {
    this.#values.push(Math.round(milliseconds * 1_000))
    if (this.#values.length > 2_000) this.#values = this.#values.slice(-1_000)
  }

  say(): void {
    const sorted = [...this.#values].sort((a, b) => a - b)
    say(`${this.#name}-median-us`, sorted[Math.floor(sorted.length / 2)] ?? 0)
    say(`${this.#name}-p99-us`, sorted[Math.floor(sorted.length * 0.99)] ?? 0)
  }
}
