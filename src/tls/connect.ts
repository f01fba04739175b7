import type { NetConnectOpts } from 'node:net'
import { connect as connectTcp } from 'node:net'
import { Duplex } from 'node:stream'
import { McbnError } from '../errors.js'
import { refuseUnknown } from '../option-names.js'
import {
  integerOption,
  objectOption,
  servernameOption,
  stringOption,
  typeName,
} from '../options.js'
import { TLS_ADVICE } from './advice.js'
import { ClientSide } from './handshake.js'
import type { ResolvedTlsOptions } from './options.js'
import { resolveTlsOptions } from './options.js'
import { TlsSocket } from './socket.js'
import {
  TCP_OPTIONS,
  type TcpOptions,
  TLS_CONNECT_OPTIONS,
  type TlsConnectOptions,
} from './types.js'

const PASSED = Object.keys(TCP_OPTIONS) as (keyof TcpOptions)[]

/**
 * Opens a TLS connection and offers a pre-shared key. The server must prove that it has the same key;
 * one that shows a certificate instead is refused with `MCBN_PSK_NOT_USED`.
 *
 * @param onSecureConnect - called once, for the event `secureConnect`.
 * @throws {McbnError} of kind `usage` for wrong options; `MCBN_ADDON_UNAVAILABLE`. What goes wrong later
 * is the socket's `error` event, and rejects its `opened`.
 */
export function connect(options: TlsConnectOptions, onSecureConnect?: () => void): TlsSocket {
  objectOption('options', options)
  refuseUnknown('tls.connect', options, TLS_CONNECT_OPTIONS, TLS_ADVICE)
  const resolved = resolveTlsOptions(options)
  const servername = servernameOption(options.servername) ?? ''
  const destination = destinationOf(options)
  const side = new ClientSide(options.psk, servername, resolved)
  const socket = new TlsSocket({
    side,
    transport: destination.open(resolved),
    handshakeTimeout: resolved.handshakeTimeout,
    allowHalfOpen: resolved.allowHalfOpen,
    signal: options.signal,
    target: destination.name,
  })
  if (onSecureConnect) socket.once('secureConnect', onSecureConnect)
  return socket
}

interface Destination {
  readonly name: string
  open(options: ResolvedTlsOptions): Duplex
}

function destinationOf(options: TlsConnectOptions): Destination {
  const { socket, path, port } = options
  if (socket !== undefined) {
    if (!(socket instanceof Duplex) && typeof (socket as Duplex | null)?.write !== 'function') {
      throw new McbnError('MCBN_OPTION_TYPE', `socket: expected a Duplex, got ${typeName(socket)}`)
    }
    return { name: 'the given socket', open: () => socket }
  }
  if (path !== undefined) {
    const name = stringOption('path', path) as string
    return { name, open: (resolved) => openTcp({ path: name }, options, resolved) }
  }
  if (port === undefined) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      'port: expected a number from 1 to 65535 (or socket, or path), got undefined',
    )
  }
  // node:http passes ports on as strings that it took from URLs.
  const given: unknown = /^\d+$/.test(String(port)) ? Number(port) : port
  const number = integerOption('port', given, { min: 1, max: 65_535 }, 0)
  const host = stringOption('host', options.host) ?? 'localhost'
  const name = `${host.includes(':') ? `[${host}]` : host}:${number}`
  return { name, open: (resolved) => openTcp({ host, port: number }, options, resolved) }
}

function openTcp(
  destination: { path: string } | { host: string; port: number },
  options: TlsConnectOptions,
  resolved: ResolvedTlsOptions,
): Duplex {
  const passed = Object.fromEntries(
    PASSED.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  )
  const { noDelay, keepAlive, keepAliveInitialDelay } = resolved
  return connectTcp({
    ...passed,
    ...destination,
    allowHalfOpen: true,
    noDelay,
    keepAlive,
    keepAliveInitialDelay,
  } as NetConnectOpts)
}
