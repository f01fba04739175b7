// mcbn connect: stdin to the peer, the peer to stdout.

import { Command } from 'commander'
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
import { Conversation } from './conversation.js'
import { tellStats } from './datagram-flags.js'
import { Diagnostics } from './diagnostics.js'
import { dial } from './dial.js'
import { exitCodeOf, type Finish } from './exit.js'
import { addKeyOptions, chooseCredential, type KeyReader, protocolsOf, wipeKeys } from './keys.js'
import { factsText } from './link.js'
import { addOperationsOptions, announceOperations, type OperationsFlags } from './operations.js'
import { destinationOf } from './resolver.js'
import { onStopSignal, signalExitCode } from './signals.js'
import { formatTarget } from './url.js'

export interface ConnectFlags extends ConnectionFlags, OperationsFlags {
  readonly servername?: string
  readonly resolver?: string
}

export function connectCommand(finish: Finish): Command {
  const command = new Command('connect')
  command
    .description('connect to a server: stdin goes to it, what it sends goes to stdout')
    .argument(
      '<url>',
      'tls://host:port or dtls://host:port; IPv6 in brackets; with --resolver tls://name',
    )
  const readKeys = addKeyOptions(command)
  addOperationsOptions(addConnectionFlags(command))
    .option('--servername <name>', 'server name to ask for (RFC 6066 section 3)')
    .option(
      '--resolver <where>',
      'find the server: dns:[server] (SRV) or consul:[http://host:port]',
    )
    .addHelpText('after', HELP)
    .action(async (url: string, flags: ConnectFlags) => {
      const diagnostics = new Diagnostics(flags)
      try {
        await connect(url, flags, readKeys, diagnostics, finish)
      } catch (error) {
        diagnostics.failure(error, 'connect')
        finish(exitCodeOf(error))
      }
    })
  return command
}

const HELP = `
On tls:// bytes are copied as they are. On dtls:// each line of stdin is one datagram, its newline
included; what arrives is written as it is, with nothing between datagrams.

Ends with 0 when the peer closes, or after the end of stdin once the peer has been silent for 2 s;
with 1 and one line on stderr when the handshake fails or the connection breaks; with 2 when the
command line is wrong.

With --resolver the URL names a service, and its servers are tried in turn: dns: asks for the SRV
records of _mcbn._tcp.<name> (_udp for dtls://), or of <name> if it begins with _; consul: asks for the
passing instances of <name>, with the token of $CONSUL_HTTP_TOKEN.

Examples:
  echo hello | mcbn connect tls://127.0.0.1:8081 --psk Client1:<hexkey>
  mcbn connect dtls://[::1]:8081 --psk-file keys.txt --identity Client1
  mcbn connect tls://example.com --resolver dns: --psk-file keys.txt --identity Client1`

async function connect(
  url: string,
  flags: ConnectFlags,
  readKeys: KeyReader,
  diagnostics: Diagnostics,
  finish: Finish,
): Promise<void> {
  const { target, reach } = destinationOf(url, flags.resolver)
  const range = versionRange(flags, target)
  const keys = await readKeys(keyProtocolsFor(target, range))
  const versions = limitToKeys(range, protocolsOf(keys), target)

  let conversation: Conversation | undefined
  let state: Readiness = { notReady: 'connecting' }
  const operations = await announceOperations(flags, () => state, diagnostics)
  onStopSignal(async (signal) => {
    state = { notReady: 'stopping' }
    await conversation?.goodbye()
    finish(signalExitCode(signal))
  })
  const call = { credential: chooseCredential(keys), versions, keyLog: KeyLog.open(flags) }
  await reach(async (place, more) => {
    const { signal } = more
    const servername = flags.servername ?? more.servername
    const options = {
      ...sharedOptions(flags, target),
      ...(servername !== undefined && { servername }),
      ...(signal !== undefined && { signal }),
    }
    await dial({ ...call, target: place, options }, (link) => {
      const { facts } = link
      const shown = formatTarget(place)
      diagnostics.event('connected', `connected to ${shown} (${factsText(facts)})`, {
        url: shown,
        ...facts,
      })
      for (const sentence of keys.warnings) diagnostics.warning(sentence)
      state = true
      conversation = new Conversation(link, diagnostics, (code) => {
        operations?.metrics.close()
        if (link.figures !== undefined) tellStats(flags, link.figures, diagnostics)
        finish(code)
      })
    })
  })
  wipeKeys(keys)
}
