// [keys] on the command line: --psk, --psk-file, or shares, for `listen` and `connect`.

import { type Command, Option } from 'commander'
import { McbnError } from '../errors.js'
import type { KeyProtocol } from '../psk/derive.js'
import { loadPskFile } from '../psk/file.js'
import {
  type KeyLine,
  LineProblem,
  PSK_FILE_FORMATS,
  type PskFileFormat,
  splitKeyLine,
} from '../psk/file-formats.js'
import { IDENTITY_MAX_BYTES_TLS13, identityBytes } from '../psk/identity.js'
import { parseKeyText } from '../psk/key.js'
import type { PskClientSource, PskProtocol, PskSource } from '../psk/types.js'
import { keyProtocolOf } from './connection.js'
import { exposureOf } from './secret-file.js'
import {
  ARGUMENTS_ARE_VISIBLE,
  addShareFlags,
  deriveFromShares,
  type ShareFlags,
} from './shares.js'

/** All keys that the command line names. */
export interface CommandKeys {
  /** Identity -> key, never empty: a server's `psk` as it is. The caller owns and wipes the keys. */
  readonly keys: ReadonlyMap<string, Buffer>
  /** What `--identity` said: the name of the derived key, or the one that a client picks. */
  readonly identity?: string
  /**
   * Keys that were derived by mcbn/1, one for each protocol, all of one identity: the connection must then be limited to
   * their versions. `keys` has the first of them.
   */
  readonly derived?: DerivedKeys
  /** Files that others can read, a sentence each; said once the connection stands. */
  readonly warnings: readonly string[]
}

export interface DerivedKeys {
  readonly identity: string
  readonly byProtocol: ReadonlyMap<KeyProtocol, Buffer>
}

/**
 * Reads the keys once the command has been parsed.
 *
 * @param defaultProtocols - what mcbn/1 derives for without `--protocol`, the one that is preferred first.
 * @throws {McbnError} of kind `usage`, never with a secret in it; also when there is no key at all.
 */
export type KeyReader = (defaultProtocols: readonly KeyProtocol[]) => Promise<CommandKeys>

/** As commander hands them over. */
interface KeyFlags extends ShareFlags {
  readonly psk?: readonly string[]
  readonly pskFile?: string
  readonly pskFileFormat?: PskFileFormat
  readonly identity?: string
}

/** What a key on this command line can be for: `kcv` is not a secret. */
const CONNECTION_PROTOCOLS = ['tls13', 'tls12', 'dtls13', 'dtls12'] as const

/** Adds the options that name keys. */
export function addKeyOptions(command: Command): KeyReader {
  command
    .addOption(
      new Option(
        '--psk <identity:key>',
        'identity and key, in hex or marked hex: or ascii:; repeatable',
      ).argParser((value: string, earlier: readonly string[] = []) => [...earlier, value]),
    )
    .option(
      '--psk-file <file>',
      'file with lines identity:key, as stunnel, mosquitto, psktool write',
    )
    .addOption(
      new Option(
        '--psk-file-format <program>',
        'read the file exactly as this program does; without it, what they read differently is refused',
      ).choices(PSK_FILE_FORMATS),
    )
    .option('--identity <name>', 'identity of the key made from shares, or the one to connect with')
  addShareFlags(command, { protocols: CONNECTION_PROTOCOLS }).addHelpText(
    'after',
    `\n${ARGUMENTS_ARE_VISIBLE}`,
  )
  return (defaultProtocols) => readKeys(command.opts<KeyFlags>(), defaultProtocols)
}

async function readKeys(
  flags: KeyFlags,
  defaultProtocols: readonly KeyProtocol[],
): Promise<CommandKeys> {
  const { psk = [], pskFile, pskFileFormat: format, identity } = flags
  const keys = new Map<string, Buffer>()
  const add = (option: string, name: string, key: Buffer) => {
    if (keys.has(name)) {
      throw new McbnError(
        'MCBN_OPTION_CONFLICT',
        `${option}: expected one key an identity, got a second one; drop one of them`,
      )
    }
    keys.set(name, key)
  }
  for (const [at, text] of psk.entries()) {
    const option = psk.length === 1 ? '--psk' : `--psk (number ${at + 1})`
    const entry = parsePskArgument(text, option)
    add(option, entry.identity, entry.key)
  }
  if (pskFile !== undefined) {
    for (const [name, key] of loadPskFile(pskFile, { format })) add('--psk-file', name, key)
  } else if (format !== undefined) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      '--psk-file-format: expected together with --psk-file, got it alone',
    )
  }
  const derived = await derivedKeys(flags, defaultProtocols)
  if (derived !== undefined) add('--share', derived.identity, derived.key)
  if (keys.size === 0) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      pskFile === undefined
        ? 'keys: expected --psk <identity>:<hexkey>, --psk-file, or --share with --identity, got none'
        : '--psk-file: expected at least one line identity:key, got none',
    )
  }
  return {
    keys,
    warnings: await exposedFiles(flags),
    ...(identity !== undefined && { identity }),
    ...(derived?.byProtocol !== undefined && {
      derived: { identity: derived.identity, byProtocol: derived.byProtocol },
    }),
  }
}

