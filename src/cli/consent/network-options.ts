// The options that a plan and a descriptor made by hand have in common.

import type { Command } from 'commander'
import type { Descriptor } from '../../consent/descriptor/types.js'
import {
  type DescriptorRole,
  NETWORK_PROTOCOLS,
  type NetworkProtocol,
} from '../../consent/descriptor/types.js'
import { McbnError } from '../../errors.js'
import { LABEL } from '../../psk/share.js'
import { UsageError } from '../exit.js'
import { digestsOf } from './images.js'

export interface NetworkFlags {
  readonly network: string
  readonly epoch: string
  readonly participant: readonly string[]
  readonly clientImage: readonly string[]
  readonly serverImage: readonly string[]
  readonly clientId: string
  readonly serverId: string
  readonly protocol?: readonly string[]
  readonly notBefore?: string
  readonly notAfter?: string
}

/** Seconds in 365 days: as long as a network is good unless it says so. */
const ONE_YEAR = 365 * 86_400

export function addNetworkOptions(command: Command): Command {
  return command
    .requiredOption('--network <name>', 'name of the network')
    .requiredOption('--epoch <number>', '0 to 4294967295; larger than any before')
    .requiredOption('--participant <file...>', "everybody's participant.json")
    .requiredOption(
      '--client-image <image...>',
      'images of the client: layouts of mcbn image build, or sha256:<64 hex digits>',
    )
    .requiredOption('--server-image <image...>', 'images of the server')
    .option('--client-id <name>', "the client's public name", 'client')
    .option('--server-id <name>', "the server's public name", 'server')
    .option('--protocol <name...>', `some of ${NETWORK_PROTOCOLS.join(', ')} (default: all)`)
    .option('--not-before <time>', 'RFC 3339 time (default: now)')
    .option('--not-after <time>', 'RFC 3339 time (default: 365 days later)')
}

/** What of a descriptor these options say. */
export interface NetworkSettings {
  readonly network: string
  readonly epoch: number
  readonly roles: { readonly client: DescriptorRole; readonly server: DescriptorRole }
  readonly protocols?: readonly NetworkProtocol[]
  readonly validity: Descriptor['validity']
}

/** @throws {UsageError} or {McbnError} of kind `usage`, naming the option. */
export async function networkOf(flags: NetworkFlags): Promise<NetworkSettings> {
  const { protocol } = flags
  const [client, server] = await Promise.all([
    digestsOf('--client-image', 'client', flags.clientImage),
    digestsOf('--server-image', 'server', flags.serverImage),
  ])
  const notBefore = seconds('--not-before', flags.notBefore) ?? Math.floor(Date.now() / 1000)
  return {
    network: flags.network,
    epoch: integer('--epoch', flags.epoch),
    roles: {
      client: { id: flags.clientId, images: client },
      server: { id: flags.serverId, images: server },
    },
    ...(protocol !== undefined && { protocols: protocol.map(networkProtocol) }),
    validity: {
      notBefore,
      notAfter: seconds('--not-after', flags.notAfter) ?? notBefore + ONE_YEAR,
    },
  }
}

/** The value of --label, before anything is asked or read. */
export function demandLabel(text: string): string {
  if (LABEL.test(text)) return text
  throw new UsageError('--label: expected 1 to 63 of a-z 0-9 . _ -, a letter or digit first')
}

/** An option's integer; what it may be is checked where it is used. */
export function integer(option: string, text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new UsageError(`${option}: expected a number, got ${JSON.stringify(text.slice(0, 40))}`)
}

/** `127.0.0.1:7001`, `[::1]:7001`, `localhost:0`. */
export function hostAndPort(
  option: string,
  text: string,
): { readonly host: string; readonly port: number } {
  const parts = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^:[\]\s]+)):(?<port>\d{1,5})$/.exec(
    text,
  )?.groups
  const host = parts?.['v6'] ?? parts?.['name']
  const port = Number(parts?.['port'])
  if (host !== undefined && port <= 65_535) return { host, port }
  throw new UsageError(`${option}: expected <host>:<port>, IPv6 in brackets, the port 0 to 65535`)
}

/** Seconds since 1970 as people read them. */
export function time(since1970: number): string {
  return new Date(since1970 * 1000).toISOString().replace('.000Z', 'Z')
}

/** Seconds since 1970 of an RFC 3339 time. */
function seconds(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const form = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/
  const value = form.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(value)) return Math.floor(value / 1000)
  throw new UsageError(
    `${option}: expected a time as 2027-01-31T12:00:00Z, got ${JSON.stringify(text.slice(0, 40))}`,
  )
}

function networkProtocol(text: string): NetworkProtocol {
  const found = NETWORK_PROTOCOLS.find((protocol) => protocol === text)
  if (found !== undefined) return found
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `--protocol: expected ${NETWORK_PROTOCOLS.join(', ')}, got ${JSON.stringify(text.slice(0, 40))}`,
  )
}
