// What a command of consent has done: sentences for people, one object for machines, on stdout.

import { oneLine } from '../exit.js'
import { logLine } from '../log.js'

/**
 * Writes either.
 *
 * @param object - with an `event` it is a line of a log, and gets time and level (see ../log.ts); without one it is
 * what the command was asked for.
 * @param lines - each is made safe for a terminal: names and labels can be a stranger's. */
export function report(
  json: boolean | undefined,
  object: Readonly<Record<string, unknown>>,
  lines: readonly string[],
): void {
  process.stdout.write(
    json === true
      ? `${isEvent(object) ? logLine(object) : JSON.stringify(object)}\n`
      : lines.map((line) => `${safe(line)}\n`).join(''),
  )
}

/** Indentation is ours, and stays. */
function safe(line: string): string {
  const indent = /^ */.exec(line)?.[0] ?? ''
  return `${indent}${oneLine(line)}`
}

function isEvent(object: object): object is { readonly event: string } {
  return 'event' in object && typeof object.event === 'string'
}
