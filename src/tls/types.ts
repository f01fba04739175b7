// The options of mcbn/tls and their defaults.

import type { LookupFunction } from 'node:net'
import type { Duplex } from 'node:stream'
import type { OptionTable } from '../option-names.js'
import type { PskClientSource, PskSource } from '../psk/types.js'

/** A TLS version, spelled as node:tls spells it. */
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

/** What server and client have in common. */
export interface TlsOptions {
  /**
   * Cipher suites in OpenSSL's list format; TLS 1.3 names may stand in the same list. Naming only
   * TLS 1.3 suites turns TLS 1.2 off; naming only TLS 1.2 suites leaves TLS 1.3 at its defaults.
   *
   * @defaultValue forward-secret AEAD suites first, then every other AEAD suite with a PSK.
   * @throws {McbnError} `MCBN_CIPHERS_INVALID` when nothing usable is left.
   */
  readonly ciphers?: string
  /** @defaultValue 'TLSv1.2' */
  readonly minVersion?: TlsVersion
  /** @defaultValue 'TLSv1.3' */
  readonly maxVersion?: TlsVersion
  /**
   * Application protocols in order of preference (RFC 7301). A server that has some refuses a client
   * that offers only others.
   *
   * @defaultValue none
   */
  readonly ALPNProtocols?: readonly string[]
  /**
   * Milliseconds until a connection that is not secure yet is given up with `MCBN_HANDSHAKE_TIMEOUT`;
   * `0` waits forever. On a client it includes connecting and its `psk` function.
   *
   * @defaultValue 10_000
   */
  readonly handshakeTimeout?: number
  /**
   * Milliseconds a `psk` function may take before the handshake fails with `MCBN_LOOKUP_TIMEOUT`;
   * `0` waits forever.
   *
   * @defaultValue 5_000
   */
  readonly lookupTimeout?: number
  /**
   * Whether the socket stays writable after the peer has closed its half.
   *
   * @defaultValue false
   */
  readonly allowHalfOpen?: boolean
  /**
   * Whether small records leave at once instead of waiting for acknowledgements (Nagle's algorithm).
   * Unlike in node:tls on by default: a record is a whole message already.
   *
   * @defaultValue true
   */
  readonly noDelay?: boolean
  /** As in node:net. @defaultValue false */
  readonly keepAlive?: boolean
  /** Milliseconds, as in node:net. @defaultValue 0 */
  readonly keepAliveInitialDelay?: number
}

export interface TlsServerOptions<Peer = undefined> extends TlsOptions {
  /** Keys by identity, or a function that finds them. */
  readonly psk: PskSource<Peer>
  /**
   * Sent to TLS 1.2 clients to help them choose (RFC 4279 section 5.2); at most 256 bytes.
   *
   * @defaultValue none
   */
  readonly pskIdentityHint?: string
  /**
   * What a client with an unknown identity sees: `conceal` looks like a wrong key, on the wire and in
   * time; `alert` says unknown_psk_identity (RFC 4279 section 2 allows both).
   *
   * @defaultValue 'conceal'
   */
  readonly unknownIdentity?: 'conceal' | 'alert'
}

/** What `tls.connect` hands to net.connect as it is. */
export interface TcpOptions {
  /** The address to connect from. */
  readonly localAddress?: string
  /** The TCP port to connect from. */
  readonly localPort?: number
  /** 4 or 6: the addresses to choose from; 0 both. */
  readonly family?: number
  /** Flags for dns.lookup. */
  readonly hints?: number
  /** Instead of dns.lookup. */
  readonly lookup?: LookupFunction
  /** Whether to try IPv6 and IPv4 in turn (RFC 8305 section 5, loosely). */
  readonly autoSelectFamily?: boolean
  /** Milliseconds for each of these attempts. */
  readonly autoSelectFamilyAttemptTimeout?: number
}

export interface TlsConnectOptions extends TlsOptions, TcpOptions {
  /** One credential, or a function of the server's identity hint. */
  readonly psk: PskClientSource
  /** @defaultValue 'localhost' */
  readonly host?: string | undefined
  /** The server's TCP port, 1 to 65,535; needed unless there is `path` or `socket`. */
  readonly port?: number | undefined
  /** A Unix domain socket instead of `host` and `port`. */
  readonly path?: string | undefined
  /** An existing stream instead: the TLS connection runs over it and closes it. */
  readonly socket?: Duplex
  /**
   * The name to ask the server for (RFC 6066 section 3): a host name, never an address.
   *
   * @defaultValue none
   */
  readonly servername?: string
  /** Destroys the socket with an AbortError when it aborts. */
  readonly signal?: AbortSignal
  /** Not used: an endpoint of mcbn/discovery has it, and may be given as it is. */
  readonly priority?: number
  /** Not used: an endpoint of mcbn/discovery has it, and may be given as it is. */
  readonly weight?: number
}

/** Server and client: every option, and its default where it is a fixed value. */
const TLS_OPTIONS = {
  ciphers: undefined,
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ALPNProtocols: undefined,
  handshakeTimeout: 10_000,
  lookupTimeout: 5_000,
  allowHalfOpen: false,
  noDelay: true,
  keepAlive: false,
  keepAliveInitialDelay: 0,
} as const satisfies OptionTable<TlsOptions>

/** What `tls.createServer` takes. @internal */
export const TLS_SERVER_OPTIONS = {
  ...TLS_OPTIONS,
  psk: undefined,
  pskIdentityHint: undefined,
  unknownIdentity: 'conceal',
} as const satisfies OptionTable<TlsServerOptions>

/** @internal */
export const TCP_OPTIONS = {
  localAddress: undefined,
  localPort: undefined,
  family: undefined,
  hints: undefined,
  lookup: undefined,
  autoSelectFamily: undefined,
  autoSelectFamilyAttemptTimeout: undefined,
} as const satisfies OptionTable<TcpOptions>

/** What `tls.connect` takes. @internal */
export const TLS_CONNECT_OPTIONS = {
  ...TLS_OPTIONS,
  ...TCP_OPTIONS,
  psk: undefined,
  host: 'localhost',
  port: undefined,
  path: undefined,
  socket: undefined,
  servername: undefined,
  signal: undefined,
  priority: undefined,
  weight: undefined,
} as const satisfies OptionTable<TlsConnectOptions>

/** The defaults of servers and clients; `undefined` where an option has no fixed one. */
export const TLS_DEFAULTS = { ...TLS_SERVER_OPTIONS, ...TLS_CONNECT_OPTIONS } as const

/** What {@link TlsSocket.getCipher} gives. */
export interface TlsCipher {
  /** OpenSSL's name, for example `TLS_AES_128_GCM_SHA256`. */
  readonly name: string
  /** The RFC's name. */
  readonly standardName: string
  readonly version: TlsVersion
}
