// DTLS options, checked once where the public call comes in.

import { McbnError } from '../errors.js'
import type { ContextSettings } from '../native/context.js'
import type { NativeDtlsOptions, NativeLimits } from '../native/dtls.js'
import {
  alpnOption,
  booleanOption,
  bytesOption,
  choiceOption,
  integerOption,
  millisecondsOption,
  typeName,
} from '../options.js'
import { secretCopy } from '../secret-bytes.js'
import { PRESET_NAMES, type PresetName, withPreset } from './presets.js'
import type { DtlsOptions, DtlsServerOptions } from './types.js'
import { DTLS_DEFAULTS } from './types.js'
import { versionSettings } from './versions.js'

const MAX_BUFFER = 1 << 30
export const CONNECTION_ID_BOUNDS = { min: 0, max: 32, unit: 'bytes' } as const
export const REPLAY_WINDOW_BOUNDS = { min: 32, max: 65_536, unit: 'records' } as const
const MAX_RECORDS = 2_147_483_647
const MAX_SESSIONS = 16_777_216
const MAX_IO_THREADS = 64
/** The I/O thread takes over when the event loop does nothing for 2 ms. */
const MAX_BUSY_POLL = 1_000
const RECORDS = ['mcbn', 'openssl'] as const

/** {@link DtlsOptions} with nothing left open. */
export interface ResolvedDtlsOptions {
  readonly context: ContextSettings
  readonly session: Omit<NativeDtlsOptions, 'keylog'>
  readonly lookupTimeout: number
  readonly highWaterMark: number
  readonly recvBufferSize: number
  readonly sendBufferSize: number
}

/** What `connectionId: true` means, in bytes. */
export const OWN_CONNECTION_ID = {
  /** So long that no two of a hundred thousand sessions are ever likely to draw the same. */
  server: 8,
  /** A client finds its one session by the socket (RFC 9146 section 3). */
  client: 0,
} as const

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT`. */
export function resolveDtlsOptions(
  given: DtlsOptions,
  role: keyof typeof OWN_CONNECTION_ID,
): ResolvedDtlsOptions {
  const options = withPreset(given, presetOption(given.preset))
  const records = choiceOption('records', options.records, RECORDS, DTLS_DEFAULTS.records)
  const milliseconds = (name: 'handshakeTimeout' | 'lookupTimeout' | 'idleTimeout'): number =>
    millisecondsOption(name, options[name], DTLS_DEFAULTS[name])
  const bytes = (name: 'recvBufferSize' | 'sendBufferSize', otherwise: number): number =>
    integerOption(name, options[name], { min: 1, max: MAX_BUFFER, unit: 'bytes' }, otherwise)
  return {
    context: {
      datagram: true,
      ...versionSettings(options),
      alpn: alpnOption(options.ALPNProtocols),
    },
    session: {
      handshakeTimeout: milliseconds('handshakeTimeout'),
      idleTimeout: milliseconds('idleTimeout'),
      retransmitTimeout: integerOption(
        'retransmitTimeout',
        options.retransmitTimeout,
        { min: 10, max: 60_000, unit: 'ms' },
        0,
      ),
      mtu: integerOption(
        'mtu',
        options.mtu,
        { min: 256, max: 16_384, unit: 'bytes' },
        DTLS_DEFAULTS.mtu,
      ),
      forgeryLimit: integerOption(
        'forgeryLimit',
        options.forgeryLimit,
        { min: 0, max: MAX_RECORDS, unit: 'records' },
        DTLS_DEFAULTS.forgeryLimit,
      ),
      replayWindow: integerOption(
        'replayWindow',
        options.replayWindow,
        REPLAY_WINDOW_BOUNDS,
        DTLS_DEFAULTS.replayWindow,
      ),
      busyPoll: integerOption(
        'busyPoll',
        options.busyPoll,
        { min: 0, max: MAX_BUSY_POLL, unit: 'us' },
        DTLS_DEFAULTS.busyPoll,
      ),
      connectionId: connectionIdOption(options.connectionId, OWN_CONNECTION_ID[role], records),
      opensslRecords: records === 'openssl',
    },
    lookupTimeout: milliseconds('lookupTimeout'),
    highWaterMark: integerOption(
      'highWaterMark',
      options.highWaterMark,
      { min: 1, max: MAX_BUFFER, unit: 'bytes' },
      DTLS_DEFAULTS.highWaterMark,
    ),
    recvBufferSize: bytes('recvBufferSize', DTLS_DEFAULTS.recvBufferSize),
    sendBufferSize: bytes('sendBufferSize', 0),
  }
}

/** Bytes of the IDs in records to this side; -1: no connection IDs. */
function connectionIdOption(
  value: unknown,
  usual: number,
  records: (typeof RECORDS)[number],
): number {
  if (value === undefined || value === false) return -1
  if (value !== true && typeof value !== 'number') {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `connectionId: expected a boolean or a number of bytes, got ${typeName(value)}`,
    )
  }
  const length =
    value === true ? usual : integerOption('connectionId', value, CONNECTION_ID_BOUNDS, usual)
  if (records === 'openssl') {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      "connectionId: OpenSSL's record layer has no connection IDs; drop records: 'openssl'",
    )
  }
  return length
}

/** The preset asked for, if any. */
export function presetOption(value: unknown): PresetName | undefined {
  return value === undefined ? undefined : choiceOption('preset', value, PRESET_NAMES, 'coap')
}

/** A port to connect to or listen on. */
export function portOption(name: string, value: unknown, min: 0 | 1): number {
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
  return integerOption(name, port ?? Number.NaN, { min, max: 65_535 }, 0)
}

/** What a server is told beyond {@link ResolvedDtlsOptions}. */
export interface ResolvedListenOptions {
  readonly reusePort: boolean
  readonly ipv6Only: boolean
  readonly ioThreads: number
  readonly limits: NativeLimits
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`. */
export function resolveListenOptions(
  options: Omit<DtlsServerOptions, 'psk'>,
): ResolvedListenOptions {
  const count = (
    name: 'maxSessions' | 'maxHandshakes' | 'maxSessionsPerHost',
    min: number,
  ): number => integerOption(name, options[name], { min, max: MAX_SESSIONS }, DTLS_DEFAULTS[name])
  return {
    reusePort: booleanOption('reusePort', options.reusePort, false),
    ipv6Only: booleanOption('ipv6Only', options.ipv6Only, false),
    ioThreads: integerOption(
      'ioThreads',
      options.ioThreads,
      { min: 1, max: MAX_IO_THREADS },
      DTLS_DEFAULTS.ioThreads,
    ),
    limits: {
      maxSessions: count('maxSessions', 1),
      maxHandshakes: count('maxHandshakes', 1),
      maxSessionsPerHost: count('maxSessionsPerHost', 0),
      evictAfter: millisecondsOption('evictAfter', options.evictAfter, DTLS_DEFAULTS.evictAfter),
    },
  }
}

/** A copy of the secret, which the caller wipes. */
export function cookieSecretOption(secret: unknown): Buffer | undefined {
  if (secret === undefined) return undefined
  return secretCopy(bytesOption('cookieSecret', secret, { min: 16, max: 1024 }))
}
