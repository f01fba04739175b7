// Machines as docs/STATE-MACHINE.md and docs/STATE-MACHINE-DTLS13.md have them: a table of what is answered or changes the state. Every other input
// is dropped in silence.

import { type Machine, SILENCE, type Step } from './mealy.js'

/** The table under the heading `## ${title}`. @throws {Error} when there is none. */
export function machineIn(markdown: string, title: string, inputs: readonly string[]): Machine {
  const section = markdown.split(/^## /m).find((each) => each.startsWith(`${title}\n`))
  const rows = section
    ?.split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .slice(1)
  if (!rows?.length) throw new Error(`no table under "${title}"`)
  const machine = new Map<string, Map<string, Step>>()
  for (const [, state = '', input = '', answer = '', next = ''] of rows) {
    if (/^-+$/.test(state)) continue
    if (!inputs.includes(input)) throw new Error(`${title}: ${input} is no input`)
    const steps = machine.get(state) ?? silent(state, inputs)
    steps.set(input, { answer: answer || SILENCE, next })
    machine.set(state, steps)
  }
  const named = new Set(
    [...machine.values()].flatMap((steps) => [...steps.values()].map((step) => step.next)),
  )
  for (const state of named) if (!machine.has(state)) machine.set(state, silent(state, inputs))
  return machine
}

/** Such a table. */
export function tableOf(machine: Machine): string {
  const rows = [...machine].flatMap(([state, steps]) =>
    [...steps]
      .filter(([, { answer, next }]) => answer !== SILENCE || next !== state)
      .map(([input, { answer, next }]) => {
        const said = answer === SILENCE ? '' : answer
        return `| ${state} | ${input} | ${said} | ${next} |`
      }),
  )
  return ['| state | comes | is answered by | then |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  )
}

function silent(state: string, inputs: readonly string[]): Map<string, Step> {
  return new Map(inputs.map((input) => [input, { answer: SILENCE, next: state }]))
}
