// The voice of `mcbn bench`: a spinner and a table for people, one object a figure for machines.

import { arch, cpus, platform, release, totalmem } from 'node:os'
import Table from 'cli-table3'
import createSpinner, { type Spinner } from 'yocto-spinner'
import { isTerminal } from '../diagnostics.js'
import type { Figure } from './measurements.js'

export interface BenchReporter {
  /** Something is being measured from now on. */
  turn(what: string): void
  measured(figure: Figure): void
  /** Said once, after the last figure. */
  done(): void
  /** Leaves the terminal as it was found, at any time. */
  stop(): void
}

/** What figures were measured on; nothing that names the machine. */
function machine() {
  return {
    node: process.version,
    openssl: process.versions.openssl,
    platform: `${platform()} ${release().split('-')[0]} ${arch()}`,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
  }
}

/** The machine first, then one object a figure. */
export class JsonReporter implements BenchReporter {
  #begun = false

  turn(): void {
    // A machine reads results.
  }

  measured(figure: Figure): void {
    if (!this.#begun) print({ name: 'machine', ...machine() })
    this.#begun = true
    print(figure)
  }

  done(): void {
    // Each has been said.
  }

  stop(): void {
    // Nothing is pending.
  }
}

/** For people: nothing but the table where no terminal shows progress. */
export class TextReporter implements BenchReporter {
  readonly #figures: Figure[] = []
  readonly #what: string
  readonly #terminal = isTerminal(process.stderr)
  #spinner: Spinner | undefined

  /** @param what - the settings in words. */
  constructor(what: string) {
    this.#what = what
  }

  turn(what: string): void {
    if (!this.#terminal) return
    this.#spinner ??= createSpinner({ stream: process.stderr }).start()
    this.#spinner.text = what
  }

  measured(figure: Figure): void {
    this.#figures.push(figure)
  }

  done(): void {
    this.stop()
    const { node, openssl, platform, cores, processor } = machine()
    const ciphers = new Set(this.#figures.flatMap(({ cipher }) => cipher ?? []))
    process.stdout.write(
      `Node ${node} (OpenSSL ${openssl}), ${platform}, ${cores} x ${processor}\n` +
        `${[...ciphers, this.#what].join(', ')}\n` +
        `${table(this.#figures)}\n`,
    )
  }

  stop(): void {
    this.#spinner?.stop()
    this.#spinner = undefined
  }
}

function table(figures: readonly Figure[]): string {
  // Only local measurements have anything beside them.
  const compared = figures.some(({ dgram }) => dgram !== undefined)
  const beside = compared ? ['node:dgram, plaintext', 'ratio'] : []
  const formatted = new Table({
    head: ['', 'mcbn', ...beside, ''],
    colAligns: ['left', 'right', ...beside.map(() => 'right' as const), 'left'],
    style: { head: [], border: [], compact: true },
  })
  for (const figure of figures) {
    const { name, unit, dgram, ratio } = figure
    const shownBeside =
      dgram === undefined || ratio === undefined ? ['', ''] : [shown(dgram, unit), ratio.toFixed(2)]
    formatted.push([
      name,
      shown(figure.mcbn, unit),
      ...(compared ? shownBeside : []),
      besides(figure),
    ])
  }
  return formatted.toString()
}

/** Processor time and what else is known, in words. */
function besides({ processor = {}, more = {} }: Figure): string {
  const spent = Object.entries(processor).map(([who, each]) => `${who} ${each.toFixed(1)}`)
  const { p99, lost, median, perSecond } = more
  return [
    ...(spent.length === 0 ? [] : [`processor us: ${spent.join(', ')}`]),
    ...(p99 === undefined ? [] : [`99 % within ${shown(p99, 'us')}`]),
    ...(lost === undefined || lost === 0 ? [] : [`${(lost * 100).toFixed(2)} % lost`]),
    ...(median === undefined ? [] : [`median ${shown(median, 'us')}`]),
    ...(perSecond === undefined ? [] : [shown(perSecond, '/s')]),
  ].join('; ')
}

function shown(value: number, unit: Figure['unit']): string {
  const digits = unit === 'KB' ? 1 : 0
  const number = value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
  return unit === '/s' ? `${number}/s` : `${number} ${unit}`
}

function print(object: object): void {
  process.stdout.write(`${JSON.stringify(object)}\n`)
}
