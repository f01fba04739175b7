// Mealy machines: a state and an input give an answer and the next state.

export interface Step {
  readonly answer: string
  readonly next: string
}

/** The first state is where it begins; every state has a step for every input. */
export type Machine = ReadonlyMap<string, ReadonlyMap<string, Step>>

export type Word = readonly string[]

export const SILENCE = '-'

export function answersOf(machine: Machine, word: Word): string[] {
  let state = startOf(machine)
  return word.map((input) => {
    const step = stepOf(machine, state, input)
    state = step.next
    return step.answer
  })
}

export function stateAfter(machine: Machine, word: Word): string {
  return word.reduce((state, input) => stepOf(machine, state, input).next, startOf(machine))
}

/** A shortest word that two machines answer differently; undefined: only names differ. */
export function difference(one: Machine, other: Machine, inputs: Word): Word | undefined {
  const seen = new Set<string>()
  const queue: { at: string; also: string; word: Word }[] = [
    { at: startOf(one), also: startOf(other), word: [] },
  ]
  for (const { at, also, word } of queue) {
    const pair = JSON.stringify([at, also])
    if (seen.has(pair)) continue
    seen.add(pair)
    for (const input of inputs) {
      const a = stepOf(one, at, input)
      const b = stepOf(other, also, input)
      if (a.answer !== b.answer) return [...word, input]
      queue.push({ at: a.next, also: b.next, word: [...word, input] })
    }
  }
  return undefined
}

/** A shortest word to each state. */
export function accesses(machine: Machine, inputs: Word): Word[] {
  const found = new Map<string, Word>()
  const queue: Word[] = [[]]
  for (const word of queue) {
    const state = stateAfter(machine, word)
    if (found.has(state)) continue
    found.set(state, word)
    for (const input of inputs) queue.push([...word, input])
  }
  return [...found.values()]
}

/** All answers that these inputs alone can bring about. */
export function reachable(machine: Machine, inputs: Word): string[] {
  const answers = accesses(machine, inputs).flatMap((word) =>
    inputs.map((input) => answersOf(machine, [...word, input]).at(-1) as string),
  )
  return [...new Set(answers)]
}

export function startOf(machine: Machine): string {
  const [first] = machine.keys()
  if (first === undefined) throw new Error('a machine without a state')
  return first
}

function stepOf(machine: Machine, state: string, input: string): Step {
  const step = machine.get(state)?.get(input)
  if (!step) throw new Error(`no step from ${state} by ${input}`)
  return step
}
