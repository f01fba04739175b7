// What `listen` and `connect` offer on dtls:// only: the library's options, and its figures at the end.

import { type Command, Option } from 'commander'
import { PRESET_NAMES, type PresetName } from '../dtls/presets.js'
import { MAX_MILLISECONDS } from '../options.js'
import type { Diagnostics, EventFields } from './diagnostics.js'
import { UsageError } from './exit.js'
import type { Target } from './url.js'

/** As commander hands them over. */
export interface DatagramFlags {
  readonly mtu?: number
  readonly connectionId?: true | number
  readonly preset?: PresetName
  readonly idleTimeout?: number
  readonly stats?: boolean
}

/** Adds the options of dtls:// connections. */
export function addDatagramFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--mtu <bytes>', 'dtls: largest UDP payload to send').argParser(
        integerArgument('--mtu', 'bytes', 256, 16_384),
      ),
    )
    .addOption(
      new Option(
        '--connection-id [bytes]',
        'dtls: connection IDs (RFC 9146); how long those to this side are',
      ).argParser(integerArgument('--connection-id', 'bytes', 0, 32)),
    )
    .addOption(
      new Option('--preset <name>', 'dtls: timers and suites of a protocol').choices(PRESET_NAMES),
    )
    .addOption(
      new Option(
        '--idle-timeout <ms>',
        'dtls: milliseconds without a message that end a session',
      ).argParser(integerArgument('--idle-timeout', 'milliseconds', 0, MAX_MILLISECONDS)),
    )
    .option('--stats', 'dtls: tell the figures at the end, on stderr')
}

/**
 * The library's options for these flags.
 * @throws {UsageError} when one is given and the URL is tls://.
 */
export function datagramOptions(flags: DatagramFlags, { protocol }: Target) {
  const { mtu, connectionId, preset, idleTimeout } = flags
  const given = { mtu, connectionId, preset, idleTimeout, stats: flags.stats }
  const [name] = Object.entries(given).find(([, value]) => value !== undefined) ?? []
  if (name !== undefined && protocol !== 'dtls') {
    const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw new UsageError(`--${option}: expected with a dtls:// URL, got tls://`)
  }
  return {
    ...(mtu !== undefined && { mtu }),
    ...(connectionId !== undefined && { connectionId }),
    ...(preset !== undefined && { preset }),
    ...(idleTimeout !== undefined && { idleTimeout }),
  }
}

/** Tells a server's or a socket's figures, those that are not zero, if --stats asks for it. */
export function tellStats(
  { stats }: DatagramFlags,
  figures: object,
  diagnostics: Diagnostics,
): void {
  if (stats !== true) return
  const fields = flat(figures)
  const shown = Object.entries(fields).filter(([, value]) => value !== 0 && value !== false)
  diagnostics.asked('stats', shown.map(([name, value]) => `${name} ${value}`).join(', '), fields)
}

/** Figures within figures get the outer name in front, e.g. `dropped.badCookie`. */
function flat(figures: object, prefix = ''): EventFields {
  const entries = Object.entries(figures).flatMap(([name, value]): [string, number | boolean][] => {
    if (typeof value === 'number' || typeof value === 'boolean') return [[prefix + name, value]]
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
    return Object.entries(flat(value, `${prefix + name}.`)) as [string, number | boolean][]
  })
  return Object.fromEntries(entries)
}

/** A parser for an option that takes a whole number. */
export function integerArgument(option: string, unit: string, min: number, max: number) {
  return (text: string): number => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new UsageError(`${option}: expected ${unit} from ${min} to ${max}, got "${text}"`)
  }
}
