// Metrics that are read from what is watched at the moment somebody asks: nothing is counted twice.

import { Counter, Gauge, type Registry } from 'prom-client'

export type Labels = Readonly<Record<string, string>>
export type Sample = readonly [labels: Labels, value: number]

/** One metric: name without `mcbn_`, help, labels, and how a subject's samples are read. */
export interface Definition<Subject> {
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  readonly read: (subject: Subject) => readonly Sample[] | number
}

/** What is watched, each with the labels that its owner gave it. */
export class Table<Subject> {
  readonly #watched = new Map<symbol, readonly [subject: Subject, labels: Labels]>()

  /** @param definitions - a name that ends with `_total` is a counter, every other a gauge. */
  constructor(registry: Registry, definitions: readonly Definition<Subject>[], extra: string) {
    const samples = (read: Definition<Subject>['read']): Sample[] =>
      [...this.#watched.values()].flatMap(([subject, own]) => {
        const found = read(subject)
        if (typeof found === 'number') return [[own, found] as const]
        return found.map(([labels, value]) => [{ ...own, ...labels }, value] as const)
      })
    for (const { name, help, labels = [], read } of definitions) {
      const options = {
        name: `mcbn_${name}`,
        help,
        labelNames: [extra, ...labels],
        registers: [registry],
        collect(this: Counter | Gauge) {
          this.reset()
          // Added, not set: two of one name are told as one.
          for (const [own, value] of samples(read)) this.inc({ ...own }, value)
        },
      }
      if (name.endsWith('_total')) new Counter(options)
      else new Gauge(options)
    }
  }

  /** @returns ends it. */
  watch(subject: Subject, labels: Labels): () => void {
    const key = Symbol('watched')
    this.#watched.set(key, [subject, labels])
    return () => void this.#watched.delete(key)
  }
}

/** Values of a label that others choose: after so many, the rest is one. */
export class Bounded {
  readonly #known = new Set<string>()
  readonly #most: number

  constructor(most = 64) {
    this.#most = most
  }

  of(value: string): string {
    if (this.#known.has(value)) return value
    if (this.#known.size >= this.#most) return 'other'
    this.#known.add(value)
    return value
  }
}