/** `byProtocol`: with mcbn/1, which alone makes a key for each protocol. */
async function derivedKeys(flags: KeyFlags, defaultProtocols: readonly KeyProtocol[]) {
  const [preferred, ...others] = defaultProtocols
  const first = await deriveFromShares(flags, {}, preferred)
  if (first === undefined) return undefined
  const { key, protocol } = first
  const identity = derivedIdentity(flags.identity)
  if (protocol === undefined) return { identity, key }
  const byProtocol = new Map([[protocol, key]])
  if (flags.protocol === undefined) {
    for (const other of others) {
      const more = await deriveFromShares({ ...flags, protocol: other })
      if (more !== undefined) byProtocol.set(other, more.key)
    }
  }
  return { identity, key, byProtocol }
}

/**
 * The one identity a client presents: what `--identity` names, or the only one there is. A function, where its key is
 * another one for each version.
 *
 * @throws {McbnError} `MCBN_OPTION_CONFLICT` when there are several and none is named, or the named
 * one has no key.
 */
export function chooseCredential(of: CommandKeys): PskClientSource {
  const { keys, identity } = of
  const chosen = identity ?? (keys.size === 1 ? [...keys.keys()][0] : undefined)
  const key = chosen === undefined ? undefined : keys.get(chosen)
  if (chosen !== undefined && key !== undefined) {
    const credential = { identity: chosen, key }
    if (!hasKeyForEachVersion(of)) return credential
    return (_hint, { protocol }) => ({ ...credential, key: keyFor(of, chosen, protocol) ?? key })
  }
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    identity === undefined
      ? `keys: expected one identity to connect with, got ${keys.size}; choose with --identity`
      : '--identity: expected one of the identities given with a key, got another',
  )
}

/** All of them, for a server. A function, where a key is another one for each version: it needs the keys while it serves. */
export function serverKeys(of: CommandKeys): PskSource {
  if (!hasKeyForEachVersion(of)) return of.keys
  return ({ identity, protocol }) => {
    const name = identity.toString()
    return identity.equals(Buffer.from(name)) ? (keyFor(of, name, protocol) ?? null) : null
  }
}

/** What keys were derived for; none, where none was or where one serves every version. */
export function protocolsOf({ derived }: CommandKeys): readonly KeyProtocol[] {
  return [...(derived?.byProtocol.keys() ?? [])]
}

export function hasKeyForEachVersion({ derived }: CommandKeys): boolean {
  return derived !== undefined && derived.byProtocol.size > 1
}

function keyFor(of: CommandKeys, identity: string, protocol: PskProtocol): Buffer | undefined {
  const { keys, derived } = of
  const own = identity === derived?.identity
  return own ? derived.byProtocol.get(keyProtocolOf(protocol)) : keys.get(identity)
}

export function wipeKeys({ keys, derived }: CommandKeys): void {
  for (const key of keys.values()) key.fill(0)
  for (const key of derived?.byProtocol.values() ?? []) key.fill(0)
}

async function exposedFiles({ pskFile, share, shareFile }: KeyFlags): Promise<string[]> {
  const shares = (share ?? shareFile ?? []).filter(({ source }) => source === 'file')
  const found = await Promise.all([
    ...(pskFile === undefined ? [] : [exposureOf(pskFile, '--psk-file')]),
    ...shares.map(({ value }) => exposureOf(value, '--share-file')),
  ])
  return found.filter((sentence) => sentence !== undefined)
}

function parsePskArgument(text: string, option: string): { identity: string; key: Buffer } {
  const entry = splitArgument(text, option)
  identityBytes(entry.identity, `${option} identity`, IDENTITY_MAX_BYTES_TLS13)
  return { identity: entry.identity, key: parseKeyText(entry.keyText, `${option} key`) }
}

function splitArgument(text: string, option: string): KeyLine {
  // Without the colon the whole text may be a key: not one character of it is shown.
  let problem = 'expected <identity>:<hexkey>, got no colon'
  try {
    const entry = splitKeyLine(text)
    if (entry !== undefined) return entry
  } catch (error) {
    if (!(error instanceof LineProblem)) throw error
    problem = error.message
  }
  throw new McbnError('MCBN_OPTION_RANGE', `${option}: ${problem}`)
}

function derivedIdentity(identity: string | undefined): string {
  if (identity === undefined) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      '--identity: expected with --share, got none; it names the key on the wire',
    )
  }
  identityBytes(identity, '--identity', IDENTITY_MAX_BYTES_TLS13)
  return identity
}
