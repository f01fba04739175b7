// One line of a log for machines: what all commands have in common. docs/log.schema.json says it to others.

/** As serious as syslog's of that name (RFC 5424 section 6.2.1). */
export type LogLevel = 'info' | 'warning' | 'error'

/** Events that need somebody's eyes, or soon will. */
const LEVELS: Readonly<Record<string, LogLevel>> = {
  error: 'error',
  insufficient: 'warning',
  'notify-failed': 'warning',
  'peer-error': 'warning',
  'policy-refused': 'warning',
  refused: 'warning',
  suppressed: 'warning',
  warning: 'warning',
  withdrawn: 'warning',
}

/** An event as one line of JSON, without its end: time, level and name first. */
export function logLine(fields: { readonly event: string } & Readonly<Record<string, unknown>>) {
  const { event, ...rest } = fields
  return JSON.stringify({ time: now(), level: LEVELS[event] ?? 'info', event, ...rest })
}

/** The wall clock as RFC 3339 has it, in UTC, to the millisecond. */
export function now(): string {
  return new Date().toISOString()
}

/** Whether events are wanted as JSON, also before, or without, a command's own look at its options. */
export function wantsJson(): boolean {
  return process.argv.includes('--json')
}

/** Something that the user must know although the command goes on. On stderr. */
export function warn(sentence: string): void {
  const line = wantsJson()
    ? logLine({ event: 'warning', message: sentence })
    : `mcbn: warning: ${sentence}`
  process.stderr.write(`${line}\n`)
}
