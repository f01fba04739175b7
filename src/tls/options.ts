// TLS options, checked once where the public call comes in.

import { McbnError } from '../errors.js'
import type { ContextSettings } from '../native/context.js'
import {
  alpnOption,
  booleanOption,
  choiceOption,
  millisecondsOption,
  stringOption,
} from '../options.js'
import type { TlsOptions, TlsVersion } from './types.js'
import { TLS_DEFAULTS } from './types.js'

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const

/** {@link TlsOptions} with nothing left open. */
export interface ResolvedTlsOptions {
  readonly ciphers: string
  readonly minVersion: TlsVersion
  readonly maxVersion: TlsVersion
  readonly alpn: readonly string[]
  readonly handshakeTimeout: number
  readonly lookupTimeout: number
  readonly allowHalfOpen: boolean
  readonly noDelay: boolean
  readonly keepAlive: boolean
  readonly keepAliveInitialDelay: number
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT`. */
export function resolveTlsOptions(options: TlsOptions): ResolvedTlsOptions {
  const minVersion = choiceOption(
    'minVersion',
    options.minVersion,
    VERSIONS,
    // Only one of the two given must not make a contradiction with the other's default.
    options.maxVersion === 'TLSv1.2' ? 'TLSv1.2' : TLS_DEFAULTS.minVersion,
  )
  const maxVersion = choiceOption(
    'maxVersion',
    options.maxVersion,
    VERSIONS,
    TLS_DEFAULTS.maxVersion,
  )
  if (minVersion > maxVersion) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `minVersion: expected at most maxVersion '${maxVersion}', got '${minVersion}'`,
    )
  }
  const delay = options.keepAliveInitialDelay
  return {
    ciphers: stringOption('ciphers', options.ciphers) ?? '',
    minVersion,
    maxVersion,
    alpn: alpnOption(options.ALPNProtocols),
    handshakeTimeout: millisecondsOption(
      'handshakeTimeout',
      options.handshakeTimeout,
      TLS_DEFAULTS.handshakeTimeout,
    ),
    lookupTimeout: millisecondsOption(
      'lookupTimeout',
      options.lookupTimeout,
      TLS_DEFAULTS.lookupTimeout,
    ),
    allowHalfOpen: booleanOption(
      'allowHalfOpen',
      options.allowHalfOpen,
      TLS_DEFAULTS.allowHalfOpen,
    ),
    noDelay: booleanOption('noDelay', options.noDelay, TLS_DEFAULTS.noDelay),
    keepAlive: booleanOption('keepAlive', options.keepAlive, TLS_DEFAULTS.keepAlive),
    keepAliveInitialDelay: millisecondsOption(
      'keepAliveInitialDelay',
      delay,
      TLS_DEFAULTS.keepAliveInitialDelay,
    ),
  }
}

/** What a context needs to know of them. */
export function contextSettings(options: ResolvedTlsOptions): ContextSettings {
  return {
    datagram: false,
    min13: options.minVersion === 'TLSv1.3',
    max12: options.maxVersion === 'TLSv1.2',
    ciphers: options.ciphers,
    alpn: options.alpn,
  }
}
