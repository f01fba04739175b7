// mcbn listen: a server for one purpose, which lives on whatever its peers do.

import { Command, Option } from 'commander'
import type { Readiness } from '../metrics/index.js'
import {
  addConnectionFlags,
  type ConnectionFlags,
  KeyLog,
  keyProtocolsFor,
  limitToKeys,
  sharedOptions,
  versionRange,
} from './connection.js'
import { tellStats } from './datagram-flags.js'
import { Diagnostics } from './diagnostics.js'
import { EXIT, exitCodeOf, type Finish, UsageError } from './exit.js'
import {
  addKeyOptions,
  hasKeyForEachVersion,
  type KeyReader,
  protocolsOf,
  serverKeys,
  wipeKeys,
} from './keys.js'
import { atMost } from './link.js'
import { announce, type Listener, type ListenOptions, listenDtls, listenTls } from './listeners.js'
import {
  addOperationsOptions,
  announceOperations,
  type Operations,
  type OperationsFlags,
} from './operations.js'
import { type ServiceFlags, serviceFor } from './services.js'
import { onStopSignal } from './signals.js'
import { parseTarget } from './url.js'

/** How long an orderly end may take after a signal, in milliseconds. */
const CLOSE_MS = 2000

interface ListenFlags extends ConnectionFlags, ServiceFlags, OperationsFlags {
  readonly hint?: string
}

export function listenCommand(finish: Finish): Command {
  const command = new Command('listen')
  command
    .description('serve: pass bytes between stdin/stdout and the peer, echo them, or answer HTTP')
    .argument('<url>', 'tls://host:port or dtls://host:port; port 0 = a free one; IPv6 in brackets')
    .addOption(new Option('--echo', 'send everything back; stdin is not read').conflicts('http'))
    .option('--http', 'answer GET / with 200 and "ok" (tls:// only); stdin is not read')
  const readKeys = addKeyOptions(command)
  command.option('--hint <text>', 'identity hint to send (RFC 4279 section 5.2; not in TLSv1.3)')
  addOperationsOptions(addConnectionFlags(command))
    .addHelpText('after', HELP)
    .action(async (url: string, flags: ListenFlags) => {
      const diagnostics = new Diagnostics(flags)
      try {
        await listen(url, flags, readKeys, diagnostics, finish)
      } catch (error) {
        diagnostics.failure(error, 'listen')
        finish(exitCodeOf(error))
      }
    })
  return command
}

const HELP = `
Prints one line "listening on <url>" on stdout when ready, with the real port; with --json an object
with the event "listening". With neither --echo nor --http the peers' data follows it, and stdin goes
to the peer that connected last, on dtls:// one datagram a line; stdin waits while nobody is connected.

Bad peers are refused and cost nobody else anything; --verbose tells about them. SIGINT and SIGTERM
end it in order, with 0. Ends with 1 when it cannot listen, with 2 when the command line is wrong.

Examples:
  mcbn listen tls://127.0.0.1:8081 --psk Client1:<hexkey> --http
  mcbn listen dtls://[::]:8081 --psk-file keys.txt --echo --verbose`

async function listen(
  url: string,
  flags: ListenFlags,
  readKeys: KeyReader,
  diagnostics: Diagnostics,
  finish: Finish,
): Promise<void> {
  const target = parseTarget(url)
  if (flags.http === true && target.protocol === 'dtls') {
    throw new UsageError('--http: HTTP needs a stream; expected a tls:// url, got dtls://')
  }
  const range = versionRange(flags, target)
  const keys = await readKeys(keyProtocolsFor(target, range))

  let state: Readiness = { notReady: 'starting' }
  const end = async (): Promise<void> => {
    state = { notReady: 'stopping' }
    const figures = listener?.figures?.()
    await atMost(CLOSE_MS, Promise.resolve(listener?.close()))
    if (figures !== undefined) tellStats(flags, figures, diagnostics)
    await operations?.close()
    wipeKeys(keys)
    finish(EXIT.ok)
  }
  const service = serviceFor(flags, target.protocol === 'dtls', diagnostics, () => void end())
  let listener: Listener | undefined
  let operations: Operations | undefined
  onStopSignal(end)
  // First, so that it counts all sessions.
  operations = await announceOperations(flags, () => state, diagnostics)
  listener = await (target.protocol === 'tls' ? listenTls : listenDtls)({
    target,
    psk: serverKeys(keys),
    versions: limitToKeys(range, protocolsOf(keys), target),
    options: {
      ...sharedOptions(flags, target),
      ...(flags.hint !== undefined && { pskIdentityHint: flags.hint }),
    },
    keyLog: KeyLog.open(flags),
    service,
    diagnostics,
  } satisfies ListenOptions)
  // A table is copied, a function is asked as long as it serves.
  if (!hasKeyForEachVersion(keys)) wipeKeys(keys)
  for (const sentence of keys.warnings) diagnostics.warning(sentence)
  if (listener.dtls !== undefined) operations?.metrics.watchDtlsServer(listener.dtls)
  state = true
  announce(target, listener, diagnostics)
}
