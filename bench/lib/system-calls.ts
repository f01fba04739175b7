// What does not depend on the machine: system calls, wake-ups of threads and context switches of a process, for
// each unit of its work. Counted in the kernel by `perf stat` (Linux; root, or kernel.perf_event_paranoid <= -1):
// it costs the process next to nothing, where strace would stop it at every call.

import { spawn, spawnSync } from 'node:child_process'
import type { Child } from './child.js'

const ALL = 'raw_syscalls:sys_enter'
/** Ways to wake a thread, or to wait for one: futex, and what is written to an eventfd. */
const WAKE_UPS = ['syscalls:sys_enter_futex', 'syscalls:sys_enter_write']
const SENDS = ['sendto', 'sendmsg', 'sendmmsg'].map((name) => `syscalls:sys_enter_${name}`)
const SWITCHES = 'context-switches'
const EVENTS = [ALL, ...WAKE_UPS, ...SENDS, SWITCHES]

/** Of one process over a time, all its threads. */
export interface Counted {
  readonly seconds: number
  readonly calls: number
  readonly wakeUps: number
  /** Calls that send. */
  readonly sends: number
  readonly switches: number
}

/** Why nothing can be counted here; undefined: it can. */
export const cannotCount: string | undefined = probe()

/** Share of the measured time in which is counted: the process must not end meanwhile. */
const COUNTED = 0.7

/**
 * Counts from about now on, while the process is at work for `measured` seconds.
 * @returns undefined where it cannot be done, and unless `counting`.
 */
export async function counted(
  child: Child,
  measured: number,
  counting: boolean,
): Promise<Counted | undefined> {
  if (!counting || cannotCount !== undefined) return undefined
  const seconds = measured * COUNTED
  const args = ['stat', '-x,', '-e', EVENTS.join(','), '-p', String(child.pid)]
  const perf = spawn('perf', [...args, '--', 'sleep', String(seconds)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  })
  let text = ''
  perf.stderr.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  await new Promise((resolve) => perf.once('close', resolve))
  return figures(text, seconds)
}

/** For each of the units of work, of which there were so many a second. */
export function each(
  counted: Counted | undefined,
  perSecond: number,
): Readonly<Record<string, number>> {
  if (counted === undefined) return {}
  const units = perSecond * counted.seconds
  return {
    calls: counted.calls / units,
    'wake-ups': counted.wakeUps / units,
    switches: counted.switches / units,
  }
}

function figures(text: string, seconds: number): Counted | undefined {
  const counts = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [count, , event] = line.split(',')
    // An event that never happened is '<not counted>'.
    if (event !== undefined) counts.set(event.replace(/:u$/, ''), Number(count) || 0)
  }
  if (!counts.has(ALL)) return undefined
  const sum = (events: readonly string[]): number =>
    events.reduce((total, event) => total + (counts.get(event) ?? 0), 0)
  return {
    seconds,
    calls: sum([ALL]),
    wakeUps: sum(WAKE_UPS),
    sends: sum(SENDS),
    switches: sum([SWITCHES]),
  }
}

function probe(): string | undefined {
  const done = spawnSync('perf', ['stat', '-x,', '-e', EVENTS.join(','), 'true'], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { ...process.env, LC_ALL: 'C' },
  })
  if (done.error) return `perf: ${done.error.message} (Debian: linux-perf)`
  if (done.status !== 0) return `perf stat: ${done.stderr.split('\n')[0]}`
  return undefined
}
