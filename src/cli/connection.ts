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

/**
 * What mcbn/1 shares are made into a key for, unless --protocol says it: the newest version that the
 * connection may speak.
 */
export function keyProtocolFor(target: Target, range: VersionRange): KeyProtocol {
  if (target.protocol === 'dtls') {
    return (range.maxVersion ?? range.minVersion) === 'DTLSv1.3' ? 'dtls13' : 'dtls12'
  }
  return range.maxVersion === 'TLSv1.2' ? 'tls12' : 'tls13'
}

/**
 * Narrows the range to the one version that a key derived by mcbn/1 is for: a key for one protocol
 * is never used with another (RFC 9258 section 5.1 gives the reason).
 *
 * @throws {UsageError} when the key is for a version that the flags or the URL rule out.
 */
export function limitToKey(
  range: VersionRange,
  protocol: KeyProtocol | undefined,
  target: Target,
): VersionRange {
  if (protocol === undefined) return range
  const version = {
    tls12: 'TLSv1.2',
    tls13: 'TLSv1.3',
    dtls12: 'DTLSv1.2',
    dtls13: 'DTLSv1.3',
  } as const
  if (protocol !== 'kcv' && protocol.startsWith(`${target.protocol}1`)) {
    const only = version[protocol]
    const { minVersion = only, maxVersion = only } = range
    if (minVersion <= only && only <= maxVersion) return { minVersion: only, maxVersion: only }
  }
  throw new UsageError(
    `--protocol ${protocol}: this key is not for the versions that the URL and --min/--max-version allow`,
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
