// A wall clock that a test sets while another process looks at it, by libfaketime (Debian's faketime). The
// monotonic clock goes on as it is.

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './paths.js'

const TRIPLETS: Readonly<Record<string, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
}
const library = `/usr/lib/${TRIPLETS[process.arch]}/faketime/libfaketimeMT.so.1`

/** Whether there is one. @throws {Error} when not, and the environment says `CI=true`. */
export function canStepClocks(): boolean {
  if (existsSync(library)) return true
  const message = `no ${library} (Debian: faketime)`
  if (process.env['CI'] === 'true') throw new Error(message)
  console.warn(`\n!!! SKIPPED: ${message}; see CONTRIBUTING.md\n`)
  return false
}

export class SteppedClock {
  readonly #file = join(temporaryFolder(), 'clock')

  constructor() {
    this.set(0)
  }

  /** For the process that has this clock. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    }
  }

  /** So many hours ahead of this process's clock, or behind it. Seen at the next look. */
  set(hours: number): void {
    const seconds = Math.round(Math.abs(hours) * 3_600)
    writeFileSync(this.#file, `${hours < 0 ? '-' : '+'}${seconds}\n`)
  }
}

export const HOUR_MS = 3_600_000
