// Learns a Mealy machine by asking: Angluin's L* with an observation table, for machines that answer (Shahbaz and
// Groz 2009), and one new suffix for each counterexample (Rivest and Schapire 1993). The machine is believed once
// every state has been tried with every word of a few inputs and all suffixes that tell states apart (Chow's W
// method), and with random words.

import { answersOf, difference, type Machine, stateAfter, type Word } from './mealy.js'

/** What is learnt. A word begins in the first state each time. */
export interface System {
  readonly inputs: readonly string[]
  /** Words that are likely to tell states apart. */
  readonly endings: readonly Word[]
  /** Inputs that do so alone; by default all. */
  readonly probes?: readonly string[]
  /** Words that may be asked at the same time, because nothing of one shows in another; by default one. */
  readonly atOnce?: number
  /** One answer for each input. */
  run(word: Word): Promise<string[]>
}

export interface Effort {
  /** States are looked for that show only after so many more inputs. */
  readonly depth: number
  readonly randomWords: number
  /** Inputs of a random word, at the most. */
  readonly randomLength: number
  readonly random: () => number
  /** What it should be: where it differs from what was learnt, the system is asked as well. */
  readonly expected?: Machine
}

export interface Learnt {
  readonly machine: Machine
  /** Words that the system was asked. */
  readonly asked: number
  /** Counterexamples: machines that were believed too early. */
  readonly rounds: number
}

const TRIES_AT_ONCE = 64

export async function learn(system: System, effort: Effort): Promise<Learnt> {
  const oracle = new Oracle(system)
  const table = new Table(oracle, system)
  for (let rounds = 0; ; rounds += 1) {
    const machine = await table.machine()
    const found = await counterexample(machine, table, oracle, effort)
    if (!found) return { machine, asked: oracle.asked, rounds }
    await table.refine(machine, found)
  }
}

/** Remembers answers, and those of every beginning of a word. */
class Oracle {
  asked = 0
  readonly #system: System
  readonly #known = new Map<string, string>()

  constructor(system: System) {
    this.#system = system
  }

  async answers(word: Word): Promise<string[]> {
    if (this.#missing(word)) {
      this.asked += 1
      const answers = await this.#system.run(word)
      for (const [index, answer] of answers.entries()) {
        const key = JSON.stringify(word.slice(0, index + 1))
        const before = this.#known.get(key)
        if (before !== undefined && before !== answer) {
          throw new Error(`${word.slice(0, index + 1).join(', ')}: ${before} once, ${answer} now`)
        }
        this.#known.set(key, answer)
      }
    }
    return word.map(
      (_, index) => this.#known.get(JSON.stringify(word.slice(0, index + 1))) as string,
    )
  }

  /** Asks several at the same time, where the system can: `answers()` then knows them. */
  async prepare(words: Iterable<Word>): Promise<void> {
    const { atOnce = 1 } = this.#system
    if (atOnce === 1) return
    const missing = new Map<string, Word>()
    for (const word of words) if (this.#missing(word)) missing.set(JSON.stringify(word), word)
    const rest = missing.values()
    const ask = async () => {
      for (const word of rest) await this.answers(word)
    }
    await Promise.all(Array.from({ length: atOnce }, ask))
  }

  #missing(word: Word): boolean {
    return word.length > 0 && !this.#known.has(JSON.stringify(word))
  }
}

class Table {
  readonly #oracle: Oracle
  readonly inputs: Word
  /** A word to each state. */
  readonly #accesses: Word[] = [[]]
  /** Words whose answers tell states apart. */
  readonly suffixes: Word[]

  constructor(oracle: Oracle, { inputs, endings, probes = inputs }: System) {
    this.#oracle = oracle
    this.inputs = inputs
    this.suffixes = [...probes.map((input) => [input]), ...endings]
  }

  get accesses(): readonly Word[] {
    return this.#accesses
  }

