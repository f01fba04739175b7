// Shares on the command line: --share and --share-file with what a scheme needs besides them.

import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { type Command, Option } from 'commander'
import { McbnError } from '../errors.js'
import {
  derivePsk,
  KEY_PROTOCOLS,
  type KeyProtocol,
  type Mcbn1Options,
  SCHEMES,
  type Scheme,
} from '../psk/derive.js'
import { decodeHex } from '../psk/hex.js'

/** How a command wants its share options to behave. */
export interface ShareOptionsSetup {
  /** One `--share` may be followed by several values: only for commands without arguments. */
  readonly variadic?: boolean
  /** What --protocol takes. */
  readonly protocols?: readonly KeyProtocol[]
  /** `--share-file -` reads standard input: only for commands that do not need it otherwise. */
  readonly stdin?: boolean
}

/** A key made from the shares on the command line, and from what. */
export interface DerivedKey {
  /** 32 bytes; the caller owns and wipes them. */
  readonly key: Buffer
  readonly scheme: Scheme
  /** Labels in the order of derivation; `participant 1`, ... where none were given. */
  readonly participants: readonly string[]
  /** Only with mcbn/1, which makes one key a protocol. */
  readonly protocol?: KeyProtocol
  readonly network?: string
  readonly epoch?: number
}

/** One `--share` or `--share-file`. */
export interface ShareArgument {
  readonly label: string | undefined
  readonly source: 'text' | 'file'
  readonly value: string
}

/** As commander hands them over. */
export interface ShareFlags {
  /** All shares of both options in their common order, which is part of the original schemes' keys. */
  readonly share?: readonly ShareArgument[]
  /** The same list as `share`, when at least one file was given. */
  readonly shareFile?: readonly ShareArgument[]
  readonly scheme: Scheme
  readonly descriptorHash?: string
  readonly network?: string
  readonly epoch?: string
  readonly protocol?: KeyProtocol
}

/** Said wherever a secret can be an argument. */
export const ARGUMENTS_ARE_VISIBLE =
  'Arguments are visible to other users of this machine (ps) and stay in the shell history: prefer files.'

/** Adds the options that name shares; {@link deriveFromShares} makes the key. */
export function addShareFlags(command: Command, setup: ShareOptionsSetup = {}): Command {
  const given: ShareArgument[] = []
  const collect = (source: ShareArgument['source']) => (value: string) => {
    given.push({ ...splitLabel(value), source })
    return given
  }
  const dots = setup.variadic === true ? '...' : ''
  const stdin = setup.stdin === true ? ' (- reads standard input)' : ''
  return command
    .addOption(
      new Option(
        `--share <[label=]hex${dots}>`,
        'share of one participant, 64 lower-case hex digits; repeatable',
      ).argParser(collect('text')),
    )
    .addOption(
      new Option(
        `--share-file <[label=]file${dots}>`,
        `file with one share in hex${stdin}; repeatable`,
      ).argParser(collect('file')),
    )
    .addOption(
      new Option('--scheme <name>', 'how shares become a key').choices(SCHEMES).default(SCHEMES[0]),
    )
    .option('--descriptor-hash <hex>', 'mcbn/1: hash of the signed descriptor, 64 hex digits')
    .option('--network <name>', 'mcbn/1: name of the network')
    .option('--epoch <number>', 'mcbn/1: epoch of the shares, 0 to 4294967295')
    .addOption(
      new Option('--protocol <name>', 'mcbn/1: what the key is for').choices(
        setup.protocols ?? KEY_PROTOCOLS,
      ),
    )
}

/**
 * Makes the key of the shares on the command line.
 *
 * @param defaultProtocol - what mcbn/1 derives for without `--protocol`.
 * @returns `undefined` when no share was given.
 * @throws {McbnError} of kind `usage`, never with a secret in it.
 */
