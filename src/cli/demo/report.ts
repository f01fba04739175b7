// The demonstration's voice: a spinner on a terminal, plain lines in a pipe, objects for machines.

import Table from 'cli-table3'
import picocolors from 'picocolors'
import createSpinner, { type Spinner } from 'yocto-spinner'
import { isTerminal, wantsColor } from '../diagnostics.js'
import { oneLine } from '../exit.js'
import { nameOf } from './cast.js'
import type { LiveReporter } from './live.js'
import type { Page } from './stage.js'
import type { StepReporter, StepResult } from './steps.js'

export interface DemoReporter extends StepReporter, LiveReporter {
  /** Whether the pages have been shown: from then on, to be interrupted is the usual end. */
  readonly open: boolean
  /** Said once, after the last step. */
  summary(results: readonly StepResult[], milliseconds: number): void
  /** Leaves the terminal as it was found, at any time. */
  stop(): void
}

const OPEN_TO_TRY = `A new epoch, 3 of 3, and nobody has agreed yet. Open the three pages (each link signs in once), approve
server and client on each, and see here that they connect; refuse one of them or withdraw, and see the
connections close at the next renewal. Ctrl-C ends everything.`

const MARK = { held: '✔', failed: '✖', skipped: '-' } as const

/** One object a step, and one for the whole. */
export class JsonReporter implements DemoReporter {
  open = false

  begins(): void {
    // A machine reads results.
  }

  ended({ error, also: _, ...result }: StepResult): void {
    const code = codeOf(error)
    print({ ...result, ...(code !== undefined && { code }) })
  }

  summary(results: readonly StepResult[], milliseconds: number): void {
    const failed = results.find(({ outcome }) => outcome === 'failed')
    print({
      name: 'summary',
      outcome: failed === undefined ? 'held' : 'failed',
      steps: results.length,
      held: results.filter(({ outcome }) => outcome === 'held').length,
      milliseconds,
      ...(failed !== undefined && { failedStep: failed.name }),
    })
  }

  pages(pages: readonly Page[]): void {
    this.open = true
    const links = Object.fromEntries(pages.map(({ label, link }) => [label, link]))
    const tokens = Object.fromEntries(pages.map(({ label, token }) => [label, token]))
    print({ name: 'web', pages: links, tokens })
  }

  says(line: string): void {
    print({ name: 'web', says: line })
  }

  stop(): void {
    // Nothing is pending.
  }
}

/** For people. */
export class TextReporter implements DemoReporter {
  open = false
  readonly #terminal = isTerminal(process.stdout)
  readonly #colors = picocolors.createColors(wantsColor(process.stdout))
  #spinner: Spinner | undefined

  begins(step: number, title: string): void {
    // A spinner repaints its line: only a terminal can show that.
    if (!this.#terminal) return
    this.#spinner = createSpinner({ text: `${step}. ${title}`, stream: process.stdout }).start()
  }

  ended({ step, title, outcome, milliseconds, detail, also = [] }: StepResult): void {
    this.stop()
    const { bold, dim } = this.#colors
    const time = outcome === 'skipped' ? '' : dim(` (${milliseconds} ms)`)
    const lines = [detail, ...also].map((line) => `     ${oneLine(line)}\n`)
    process.stdout.write(`${this.#mark(outcome)} ${step}. ${bold(title)}${time}\n${lines.join('')}`)
  }

  summary(results: readonly StepResult[], milliseconds: number): void {
    const { green, red } = this.#colors
    const table = new Table({
      // 80 columns, also when a step takes 45 s or fails and the others are skipped.
      head: ['#', 'step', 'result', 's'],
      colAligns: ['right', 'left', 'left', 'right'],
      // Colours are decided here, by the stream; the table's own would reach pipes as well.
      style: { head: [], border: [], compact: true },
    })
    for (const { step, title, outcome, milliseconds: spent } of results) {
      const time = outcome === 'skipped' ? '' : (spent / 1000).toFixed(1)
      table.push([step, title, `${this.#mark(outcome)} ${outcome}`, time])
    }
    const held = results.filter(({ outcome }) => outcome === 'held').length
    const seconds = (milliseconds / 1000).toFixed(1)
    const verdict =
      held === results.length
        ? green(`Every step held (${held} of ${held}, ${seconds} s).`)
        : red(`${held} of ${results.length} steps held (${seconds} s).`)
    process.stdout.write(`\n${table.toString()}\n${verdict}\n`)
  }

  pages(pages: readonly Page[]): void {
    this.open = true
    const { bold, dim } = this.#colors
    const lines = pages.flatMap(({ label, link, token }) => [
      `  ${bold(nameOf(label))}: ${link}`,
      dim(`    sign-in token, once that link has been used: ${token}`),
    ])
    process.stdout.write(`\n${OPEN_TO_TRY}\n\n${lines.join('\n')}\n\n`)
  }

  says(line: string): void {
    const time = new Date().toTimeString().slice(0, 8)
    process.stdout.write(`${time}  ${oneLine(line)}\n`)
  }

  stop(): void {
    this.#spinner?.stop()
    this.#spinner = undefined
  }

  #mark(outcome: StepResult['outcome']): string {
    const { green, red, dim } = this.#colors
    const paint = { held: green, failed: red, skipped: dim }[outcome]
    return paint(MARK[outcome])
  }
}

/** The stable code of what failed a step, if it has one. */
function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function print(object: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(object)}\n`)
}
