// What the command says beside its data, on stderr: people read sentences, machines read one JSON
// object a line. Data never goes here, and nothing here ever goes to stdout.

import picocolors from 'picocolors'
import { errorFields, errorLine, errorText, Interrupted, oneLine } from './exit.js'
import { logLine, now } from './log.js'

/** Lines that may come at once, and how many more each second: a flood of bad peers cannot fill a disk. */
const LINES_AT_ONCE = 20
const LINES_PER_SECOND = 5

export interface DiagnosticsOptions {
  /** One JSON object a line, for every event. */
  readonly json?: boolean | undefined
  /** Tell people about every event too. On a terminal that is always so. */
  readonly verbose?: boolean | undefined
}

/** Facts about an event. Undefined ones are left out. */
export type EventFields = Readonly<Record<string, string | number | boolean | undefined>>

export class Diagnostics {
  readonly json: boolean
  readonly #verbose: boolean
  readonly #colors: ReturnType<typeof picocolors.createColors>
  #allowance = LINES_AT_ONCE
  #countedAt = performance.now()
  #suppressed = 0

  constructor({ json, verbose }: DiagnosticsOptions) {
    this.json = json === true
    this.#verbose = verbose === true || process.stderr.isTTY === true
    this.#colors = picocolors.createColors(wantsColor(process.stderr))
  }

  /**
   * Something happened that is nobody's failure.
   * @param name - for machines, e.g. `connected`.
   * @param sentence - for people; shown with --verbose or on a terminal.
   */
  event(name: string, sentence: string, fields: EventFields = {}): void {
    if (!this.#mayWrite()) return
    if (this.json) this.#object({ event: name, ...fields })
    else if (this.#verbose) this.#line(this.#colors.dim(`${now()} ${oneLine(sentence)}`))
  }

  /** Something that an option asked for; always told. */
  asked(name: string, sentence: string, fields: EventFields): void {
    if (this.json) this.#object({ event: name, ...fields })
    else this.#line(`mcbn: ${name}: ${oneLine(sentence)}`)
  }

  /** A peer failed; the command goes on. Told like an event: strangers must not flood the log. */
  peerFailed(error: unknown, peer: string): void {
    if (!this.#mayWrite()) return
    if (this.json) this.#object({ event: 'peer-error', peer, ...errorFields(error) })
    else if (this.#verbose) {
      const from = this.#colors.yellow(`${oneLine(peer)}:`)
      this.#line(`${this.#colors.dim(now())} ${from} ${errorText(error)}`)
    }
  }

  /** Something the user must know although the command goes on or succeeds. Always shown. */
  warning(sentence: string): void {
    if (this.json) this.#object({ event: 'warning', message: sentence })
    else this.#line(`mcbn: ${this.#colors.yellow('warning:')} ${oneLine(sentence)}`)
  }

  /** The command fails: its one line. */
  failure(error: unknown, command?: string): void {
    if (error instanceof Interrupted) return
    if (this.json) this.#object({ event: 'error', ...errorFields(error) })
    else this.#line(this.#colors.red(errorLine(error, command)))
  }

  /** A token bucket; what it held back is counted and told with the next line that passes. */
  #mayWrite(): boolean {
    if (!this.json && !this.#verbose) return false
    const at = performance.now()
    const earned = ((at - this.#countedAt) / 1000) * LINES_PER_SECOND
    this.#allowance = Math.min(LINES_AT_ONCE, this.#allowance + earned)
    this.#countedAt = at
    if (this.#allowance < 1) {
      this.#suppressed += 1
      return false
    }
    this.#allowance -= 1
    if (this.#suppressed > 0) {
      const count = this.#suppressed
      this.#suppressed = 0
      if (this.json) this.#object({ event: 'suppressed', lines: count })
      else this.#line(this.#colors.dim(`(${count} more lines suppressed)`))
    }
    return true
  }

  #object(fields: { readonly event: string } & Readonly<Record<string, unknown>>): void {
    this.#line(logLine(fields))
  }

  #line(text: string): void {
    process.stderr.write(`${text}\n`)
  }
}

/** Colour only on a terminal, and not where NO_COLOR (no-color.org) or TERM=dumb asks for none. */
export function wantsColor(stream: NodeJS.WriteStream): boolean {
  return isTerminal(stream) && (process.env['NO_COLOR'] ?? '') === ''
}

/** Whether what was written there can be written over, as progress is. */
export function isTerminal(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && process.env['TERM'] !== 'dumb'
}
