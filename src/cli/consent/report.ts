// What a command of consent has done: sentences for people, one object for machines, on stdout.

import { oneLine } from '../exit.js'

/** @param lines - each is made safe for a terminal: names and labels can be a stranger's. */
export function report(
  json: boolean | undefined,
  object: Readonly<Record<string, unknown>>,
  lines: readonly string[],
): void {
  process.stdout.write(
    json === true ? `${JSON.stringify(object)}\n` : lines.map((line) => `${safe(line)}\n`).join(''),
  )
}

/** Indentation is ours, and stays. */
function safe(line: string): string {
  const indent = /^ */.exec(line)?.[0] ?? ''
  return `${indent}${oneLine(line)}`
}
