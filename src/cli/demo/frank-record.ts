// Everything that Frank sees, kept as he sees it.

import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

export type Way = 'messages' | 'tls' | 'dtls'

export class FrankRecord {
  readonly #dir: string
  readonly #bytes: Record<Way, number> = { messages: 0, tls: 0, dtls: 0 }

  constructor(dir: string) {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    this.#dir = dir
  }

  keep(way: Way, bytes: string | Uint8Array): void {
    const kept = Buffer.from(bytes)
    this.#bytes[way] += kept.length
    appendFileSync(join(this.#dir, `${way}.bin`), kept, { mode: 0o600 })
  }

  /** Bytes so far. */
  get bytes(): Readonly<Record<Way, number>> {
    return { ...this.#bytes }
  }
}
