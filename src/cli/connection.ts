// The options that `listen` and `connect` share, from the command line to the libraries' options.

import { closeSync, openSync, writeSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { MAX_MILLISECONDS } from '../options.js'
import type { KeyProtocol } from '../psk/derive.js'
import type { DtlsVersion } from '../psk/types.js'
import {
  addDatagramFlags,
  type DatagramFlags,
  datagramOptions,
  integerArgument,
} from './datagram-flags.js'
import { UsageError } from './exit.js'
import type { Target } from './url.js'

/** Of each protocol in ascending order, also as text. */
const VERSIONS = ['TLSv1.2', 'TLSv1.3', 'DTLSv1.2', 'DTLSv1.3'] as const
type Version = (typeof VERSIONS)[number]
export type TlsVersion = Exclude<Version, DtlsVersion>

/** As commander hands them over. */
export interface ConnectionFlags extends DatagramFlags {
  readonly ciphers?: string
  readonly keylog?: string
  readonly minVersion?: Version
  readonly maxVersion?: Version
  readonly handshakeTimeout?: number
  readonly alpn?: readonly string[]
  readonly json?: boolean
  readonly verbose?: boolean
}

export function addConnectionFlags(command: Command): Command {
  command
    .option('--ciphers <list>', 'cipher suites as an OpenSSL list, e.g. PSK-AES128-CCM8')
    .addOption(versionOption('--min-version <version>', 'oldest version to speak'))
    .addOption(versionOption('--max-version <version>', 'newest version to speak'))
    .addOption(
      new Option(
        '--handshake-timeout <ms>',
        'milliseconds to wait for a handshake; 0 = forever (default: 10000, or the preset has one)',
      ).argParser(integerArgument('--handshake-timeout', 'milliseconds', 0, MAX_MILLISECONDS)),
    )
    .addOption(
      new Option('--alpn <names>', 'application protocols (RFC 7301), e.g. h2,http/1.1').argParser(
        parseNames,
      ),
    )
  return addDatagramFlags(command)
    .option('--keylog <file>', 'append the secrets for Wireshark to FILE (default: $SSLKEYLOGFILE)')
    .option('--json', 'tell events as JSON, one object a line')
    .option('--verbose', 'tell connections and failing peers, one line each on stderr')
}

/** The libraries' options, except for keys and versions, checked here as far as the libraries do not. */
export function sharedOptions(flags: ConnectionFlags, target: Target) {
  const { handshakeTimeout } = flags
  return {
    ...datagramOptions(flags, target),
    ...(handshakeTimeout !== undefined && { handshakeTimeout }),
    ...(flags.ciphers !== undefined && { ciphers: flags.ciphers }),
    ...(flags.alpn !== undefined && { ALPNProtocols: [...flags.alpn] }),
  }
}

/** What {@link sharedOptions} hands to the libraries. */
export type LibraryOptions = ReturnType<typeof sharedOptions>

/** The versions that a connection may speak; absent ends are the library's to choose. */
export interface VersionRange<Of extends Version = Version> {
  readonly minVersion?: Of
  readonly maxVersion?: Of
}

/**
 * The versions that the flags allow.
 * @throws {UsageError} when they allow none: the oldest newer than the newest, or of the other protocol.
 */
export function versionRange(flags: ConnectionFlags, target: Target): VersionRange {
  const { minVersion, maxVersion } = flags
  const wanted = `${target.protocol.toUpperCase()}v`
  for (const [option, version] of Object.entries({ min: minVersion, max: maxVersion })) {
    if (version === undefined || version.startsWith(wanted)) continue
    throw new UsageError(
      `--${option}-version: expected ${wanted}1.2 or ${wanted}1.3 with ${target.protocol}://, got ${version}`,
    )
  }
  if (minVersion !== undefined && maxVersion !== undefined && minVersion > maxVersion) {
    throw new UsageError(
      `--min-version ${minVersion} and --max-version ${maxVersion} leave nothing to speak`,
    )
  }
  return {
    ...(minVersion !== undefined && { minVersion }),
    ...(maxVersion !== undefined && { maxVersion }),
  }
}

/** What each version needs a key for: one key is never used with two of them (RFC 9258 section 5.1). */
const KEY_OF = {
  'TLSv1.2': 'tls12',
  'TLSv1.3': 'tls13',
  'DTLSv1.2': 'dtls12',
  'DTLSv1.3': 'dtls13',
} as const

/** The protocol that a key for this version is derived for. */
export function keyProtocolOf(version: Version): KeyProtocol {
  return KEY_OF[version]
}

/**
 * What mcbn/1 shares are made into keys for, unless --protocol says it. On tls:// the newest version that the connection may
 * speak, since one hello must do for all. On dtls:// each, the newest first: a client begins again for an older one.
 */
export function keyProtocolsFor(target: Target, range: VersionRange): readonly KeyProtocol[] {
  if (target.protocol === 'tls') return [range.maxVersion === 'TLSv1.2' ? 'tls12' : 'tls13']
  const { minVersion = 'DTLSv1.2', maxVersion = minVersion } = range
  return [
    ...(maxVersion === 'DTLSv1.3' ? (['dtls13'] as const) : []),
    ...(minVersion === 'DTLSv1.2' ? (['dtls12'] as const) : []),
  ]
}

/**
 * Narrows the range to the versions that keys derived by mcbn/1 are for.
 *
 * @param protocols - what keys were derived for; none: the range stays as it is.
 * @throws {UsageError} when a key is for a version that the flags or the URL rule out.
 */
export function limitToKeys(
  range: VersionRange,
  protocols: readonly KeyProtocol[],
  target: Target,
): VersionRange {
  if (protocols.length === 0) return range
  const versions = VERSIONS.filter((version) => protocols.includes(KEY_OF[version]))
  const [first = 'TLSv1.2', last = first] = [versions[0], versions.at(-1)]
  const { minVersion = first, maxVersion = last } = range
  const wanted = versions.filter((version) => version.startsWith(target.protocol.toUpperCase()))
  if (wanted.length === protocols.length && minVersion <= first && last <= maxVersion) {
    return { minVersion: first, maxVersion: last }
  }
  throw new UsageError(
    `--protocol ${protocols[0]}: this key is not for the versions that the URL and --min/--max-version allow`,
  )
}

/** Appends key log lines (https://www.ietf.org/archive/id/draft-ietf-tls-keylogfile-02.html). */
export class KeyLog {
  readonly #file: number

  private constructor(file: number) {
    this.#file = file
  }

  /**
   * The file of `--keylog`, else of `SSLKEYLOGFILE`, else none. Made readable by its owner only: anyone who
   * reads it reads the traffic.
   *
   * @throws {UsageError} when the named file cannot be appended to. One that only the environment
   * names is passed over then, as it may be meant for another program.
   */
  static open(flags: ConnectionFlags): KeyLog | undefined {
    const path = flags.keylog ?? (process.env['SSLKEYLOGFILE'] || undefined)
    if (path === undefined) return undefined
    try {
      return new KeyLog(openSync(path, 'a', 0o600))
    } catch (error) {
      if (flags.keylog === undefined) return undefined
      throw new UsageError(`--keylog: cannot append to the file: ${(error as Error).message}`)
    }
  }

  /** @param line - one line of the log, with its newline, as the event `keylog` has it. */
  readonly append = (line: Buffer): void => {
    try {
      writeSync(this.#file, line)
    } catch {
      // A full disk is no reason to end anybody's connection.
    }
  }

  close(): void {
    closeSync(this.#file)
  }
}

function versionOption(name: string, description: string): Option {
  return new Option(name, description).choices(VERSIONS)
}

function parseNames(text: string): readonly string[] {
  const names = text.split(',')
  if (names.every((name) => name.length >= 1 && Buffer.byteLength(name) <= 255)) return names
  throw new UsageError(
    `--alpn: expected names of 1 to 255 bytes, separated by commas, got "${text}"`,
  )
}
