// DTLS options, checked once where the public call comes in.

import type { NativeContextOptions } from '../native/contract.js'
import type { NativeDtlsOptions } from '../native/dtls.js'
import { alpnOption, integerOption, millisecondsOption, stringOption } from '../options.js'
import type { DtlsOptions } from './types.js'
import { DTLS_DEFAULTS } from './types.js'

const MAX_BUFFER = 1 << 30

/** {@link DtlsOptions} with nothing left open. */
export interface ResolvedDtlsOptions {
  readonly context: Pick<NativeContextOptions, 'datagram' | 'min13' | 'max12' | 'ciphers' | 'alpn'>
  readonly session: Omit<NativeDtlsOptions, 'keylog'>
  readonly lookupTimeout: number
  readonly highWaterMark: number
  readonly recvBufferSize: number
  readonly sendBufferSize: number
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`. */
export function resolveDtlsOptions(options: DtlsOptions): ResolvedDtlsOptions {
  const milliseconds = (name: 'handshakeTimeout' | 'lookupTimeout' | 'idleTimeout'): number =>
    millisecondsOption(name, options[name], DTLS_DEFAULTS[name])
  const bytes = (name: 'recvBufferSize' | 'sendBufferSize'): number =>
    integerOption(name, options[name], { min: 1, max: MAX_BUFFER, unit: 'bytes' }, 0)
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
    },
    lookupTimeout: milliseconds('lookupTimeout'),
    highWaterMark: integerOption(
      'highWaterMark',
      options.highWaterMark,
      { min: 1, max: MAX_BUFFER, unit: 'bytes' },
      DTLS_DEFAULTS.highWaterMark,
    ),
    recvBufferSize: bytes('recvBufferSize'),
    sendBufferSize: bytes('sendBufferSize'),
  }
}

/** A port to connect to or listen on. */
export function portOption(name: string, value: unknown, min: 0 | 1): number {
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
  return integerOption(name, port ?? Number.NaN, { min, max: 65_535 }, 0)
}
