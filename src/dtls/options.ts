// DTLS options, checked once where the public call comes in.

import { McbnError } from '../errors.js'
import type { ContextSettings } from '../native/context.js'
import type { NativeDtlsOptions, NativeLimits } from '../native/dtls.js'
import {
  alpnOption,
  booleanOption,
  choiceOption,
  integerOption,
  millisecondsOption,
  stringOption,
  typeName,
} from '../options.js'
import { PRESET_NAMES, type PresetName, withPreset } from './presets.js'
import type { DtlsOptions, DtlsServerOptions } from './types.js'
import { DTLS_DEFAULTS } from './types.js'

const MAX_BUFFER = 1 << 30
const MAX_SESSIONS = 16_777_216
const MAX_IO_THREADS = 64
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

/** Names that are reserved for what this version cannot do: without them is not what was asked for. */
const NOT_YET = ['connectionId'] as const

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`. */
export function resolveDtlsOptions(given: DtlsOptions): ResolvedDtlsOptions {
  const options = withPreset(given, presetOption(given.preset))
  for (const name of NOT_YET) {
    if ((options as Record<string, unknown>)[name] !== undefined) {
      throw new McbnError(
        'MCBN_OPTION_RANGE',
        `${name}: not available in this version; leave it out`,
      )
    }
  }
  const milliseconds = (name: 'handshakeTimeout' | 'lookupTimeout' | 'idleTimeout'): number =>
    millisecondsOption(name, options[name], DTLS_DEFAULTS[name])
  const bytes = (name: 'recvBufferSize' | 'sendBufferSize', otherwise: number): number =>
    integerOption(name, options[name], { min: 1, max: MAX_BUFFER, unit: 'bytes' }, otherwise)
  return {
    context: {
      datagram: true,
      min13: false,
      max12: true,
      ciphers: stringOption('ciphers', options.ciphers) ?? '',
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
      replayWindow: integerOption(
        'replayWindow',
        options.replayWindow,
        { min: 32, max: 65_536, unit: 'records' },
        DTLS_DEFAULTS.replayWindow,
      ),
      opensslRecords:
        choiceOption('records', options.records, RECORDS, DTLS_DEFAULTS.records) === 'openssl',
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
  if (!(secret instanceof Uint8Array)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `cookieSecret: expected a Uint8Array, got ${typeName(secret)}`,
    )
  }
  if (secret.length < 16 || secret.length > 1024) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `cookieSecret: expected 16 to 1024 bytes, got ${secret.length}`,
    )
  }
  const copy = Buffer.alloc(secret.length)
  copy.set(secret)
  return copy
}
