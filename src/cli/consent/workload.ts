// mcbn workload: a server or a client that has no key itself, and connects only while enough
// participants agree.

import { Command, Option } from 'commander'
import { Conversation } from '../conversation.js'
import { Diagnostics } from '../diagnostics.js'
import { linkDtls, linkTls } from '../dial.js'
import { EXIT, exitCodeOf, type Finish, UsageError } from '../exit.js'
import { atMost, factsText, type Link } from '../link.js'
import { announce, type Listener, serveDtls, serveTls } from '../listeners.js'
import { type ServiceFlags, serviceFor } from '../services.js'
import { onStopSignal, signalExitCode } from '../signals.js'
import { formatTarget, parseTarget, type Target } from '../url.js'
import {
  addWorkloadOptions,
  type Joined,
  joinNetwork,
  type WorkloadFlags,
} from './workload-join.js'

/** How long an orderly end may take after a signal, in milliseconds. */
const CLOSE_MS = 2_000

interface ServerFlags extends WorkloadFlags, ServiceFlags {
  readonly listen: readonly Target[]
}

interface ClientFlags extends WorkloadFlags {
  readonly connect: Target
}

export function workloadCommand(finish: Finish): Command {
  return new Command('workload')
    .summary('join a network with the consent of its participants, and serve or connect')
    .description(
      'Ask all participants for their shares, proving by attestation what this is; serve or connect\n' +
        'while enough of them agree. Without enough there is no key, and nothing listens.',
    )
    .addCommand(serverCommand(finish))
    .addCommand(clientCommand(finish))
    .addHelpText('after', HELP)
}

const HELP = `
Leases are renewed as long as this runs. When too few participants agree any more, or nothing is heard of
them, connections are cut, keys wiped, and the command ends with 1 and one line that says who is missing.

Examples:
  mcbn workload server --descriptor network.json --participant alice=http://10.0.0.2:7001 \\
    --participant bob=http://10.0.0.3:7001 --listen tls://0.0.0.0:8443 --http
  mcbn workload client --descriptor network.json --participant alice=http://10.0.0.2:7001 \\
    --participant bob=http://10.0.0.3:7001 --connect tls://server:8443`

function serverCommand(finish: Finish): Command {
  return addWorkloadOptions(new Command('server'))
    .description('join as server; then pass bytes between stdin/stdout and the peer, echo, or HTTP')
    .addOption(
      new Option('--listen <url>', 'tls://host:port or dtls://host:port; may be given twice')
        .argParser((url: string, before: readonly Target[] = []) => [...before, parseTarget(url)])
        .makeOptionMandatory(),
    )
    .addOption(new Option('--echo', 'send everything back; stdin is not read').conflicts('http'))
    .option('--http', 'answer GET / with 200 and "ok" (tls:// only); stdin is not read')
    .action((flags: ServerFlags) => run(flags, finish, 'workload server', serve))
}

function clientCommand(finish: Finish): Command {
  return addWorkloadOptions(new Command('client'))
    .description('join as client, then connect: stdin goes to the server, what it sends to stdout')
    .addOption(
      new Option('--connect <url>', 'tls://host:port or dtls://host:port')
        .env('MCBN_CONNECT')
        .argParser(parseTarget)
        .makeOptionMandatory(),
    )
    .action((flags: ClientFlags) => run(flags, finish, 'workload client', converse))
}

/** One run of either: its diagnostics, its signals, its one failure. */
async function run<Flags extends WorkloadFlags>(
  flags: Flags,
  finish: Finish,
  command: string,
  work: (flags: Flags, session: Session) => Promise<void>,
): Promise<void> {
  const diagnostics = new Diagnostics(flags)
  const session = new Session(diagnostics, finish)
  try {
    await work(flags, session)
  } catch (error) {
    if (session.stopped) return
    diagnostics.failure(error, command)
    await session.close()
    finish(exitCodeOf(error))
  }
}

/** What a signal ends, in whatever state it is. */
class Session {
  readonly diagnostics: Diagnostics
  readonly finish: Finish
  readonly #join = new AbortController()
  #joined: Joined | undefined
  stopped = false

  constructor(diagnostics: Diagnostics, finish: Finish) {
    this.diagnostics = diagnostics
    this.finish = finish
  }

  async join(role: 'client' | 'server', flags: WorkloadFlags): Promise<Joined['network']> {
    this.#joined = await joinNetwork(role, flags, this.diagnostics, this.#join.signal)
    return this.#joined.network
  }

  /** @param farewell - what to do first. @param code - the exit code of a signal. */
  onSignal(farewell: () => Promise<void>, code: (signal: 'SIGINT' | 'SIGTERM') => number): void {
    onStopSignal(async (signal) => {
      this.stopped = true
      this.#join.abort()
      await atMost(CLOSE_MS, farewell())
      await this.close()
      this.finish(code(signal))
    })
  }

  async close(): Promise<void> {
    await atMost(CLOSE_MS, this.#joined?.close() ?? Promise.resolve())
  }
}

async function serve(flags: ServerFlags, session: Session): Promise<void> {
  const { diagnostics, finish } = session
  const { listen } = flags
  const udp = listen.find(({ protocol }) => protocol === 'dtls')
  if (flags.http === true && udp !== undefined) {
    throw new UsageError('--http: HTTP needs a stream; expected a tls:// url, got dtls://')
  }
  if (flags.http !== true && flags.echo !== true && listen.length > 1) {
    throw new UsageError('--listen: stdin and stdout serve one url; use --echo for several')
  }
  const listeners: Listener[] = []
  const end = async (): Promise<void> => {
    await Promise.all(listeners.map((listener) => listener.close()))
  }
  session.onSignal(end, () => EXIT.ok)
  const network = await session.join('server', flags)
  const service = serviceFor(flags, udp !== undefined, diagnostics, () => {
    session.stopped = true
    void end()
      .then(() => session.close())
      .then(() => finish(EXIT.ok))
  })
  for (const target of listen) {
    const call = { target, keyLog: undefined, service, diagnostics }
    const listener =
      target.protocol === 'tls'
        ? await serveTls(call, (onSocket) => network.tls.createServer({}, onSocket))
        : await serveDtls(call, (onSocket) => network.dtls.createServer({}, onSocket))
    listeners.push(listener)
    announce(target, listener, diagnostics)
  }
  await whileConsented(network, session)
}

/** @throws {McbnError} `MCBN_CONSENT_ENDED` when it ends, unless this side has ended it. */
async function whileConsented(network: Joined['network'], { stopped }: Session): Promise<void> {
  const { endedError } = await import('../../consent/workload/ending.js')
  const reason = await network.ended
  if (reason.code !== 'closed' && !stopped) throw endedError(reason)
}

async function converse(flags: ClientFlags, session: Session): Promise<void> {
  const { diagnostics } = session
  const { host, port, protocol } = flags.connect
  if (port === 0) throw new UsageError("--connect: expected the server's port, got 0")
  let conversation: Conversation | undefined
  session.onSignal(async () => conversation?.goodbye(), signalExitCode)
  const network = await session.join('client', flags)
  const opened = (link: Link): void => {
    const url = formatTarget(flags.connect)
    const { facts } = link
    diagnostics.event('connected', `connected to ${url} (${factsText(facts)})`, { url, ...facts })
    conversation = new Conversation(link, diagnostics, (code) => {
      session.stopped = true
      void session.close().then(() => session.finish(code))
    })
  }
  if (protocol === 'tls') await linkTls(network.tls.connect({ host, port }), opened)
  else await linkDtls(network.dtls.connect({ host, port }), opened)
}