  /** The smallest machine that answers as the table says. */
  async machine(): Promise<Machine> {
    for (;;) {
      await this.#oracle.prepare(this.#words())
      const states = new Map<string, string>()
      for (const access of this.#accesses) {
        const row = await this.#row(access)
        if (!states.has(row)) states.set(row, `s${states.size}`)
      }
      const machine = new Map<string, Map<string, { answer: string; next: string }>>()
      let open = false
      for (const access of this.#accesses) {
        const steps = new Map<string, { answer: string; next: string }>()
        for (const input of this.inputs) {
          const row = await this.#row([...access, input])
          const next = states.get(row)
          if (next === undefined) {
            this.#accesses.push([...access, input])
            open = true
            break
          }
          const answer = (await this.#oracle.answers([...access, input])).at(-1) as string
          steps.set(input, { answer, next })
        }
        if (open) break
        machine.set(states.get(await this.#row(access)) as string, steps)
      }
      if (!open) return machine
    }
  }

  /** Takes from a word that the machine answers wrongly the suffix that tells two of its states apart. */
  async refine(machine: Machine, word: Word): Promise<void> {
    let low = 0
    let high = word.length
    // From position `low` on the machine's own access word is answered wrongly as well, from `high` on rightly.
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (await this.#wrongFrom(machine, word, middle)) low = middle
      else high = middle
    }
    const suffix = word.slice(high)
    if (suffix.length === 0 || this.suffixes.some((known) => same(known, suffix))) {
      throw new Error(`nothing is learnt from ${word.join(', ')}`)
    }
    this.suffixes.push(suffix)
  }

  async #wrongFrom(machine: Machine, word: Word, position: number): Promise<boolean> {
    const state = stateAfter(machine, word.slice(0, position))
    const access = this.#accesses.find((each) => stateAfter(machine, each) === state) as Word
    const rest = word.slice(position)
    const answers = (await this.#oracle.answers([...access, ...rest])).slice(access.length)
    return !same(answers, answersOf(machine, word).slice(position))
  }

  /** What the table asks about. */
  *#words(): Generator<Word> {
    for (const access of this.#accesses) {
      for (const suffix of this.suffixes) {
        yield [...access, ...suffix]
        for (const input of this.inputs) yield [...access, input, ...suffix]
      }
    }
  }

  async #row(access: Word): Promise<string> {
    const row: string[][] = []
    for (const suffix of this.suffixes) {
      row.push((await this.#oracle.answers([...access, ...suffix])).slice(access.length))
    }
    return JSON.stringify(row)
  }
}

async function counterexample(
  machine: Machine,
  table: Table,
  oracle: Oracle,
  effort: Effort,
): Promise<Word | undefined> {
  for (const some of batches(tries(machine, table, effort))) {
    await oracle.prepare(some)
    for (const word of some) {
      const right = await oracle.answers(word)
      const expected = answersOf(machine, word)
      const wrong = right.findIndex((answer, index) => answer !== expected[index])
      if (wrong >= 0) return word.slice(0, wrong + 1)
    }
  }
  return undefined
}

function* batches(all: Iterable<Word>): Generator<Word[]> {
  let some: Word[] = []
  for (const word of all) {
    some.push(word)
    if (some.length < TRIES_AT_ONCE) continue
    yield some
    some = []
  }
  yield some
}

function* tries(machine: Machine, table: Table, effort: Effort): Generator<Word> {
  const { inputs } = table
  const doubt = effort.expected && difference(effort.expected, machine, inputs)
  if (doubt) yield doubt
  for (const middle of words(inputs, effort.depth)) {
    for (const access of table.accesses) {
      for (const suffix of table.suffixes) yield [...access, ...middle, ...suffix]
    }
  }
  for (let index = 0; index < effort.randomWords; index += 1) {
    const length = 1 + Math.floor(effort.random() * effort.randomLength)
    yield Array.from(
      { length },
      () => inputs[Math.floor(effort.random() * inputs.length)] as string,
    )
  }
}

/** All words of at most so many inputs, the shortest first. */
function* words(inputs: Word, most: number): Generator<Word> {
  let layer: Word[] = [[]]
  for (let length = 0; length <= most; length += 1) {
    yield* layer
    layer = layer.flatMap((word) => inputs.map((input) => [...word, input]))
  }
}

function same(one: Word, other: Word): boolean {
  return one.length === other.length && one.every((each, index) => each === other[index])
}
