// A slip of the command line that commander passes over: it looks first at what is missing, or shows the help.

import type { Command } from 'commander'
import { nearest } from '../option-names.js'

/**
 * An option that does not exist, where another one was found missing: it may be the same, misspelt.
 *
 * @param rest - what was typed after the command's name.
 * @returns a sentence without the option's value, which can be a key; `undefined` when all options exist.
 */
export function misspeltOption(command: Command, rest: readonly string[]): string | undefined {
  const known = command.options.flatMap(({ long }) => long ?? [])
  const unknown = command.parseOptions([...rest]).unknown.find((text) => text.startsWith('-'))
  if (unknown === undefined) return undefined
  const name = unknown.replace(/=.*$/s, '')
  return `unknown option '${name}'${suggestion(name, known)}`
}

/** `mcbn help <what does not exist>`; `undefined` when something else was typed. */
export function misspeltHelp(command: Command, rest: readonly string[]): string | undefined {
  const [help, wanted] = rest
  if (help !== 'help' || wanted === undefined) return undefined
  const known = command.commands.map((part) => part.name())
  return `unknown command '${wanted}'${suggestion(wanted, known)}`
}

function suggestion(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? '' : ` (Did you mean ${near}?)`
}