export async function deriveFromShares(
  flags: ShareFlags,
  setup: ShareOptionsSetup = {},
  defaultProtocol?: KeyProtocol,
): Promise<DerivedKey | undefined> {
  const given = flags.share ?? flags.shareFile
  if (given === undefined) return undefined
  if (given.filter(({ value, source }) => source === 'file' && value === '-').length > 1) {
    throw conflict('--share-file: expected standard input (-) at most once, got it twice')
  }
  const shares: (readonly [string | undefined, string])[] = []
  for (const argument of given) {
    shares.push([argument.label, await readShare(argument, setup)] as const)
  }
  return flags.scheme === 'mcbn/1'
    ? deriveLabelled(shares, flags, defaultProtocol)
    : deriveOrdered(shares, flags)
}

function deriveLabelled(
  shares: readonly (readonly [string | undefined, string])[],
  flags: ShareFlags,
  defaultProtocol: KeyProtocol | undefined,
): DerivedKey {
  const labelled = new Map<string, string>()
  for (const [at, [label, share]] of shares.entries()) {
    if (label === undefined) {
      throw conflict(
        `share ${at + 1}: expected <label>=<share> for mcbn/1, got no label; for shares without labels choose another --scheme`,
      )
    }
    if (labelled.has(label)) {
      throw conflict(`share of ${label}: expected one share a participant, got two`)
    }
    labelled.set(label, share)
  }
  const options: Mcbn1Options = {
    descriptorHash: decodeHex(
      required('--descriptor-hash', flags.descriptorHash),
      '--descriptor-hash',
      'MCBN_OPTION_RANGE',
      'lower',
    ),
    network: required('--network', flags.network),
    epoch: parseEpoch(required('--epoch', flags.epoch)),
    protocol: required('--protocol', flags.protocol ?? defaultProtocol),
  }
  const { network, epoch, protocol } = options
  const key = derivePsk(labelled, options)
  return {
    key,
    scheme: 'mcbn/1',
    participants: [...labelled.keys()].sort(),
    network,
    epoch,
    protocol,
  }
}

function deriveOrdered(
  shares: readonly (readonly [string | undefined, string])[],
  flags: ShareFlags,
): DerivedKey {
  const { scheme } = flags
  if (scheme === 'mcbn/1') throw new McbnError('MCBN_INTERNAL', 'mcbn/1 has labels, not an order')
  for (const name of ['descriptorHash', 'network', 'epoch', 'protocol'] as const) {
    if (flags[name] === undefined) continue
    throw conflict(`--${dashed(name)}: expected only with mcbn/1, got it with ${scheme}; drop it`)
  }
  const key = derivePsk(
    shares.map(([, share]) => share),
    { scheme },
  )
  return {
    key,
    scheme,
    participants: shares.map(([label], at) => label ?? `participant ${at + 1}`),
  }
}

/** `label=value`; a file whose name has such a beginning is reached as `./label=value`. */
function splitLabel(text: string): Pick<ShareArgument, 'label' | 'value'> {
  const labelled = /^([A-Za-z0-9][^=/\\]*)=(.*)$/s.exec(text)
  return { label: labelled?.[1], value: labelled?.[2] ?? text }
}

async function readShare(argument: ShareArgument, setup: ShareOptionsSetup): Promise<string> {
  if (argument.source === 'text') return argument.value
  const content = await readContent(argument.value, setup)
  try {
    // Exactly one line end: editors and echo add it. Anything more is not the share that was made.
    return content.toString('latin1').replace(/\r?\n$/, '')
  } finally {
    content.fill(0)
  }
}

async function readContent(path: string, setup: ShareOptionsSetup): Promise<Buffer> {
  if (path !== '-') {
    try {
      return await readFile(path)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new McbnError('MCBN_OPTION_RANGE', `--share-file: cannot be read: ${reason}`, { cause })
    }
  }
  if (setup.stdin === true) return buffer(process.stdin)
  throw conflict('--share-file: expected a file, got -; standard input belongs to the connection')
}

function parseEpoch(text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `--epoch: expected an integer from 0 to 4294967295, got ${JSON.stringify(text)}`,
  )
}

function required<Value>(option: string, value: Value | undefined): Value {
  if (value !== undefined) return value
  throw conflict(`${option}: expected with mcbn/1, got none; or choose another --scheme`)
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function conflict(message: string): McbnError {
  return new McbnError('MCBN_OPTION_CONFLICT', message)
}
