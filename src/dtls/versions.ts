// Which versions of DTLS are spoken, and how DTLS 1.3 exchanges keys: the options, checked.

import { McbnError } from '../errors.js'
import type { ContextSettings } from '../native/context.js'
import type { NativeDtls13Options } from '../native/contract.js'
import { choiceOption, millisecondsOption, stringOption, typeName } from '../options.js'
import type { DtlsVersion } from '../psk/types.js'

/** In ascending order, also as text. */
const VERSIONS = ['DTLSv1.2', 'DTLSv1.3'] as const
const MODES = ['psk_dhe_ke', 'psk_ke'] as const
/** As node:tls names them, and as the IANA does. */
const GROUPS = { X25519: 'X25519', 'P-256': 'secp256r1', X25519MLKEM768: 'X25519MLKEM768' } as const

/** How DTLS 1.3 exchanges keys. */
export type DtlsPskMode = (typeof MODES)[number]

/** A group of psk_dhe_ke. */
export type DtlsGroup = keyof typeof GROUPS

/** What server and client have in common. */
export interface DtlsVersionOptions {
  /**
   * Oldest version to speak.
   *
   * @defaultValue 'DTLSv1.2'
   */
  readonly minVersion?: DtlsVersion
  /**
   * Newest version to speak. DTLS 1.3 is a handshake of mcbn's and has to be asked for (docs/DTLS13.md says what it
   * lacks). A server that speaks both answers each client in the newest version that it offers. A client that
   * speaks both begins with DTLS 1.3. If the server answers as one of DTLS 1.2 does, or twice not at all, it tries
   * DTLS 1.2 as well, with TLS_FALLBACK_SCSV (RFC 7507), and takes the first that proves the key. A server that
   * speaks DTLS 1.3 and knows that value, as mcbn's does, refuses DTLS 1.2 then.
   *
   * @defaultValue 'DTLSv1.2', or `minVersion` where that is newer
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` where DTLS 1.3 meets `records: 'openssl'`, which it does not have.
   */
  readonly maxVersion?: DtlsVersion
  /**
   * How DTLS 1.3 exchanges keys (RFC 8446 section 4.2.9), each where the peer has it too, `psk_dhe_ke` first:
   * `psk_ke` is faster and has no forward secrecy. DTLS 1.2 has cipher suites for it.
   *
   * @defaultValue ['psk_dhe_ke']
   */
  readonly pskModes?: readonly DtlsPskMode[]
  /**
   * Groups of psk_dhe_ke in DTLS 1.3, in order of preference. `X25519MLKEM768` needs OpenSSL 3.5 (Node 24), and is
   * passed over without it.
   *
   * @defaultValue ['X25519', 'P-256']
   */
  readonly groups?: readonly DtlsGroup[]
  /**
   * Milliseconds after which an open session of DTLS 1.3 sends with new keys (RFC 9147 section 8), once something is
   * sent or received: a silent session is not woken. A peer that has not renewed its own after twice as long is
   * asked to. `0` never by time; by use, and by `socket.updateKeys()`, all the same.
   *
   * @defaultValue 3_600_000
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` without DTLS 1.3.
   */
  readonly keyUpdateInterval?: number
}

/** An hour. */
export const KEY_UPDATE_INTERVAL = 3_600_000

/** What else a version depends on. */
interface GivenOptions extends DtlsVersionOptions {
  readonly ciphers?: string
  readonly records?: unknown
}

const ONLY_OF_13 = ['pskModes', 'groups', 'keyUpdateInterval'] as const

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT`. */
export function versionSettings(
  options: GivenOptions,
): Pick<ContextSettings, 'min13' | 'max12' | 'ciphers' | 'dtls13'> {
  const ciphers = stringOption('ciphers', options.ciphers) ?? ''
  const minVersion = choiceOption('minVersion', options.minVersion, VERSIONS, 'DTLSv1.2')
  const maxVersion = choiceOption('maxVersion', options.maxVersion, VERSIONS, minVersion)
  const modes = listOption('pskModes', options.pskModes, MODES)
  const groups = listOption('groups', options.groups, Object.keys(GROUPS) as DtlsGroup[])
  const interval = millisecondsOption(
    'keyUpdateInterval',
    options.keyUpdateInterval,
    KEY_UPDATE_INTERVAL,
  )
  if (minVersion > maxVersion) {
    throw conflict(`minVersion: expected at most maxVersion '${maxVersion}', got '${minVersion}'`)
  }
  if (maxVersion === 'DTLSv1.2') {
    const stray = ONLY_OF_13.find((name) => options[name] !== undefined)
    if (stray === undefined) return { min13: false, max12: true, ciphers }
    throw conflict(`${stray}: expected together with DTLS 1.3, which maxVersion rules out`)
  }
  if (options.records === 'openssl') {
    throw conflict(
      "records: OpenSSL has none of DTLS 1.3; leave it out, or maxVersion at 'DTLSv1.2'",
    )
  }
  const min13 = minVersion === 'DTLSv1.3' || namesOnly13(ciphers)
  const dtls13: NativeDtls13Options = {
    pskDheKe: modes?.includes('psk_dhe_ke') ?? true,
    pskKe: modes?.includes('psk_ke') ?? false,
    groups: groups?.map((group) => GROUPS[group]) ?? [],
    keyUpdateInterval: interval,
  }
  return { min13, max12: false, ciphers, dtls13 }
}

/** Whether the list has names, all of them of TLS 1.3. */
function namesOnly13(ciphers: string): boolean {
  const names = ciphers.split(/[:, ]+/).filter((name) => name !== '')
  return names.length > 0 && names.every((name) => name.startsWith('TLS_'))
}

function listOption<Choice extends string>(
  name: string,
  value: unknown,
  choices: readonly Choice[],
): readonly Choice[] | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `${name}: expected an array of ${choices.map((choice) => `'${choice}'`).join(', ')}, got ${typeName(value)}`,
    )
  }
  if (value.length === 0) {
    throw new McbnError('MCBN_OPTION_RANGE', `${name}: expected at least one, got none`)
  }
  return value.map((each) => choiceOption(name, each ?? null, choices, choices[0] as Choice))
}

function conflict(message: string): McbnError {
  return new McbnError('MCBN_OPTION_CONFLICT', message)
}
