// What a person sees while it runs, on stderr: how far, how long still, what now.

import createSpinner from 'yocto-spinner'
import type { Turn } from './measurement.js'

export class Progress {
  readonly #turns: number
  readonly #terminal = process.stderr.isTTY === true
  readonly #spinner = createSpinner({ stream: process.stderr })
  readonly #started = performance.now()
  #done = -1

  constructor(turns: number) {
    this.#turns = turns
    if (this.#terminal) this.#spinner.start()
  }

  /** A turn begins: those before it are done. */
  turn({ measurement, round, subject }: Turn): void {
    this.#done += 1
    const percent = String(Math.floor((this.#done / this.#turns) * 100)).padStart(3)
    const text = `${percent} %${this.#left()}  ${measurement.name}, round ${round + 1}: ${subject}`
    if (this.#terminal) this.#spinner.text = text
    else process.stderr.write(`${text}\n`)
  }

  stop(): void {
    if (this.#terminal) this.#spinner.stop()
  }

  #left(): string {
    if (this.#done === 0) return ''
    const each = (performance.now() - this.#started) / this.#done
    const seconds = Math.round((each * (this.#turns - this.#done)) / 1_000)
    return `, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} left`
  }
}
