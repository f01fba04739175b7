// Where to listen or connect: tls://host:port or dtls://host:port.

import { isIP, isIPv6 } from 'node:net'
import { UsageError } from './exit.js'

export interface Target {
  readonly protocol: 'tls' | 'dtls'
  /** A name or an address; IPv6 without brackets, as node:net takes it. */
  readonly host: string
  /** 0 to 65,535; 0 only for a listener, where it means a free port. */
  readonly port: number
}

// Not `new URL()`: it cannot read an IPv6 zone ([fe80::1%eth0]), and it accepts user names, paths
// and queries, which mean nothing here and would be dropped without a word.
const URL_FORM =
  /^(?<protocol>[a-z][a-z0-9+.-]*):\/\/(?:\[(?<v6>[^\]]*)\]|(?<name>[^:/?#@[\]\s]*))(?::(?<port>\d*))?\/?$/i

/**
 * Reads a URL that was typed.
 *
 * @param text - e.g. `tls://127.0.0.1:8081`, `dtls://localhost:8081`, `tls://[::1]:8081`.
 * @throws {UsageError} unless the protocol is tls or dtls and host and port are there.
 */
export function parseTarget(text: string): Target {
  const parts = URL_FORM.exec(text)?.groups
  if (parts === undefined) {
    throw wrong(text, 'expected tls://host:port or dtls://host:port, IPv6 in brackets')
  }
  const protocol = parts['protocol']?.toLowerCase()
  if (protocol !== 'tls' && protocol !== 'dtls') {
    throw wrong(text, 'expected tls:// (over TCP) or dtls:// (over UDP)')
  }
  const host = parts['v6'] ?? parts['name'] ?? ''
  if (parts['v6'] !== undefined && !isIPv6(host)) {
    throw wrong(text, 'expected an IPv6 address between the brackets')
  }
  if (host === '') throw wrong(text, 'the host is missing')
  // A name of digits and dots only can never resolve: it is an address with a slip in it.
  if (/^[\d.]+$/.test(host) && isIP(host) === 0) throw wrong(text, 'this is no IPv4 address')
  const port = parts['port'] ?? ''
  if (port === '') throw wrong(text, 'the port is missing')
  if (port.length > 5 || Number(port) > 65_535) {
    throw wrong(text, 'expected a port from 0 to 65535')
  }
  return { protocol, host, port: Number(port) }
}

/** The URL of a target, as {@link parseTarget} reads it. */
export function formatTarget({ protocol, host, port }: Target): string {
  return `${protocol}://${formatHostPort(host, port)}`
}

/** host:port, IPv6 in brackets. */
export function formatHostPort(host: string | undefined, port: number | undefined): string {
  const name = host ?? '?'
  return `${isIPv6(name) ? `[${name}]` : name}:${port ?? '?'}`
}

/** Characters of a URL that an error repeats. */
const MOST_SHOWN = 100

function wrong(text: string, expected: string): UsageError {
  // What stands before an @ may be a key that somebody took for a password: not repeated.
  const shown = text.replace(/\/\/.*@/s, '//...@')
  const cut = shown.length > MOST_SHOWN ? `${shown.slice(0, MOST_SHOWN)}...` : shown
  return new UsageError(`url "${cut}": ${expected}`)
}
