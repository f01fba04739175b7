// The parts of a command, each loaded when it is typed: what the others need costs up to half a second.

import type { Command } from 'commander'

/** By the name that is typed. */
export type Parts = Readonly<Record<string, () => Promise<Command>>>

/**
 * Adds the part that was typed, or all of them: anything else is help, or a slip whose remedy is one of them.
 *
 * @returns the command.
 */
export async function addParts(
  command: Command,
  parts: Parts,
  typed: string | undefined,
): Promise<Command> {
  const known = typed !== undefined && Object.hasOwn(parts, typed)
  for (const [name, load] of Object.entries(parts)) {
    if (!known || name === typed) command.addCommand(await load())
  }
  return command
}
