// mcbn bench: how fast mcbn is on this machine, or to your own server.

import { Command, Option } from 'commander'
import { keyProtocolsFor, limitToKeys } from '../connection.js'
import { Diagnostics } from '../diagnostics.js'
import { EXIT, exitCodeOf, type Finish, oneLine, UsageError } from '../exit.js'
import { addKeyOptions, chooseCredential, type KeyReader, protocolsOf, wipeKeys } from '../keys.js'
import { onStopSignal, signalExitCode } from '../signals.js'
import { formatTarget, parseTarget, type Target } from '../url.js'
import { measure, NAMES, type Name, type Settings, sized } from './measurements.js'
import { BenchFailed, killPeers } from './peer.js'
import { type BenchReporter, JsonReporter, TextReporter } from './report.js'

interface BenchFlags {
  readonly seconds: number
  readonly size: number
  readonly sessions: number
  readonly ciphers?: string
  readonly json?: boolean
}

/** Fits one datagram with every suite and the default `mtu`. */
const LARGEST = 1_300

export function benchCommand(finish: Finish): Command {
  const command = new Command('bench')
  command
    .description('measure mcbn on this machine, or to your own DTLS server')
    .argument('[what...]', `${NAMES.join(', ')}; or dtls://host:port; default: all of them`)
    .addOption(number('--seconds <n>', 'seconds measured for each figure', 0.1, 60).default(2))
    .addOption(number('--size <bytes>', 'bytes of a message', 4, LARGEST).default(64))
    .addOption(
      number('--sessions <n>', 'sessions for memory, a client socket each', 1_000, 50_000).default(
        5_000,
      ),
    )
    .option('--ciphers <list>', 'cipher suites as an OpenSSL list, e.g. PSK-AES128-CCM8')
    .option('--json', 'one JSON object for the machine, and one a figure')
  const readKeys = addKeyOptions(command)
  command.addHelpText('after', HELP).action(async (what: readonly string[], flags: BenchFlags) => {
    const diagnostics = new Diagnostics(flags)
    try {
      await bench(what, flags, readKeys, command, finish)
    } catch (error) {
      if (error instanceof BenchFailed) {
        process.stderr.write(`mcbn: bench: ${oneLine(error.message)}\n`)
        finish(EXIT.failure)
      } else {
        diagnostics.failure(error, 'bench')
        finish(exitCodeOf(error))
      }
    }
  })
  return command
}

const HELP = `
Without a URL: DTLS 1.2 with a key made for the run, server and client a process each, all on 127.0.0.1.
Beside it, in turns, node:dgram does the same without any protection: the ratio tells what that costs.

  stream       messages a second, one way, as the receiver's listener counts them
  echo         messages a second there and back, 64 under way
  round-trip   microseconds there and back, one message at a time
  handshakes   full handshakes a second, cookie included
  memory       resident memory of an idle session, server and client

With a URL and its keys: round-trip, echo and handshakes (one after the other) with that server, which
must send back what it gets, as mcbn listen --echo does. Measure only servers that are yours.

A busy machine gives low figures; ratios suffer less. Ends with 0 when all was measured, with 1 when
something could not be, with 2 when the command line is wrong.

Examples:
  mcbn bench
  mcbn bench stream --size 1200 --ciphers PSK-AES128-GCM-SHA256
  mcbn bench round-trip dtls://192.0.2.7:5684 --psk Client1:<hexkey>`

async function bench(
  what: readonly string[],
  flags: BenchFlags,
  readKeys: KeyReader,
  command: Command,
  finish: Finish,
): Promise<void> {
  const { names, target } = selected(what)
  const { seconds, size, sessions, ciphers, json } = flags
  const settings = { seconds, size, sessions, ...(ciphers !== undefined && { ciphers }) }
  const keysGiven = ['psk', 'pskFile', 'share', 'shareFile', 'identity'].some(
    (option) => command.getOptionValue(option) !== undefined,
  )
  if (target === undefined && keysGiven) {
    throw new UsageError('keys: expected a dtls:// url that they are for, got none')
  }
  const remote = target === undefined ? undefined : await prepared(target, readKeys)
  const reporter = json === true ? new JsonReporter() : new TextReporter(inWords(settings))
  // Whatever ends this process: theirs would see the channel close and end too, this is the fast way.
  process.once('exit', killPeers)
  onStopSignal((signal) => {
    reporter.stop()
    killPeers()
    finish(signalExitCode(signal))
  })
  try {
    if (remote === undefined) await measureHere(names, settings, reporter)
    else await remote(names, settings, reporter)
  } finally {
    reporter.stop()
  }
  reporter.done()
  finish(EXIT.ok)
}

async function measureHere(
  names: readonly Name[],
  settings: Settings,
  reporter: BenchReporter,
): Promise<void> {
  for (const name of names.length === 0 ? NAMES : names) {
    const figures = await measure(name, settings, (turn) => reporter.turn(turn))
    for (const figure of figures) reporter.measured(figure)
  }
}

/** Everything that can be wrong about the command line is found before anything is measured. */
async function prepared(target: Target, readKeys: KeyReader) {
  const { host, port, protocol } = target
  if (protocol !== 'dtls') throw new UsageError('bench: expected a dtls:// url, got tls://')
  const range = { maxVersion: 'DTLSv1.2' } as const
  const keys = await readKeys(keyProtocolsFor(target, range))
  limitToKeys(range, protocolsOf(keys), target)
  // Loaded here: --help needs no addon.
  const { measureRemote, REMOTE_NAMES } = await import('./remote.js')
  const server = { host, port, psk: chooseCredential(keys), url: formatTarget(target) }
  return async (names: readonly Name[], settings: Settings, reporter: BenchReporter) => {
    for (const name of REMOTE_NAMES) {
      if (names.length > 0 && !names.includes(name)) continue
      reporter.measured(await measureRemote(name, settings, server, (turn) => reporter.turn(turn)))
    }
    wipeKeys(keys)
  }
}

function inWords({ size, sessions, seconds }: Settings): string {
  const count = sessions.toLocaleString('en')
  return `messages of ${sized(size)}, ${count} sessions for memory, ${seconds} s a figure`
}

function selected(what: readonly string[]): { names: readonly Name[]; target?: Target } {
  const [url, ...more] = what.filter((each) => each.includes('://'))
  const names = what.filter((each) => !each.includes('://'))
  if (more.length > 0) throw new UsageError(`bench: expected one url, got ${more.length + 1}`)
  const known: readonly string[] = NAMES
  for (const name of names) {
    if (!known.includes(name)) {
      throw new UsageError(`bench: expected ${NAMES.join(', ')} or a url, got "${name}"`)
    }
    if (url !== undefined && (name === 'stream' || name === 'memory')) {
      throw new UsageError(`bench: ${name} needs both sides here; drop it, or the url`)
    }
  }
  const chosen = NAMES.filter((name) => names.includes(name))
  return url === undefined ? { names: chosen } : { names: chosen, target: parseTarget(url) }
}

function number(flags: string, description: string, least: number, most: number): Option {
  const name = flags.split(' ', 1)[0]
  const whole = Number.isInteger(least)
  return new Option(flags, description).argParser((text: string) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value
    const kind = whole ? 'a whole number' : 'a number'
    throw new UsageError(`${name}: expected ${kind} from ${least} to ${most}, got "${text}"`)
  })
}
