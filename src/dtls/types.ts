// The options of mcbn/dtls and their defaults.

import type { LookupFunction } from 'node:net'
import type { OptionTable } from '../option-names.js'
import type { DtlsVersion, PskClientSource, PskCredential, PskSource } from '../psk/types.js'
import type { DtlsFleetOptions, DtlsNodeIdOptions } from './fleet.js'
import type { DtlsSessionStoreOptions } from './store/types.js'
import { type DtlsVersionOptions, KEY_UPDATE_INTERVAL } from './versions.js'

/** What server and client have in common. */
export interface DtlsOptions extends DtlsVersionOptions {
  /**
   * Defaults for a protocol above DTLS; every option that is given counts all the same.
   *
   * - `coap`: PSK-AES128-CCM8 first (RFC 7252 section 9.1.3.1), a first retransmission after 9 s (RFC 7925
   *   section 11), handshakeTimeout 90_000, mtu 1_232; clients connect to port 5684.
   * - `lwm2m`: as `coap`, with PSK-AES128-CCM8 and PSK-AES128-CBC-SHA256.
   * - `hue`: PSK-AES128-GCM-SHA256; clients connect to port 2100.
   *
   * @defaultValue none
   */
  readonly preset?: 'coap' | 'lwm2m' | 'hue'
  /**
   * Cipher suites in OpenSSL's list format; only suites with a PSK that encrypt are used. Those of DTLS 1.3
   * (`TLS_AES_128_GCM_SHA256`) may stand in the same list: naming no other ones turns DTLS 1.2 off where DTLS 1.3 is
   * spoken, naming none of them leaves DTLS 1.3 at its defaults.
   *
   * @defaultValue forward-secret AEAD suites first, then every other AEAD suite with a PSK, down to
   * PSK-AES128-CCM8 (RFC 7925 section 4.2). DTLS 1.3: all but CCM_8 (RFC 9147 section 4.5.3).
   * @throws {McbnError} `MCBN_CIPHERS_INVALID` when nothing usable is left.
   */
  readonly ciphers?: string
  /**
   * Application protocols in order of preference (RFC 7301). A server that has some refuses a client
   * that offers only others.
   *
   * @defaultValue none
   */
  readonly ALPNProtocols?: readonly string[]
  /**
   * Milliseconds before an unfinished handshake is abandoned with `MCBN_HANDSHAKE_TIMEOUT`; `0` waits
   * forever. A wrong key is named long before (`MCBN_PSK_MISMATCH`).
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
   * Milliseconds until a flight is sent again, 10 to 60_000; doubled each time (RFC 6347 section 4.2.4.1).
   *
   * @defaultValue 1_000 until a round trip has been measured, then four round trips, at least 250
   */
  readonly retransmitTimeout?: number
  /**
   * Milliseconds without a message in either direction after which a session closes, with the
   * `closeReason` `idle` and no error; `0` never. A peer that vanished says no goodbye; a stranger's datagrams do not
   * count.
   *
   * @defaultValue 0
   */
  readonly idleTimeout?: number
  /**
   * Largest UDP payload to send, in bytes, 256 to 16_384: the path's MTU less 28 (IPv4) or 48 (IPv6).
   * Handshake messages are fragmented to it (RFC 6347 section 4.2.3), longer messages refused.
   *
   * @defaultValue 1_400
   */
  readonly mtu?: number
  /**
   * Which code protects records once the handshake is done. `'mcbn'` frees OpenSSL's session (47 to 120 KB) and is
   * faster; suites without an AEAD (CBC) stay on OpenSSL all the same. `'openssl'` keeps every session there.
   * The bytes on the wire are alike.
   *
   * @defaultValue 'mcbn'
   */
  readonly records?: 'mcbn' | 'openssl'
  /**
   * Connection IDs (RFC 9146, RFC 9147 section 9): a session lives on when the client's address or port changes, as behind a
   * NAT after a pause. Both sides must agree, and only suites with an AEAD do: see `socket.connectionId`.
   *
   * - `true`: a server hands out IDs of 8 random bytes; a client uses the server's and needs none itself.
   * - a number, 0 to 32: bytes of the IDs in records to this side; 0 for none.
   *
   * The server follows a client as soon as an authentic record newer than all before it comes from
   * elsewhere: see the socket's `addressChange`. An ID stays the same and goes unencrypted: an
   * observer of two networks can tell that they carry the same session.
   *
   * @defaultValue false
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` with `records: 'openssl'`, which has no connection IDs.
   */
  readonly connectionId?: boolean | number
  /**
   * How many records back one may come and still be taken, 32 to 65_536 (RFC 6347 section 4.1.2.6): a
   * record that was seen, or is older, is dropped as `replayed`. More than 64 is for paths that reorder
   * a lot, at a bit a record for each session. It cannot be turned off: otherwise anyone who records a
   * datagram could have it delivered again and again. Sessions on OpenSSL's record layer (CBC
   * suites, `records: 'openssl'`) always have OpenSSL's 64.
   *
   * @defaultValue 64
   */
  readonly replayWindow?: number
  /**
   * Records that are not authentic (`badMac`) before an open session ends with `MCBN_CONNECTION_LOST`; `0`
   * any number. RFC 6347 section 4.1.2.7 has a DTLS 1.2 session survive them, and with a limit anybody who
   * can send in the peer's name ends it. Each forgery is taken with a chance of 1 in 2^128, of
   * 1 in 2^64 with a CCM_8 suite: RFC 9147 section 4.5.3 has DTLS 1.3 stop at 11_863_283 (2^23.5) for CCM, and
   * sessions of DTLS 1.3 have those limits instead. Sessions on OpenSSL's record layer do not count them.
   *
   * @defaultValue 0
   */
  readonly forgeryLimit?: number
  /**
   * Microseconds for which the event loop's thread may look for the next datagram before it sleeps, 0 to
   * 1_000; 0: not at all. To wake a thread that sleeps takes longer than an answer: with one question and
   * one answer at a time, on both sides, 50 halves the round trip or more, and uses up a processor on each
   * side meanwhile. It looks only while little is on its way and while, lately, looking has paid; it gives up by
   * itself after two or three times in vain, and costs nothing while nothing comes. The event loop is
   * never held longer than this at a time. Clients of one JavaScript thread share it: the
   * longest of theirs holds.
   *
   * @defaultValue 0
   */
  readonly busyPoll?: number
  /**
   * Bytes a socket may have waiting to be sent before `send` returns `false`. Beyond four times as
   * much messages are not taken any more, and counted in `stats.dropped`.
   *
   * @defaultValue 1_048_576
   */
  readonly highWaterMark?: number
  /**
   * Bytes of the system's receive buffer (SO_RCVBUF): what may arrive while the I/O thread is busy. The
   * system grants what its administrator allows (on Linux net.core.rmem_max), without an error.
   *
   * @defaultValue 4_194_304
   */
  readonly recvBufferSize?: number
  /** Bytes of the system's send buffer (SO_SNDBUF). @defaultValue the system's */
  readonly sendBufferSize?: number
}

export interface DtlsServerOptions<Peer = undefined> extends DtlsOptions {
  /** Keys by identity, or a function that finds them. */
  readonly psk: PskSource<Peer>
  /**
   * Sent to clients to help them choose (RFC 4279 section 5.2); at most 256 bytes.
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
  /**
   * I/O threads, 1 to 64, each with its own UDP socket on the same address (SO_REUSEPORT): the system
   * gives every client to one of them. Worth it when one thread is busy and processors are idle. All
   * limits, keys and the cookie secret are the server's as a whole. Linux only; elsewhere one thread runs,
   * see `stats.ioThreads`.
   *
   * @defaultValue 1
   */
  readonly ioThreads?: number
  /**
   * Sessions at a time, handshakes included. When they are all there, a client is answered only if one of
   * them was silent for `evictAfter`, and takes its place once it has proved its key; until then it counts
   * for `maxHandshakes`. Others are not answered.
   *
   * @defaultValue 100_000
   */
  readonly maxSessions?: number
  /**
   * Milliseconds (by default half an hour) in which a session has neither sent nor received a message, before a new one may take its
   * place when `maxSessions` are there: the one that was silent longest closes, with close_notify and the
   * `closeReason` `idle`. `0` never: newcomers wait until a session ends. A peer that vanished says no
   * goodbye, so without this and `idleTimeout` a server fills up with sessions that nobody has any more.
   *
   * @defaultValue 1_800_000
   */
  readonly evictAfter?: number
  /**
   * Handshakes under way at a time, each 70 to 120 KB until it is done or given up, and key lookups that have
   * not settled. No host (an IPv4 address, an IPv6 network of 64 bits) has more than it leaves to others:
   * one alone has half of them. For a newcomer the handshake goes that has waited for its client longest,
   * if that is half a second; else the newcomer is not answered, and tries again. While a quarter of the
   * places is taken, a handshake waits for its client 3 s at most.
   *
   * @defaultValue 4_096
   */
  readonly maxHandshakes?: number
  /** Sessions of one IPv4 address, or IPv6 network of 64 bits, at a time; `0` no limit. @defaultValue 0 */
  readonly maxSessionsPerHost?: number
  /**
   * Secret of the stateless cookies (RFC 6347 section 4.2.1), 16 to 1_024 bytes: the same for instances
   * behind one address.
   *
   * @defaultValue 32 random bytes; with `fleet`, made from its key
   */
  readonly cookieSecret?: Uint8Array
  /**
   * Has connection IDs name this server, among several behind one address (docs/FLEET.md), so that a load
   * balancer which reads them, or any other node of its `fleet`, finds it. Needs a `connectionId`.
   *
   * @defaultValue none: IDs are random
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` when `connectionId` has too few bytes, or none.
   */
  readonly nodeId?: DtlsNodeIdOptions
  /**
   * Sends datagrams that reached the wrong node on to the one that their connection ID names, and answers
   * through the node that they had reached: any load balancer will do (docs/FLEET.md). Needs a `nodeId`.
   *
   * @defaultValue none
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` without a `nodeId`.
   */
  readonly fleet?: DtlsFleetOptions
  /**
   * Has sessions outlive the process, also when it is killed: the next server with the same store goes on with
   * them, without a handshake (docs/SESSIONS.md). The first message after a second of silence waits
   * until the store has taken its record number. Suites without an AEAD are left out.
   *
   * @defaultValue none: sessions end with the process
   * @throws {McbnError} as `error` of the server: `MCBN_SESSION_STORE_FAILED` when it cannot be opened.
   */
  readonly sessionStore?: DtlsSessionStoreOptions
  /**
   * Lets other programs of the same user share the port (SO_REUSEPORT). Without it, `listen` refuses a port
   * that somebody has, whatever `ioThreads` is.
   *
   * @defaultValue false
   */
  readonly reusePort?: boolean
  /** On `::`, refuses IPv4 (IPV6_V6ONLY). @defaultValue false */
  readonly ipv6Only?: boolean
}

export interface DtlsConnectOptions extends DtlsOptions {
  /**
   * One credential, or a function of the server's identity hint and the version. With DTLS 1.3 alone also a list of 1 to 8 credentials of one
   * `hash`, in order of preference: all identities go out in the clear, and the server takes the first that it knows,
   * which `pskIdentity` then tells.
   */
  readonly psk: PskClientSource | readonly PskCredential[]
  /** An address or a name. @defaultValue 'localhost' */
  readonly host?: string | undefined
  /** The server's UDP port, 1 to 65,535. Needed unless `preset` has one. */
  readonly port?: number
  /**
   * The address to send from, as in node:net; also decides the address family.
   *
   * @defaultValue the system's choice
   */
  readonly localAddress?: string
  /** The UDP port to send from. @defaultValue 0, the system's choice */
  readonly localPort?: number
  /** 4 or 6: the addresses to choose from; 0 both. @defaultValue 0 */
  readonly family?: 0 | 4 | 6
  /**
   * Finds a name's addresses, as in node:net; called with `all: true`. They are tried in order until at
   * one of them somebody listens.
   *
   * @defaultValue dns.lookup
   */
  readonly lookup?: LookupFunction
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
  /**
   * Goes on with a session that `exportSession` sealed, without a handshake: the server notices nothing, where
   * both sides use connection IDs or the client keeps its address and port (`localAddress`, `localPort`).
   * Without `host` it goes to where the session's server is. `psk` names the same identity, or is a
   * function, which is not called.
   *
   * @defaultValue none
   * @throws {McbnError} as `error`: `MCBN_SESSION_REFUSED`, and the message says why.
   */
  readonly session?: DtlsSealedSession
  /**
   * Has the session outlive the process, also when it is killed: the next `connect` with the same store, `host`,
   * `port`, `servername` and `psk` goes on with it, without a handshake (docs/SESSIONS.md). Where the server does
   * not know it any more, a handshake follows: noticed at once where both sides use connection IDs, else
   * not before the application misses an answer and closes the socket, which forgets the session. All
   * clients of a process may name one store.
   *
   * @defaultValue none: the session ends with the process
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` with another `sealingKey` than clients of this process have the
   * store open with; as `error`: `MCBN_SESSION_STORE_FAILED` when it cannot be opened.
   */
  readonly sessionStore?: DtlsSessionStoreOptions
}

/** Server and client: every option, and its default where it is a fixed value. */
const DTLS_OPTIONS = {
  preset: undefined,
  minVersion: 'DTLSv1.2',
  maxVersion: undefined,
  pskModes: undefined,
  groups: undefined,
  keyUpdateInterval: KEY_UPDATE_INTERVAL,
  ciphers: undefined,
  ALPNProtocols: undefined,
  handshakeTimeout: 10_000,
  lookupTimeout: 5_000,
  retransmitTimeout: undefined,
  idleTimeout: 0,
  mtu: 1_400,
  records: 'mcbn',
  connectionId: false,
  replayWindow: 64,
  forgeryLimit: 0,
  busyPoll: 0,
  highWaterMark: 1_048_576,
  recvBufferSize: 4_194_304,
  sendBufferSize: undefined,
} as const satisfies OptionTable<DtlsOptions>

/** What `dtls.createServer` takes. @internal */
export const DTLS_SERVER_OPTIONS = {
  ...DTLS_OPTIONS,
  psk: undefined,
  pskIdentityHint: undefined,
  unknownIdentity: 'conceal',
  ioThreads: 1,
  maxSessions: 100_000,
  evictAfter: 1_800_000,
  maxHandshakes: 4_096,
  maxSessionsPerHost: 0,
  cookieSecret: undefined,
  nodeId: undefined,
  fleet: undefined,
  sessionStore: undefined,
  reusePort: false,
  ipv6Only: false,
} as const satisfies OptionTable<DtlsServerOptions>

/** What `dtls.connect` takes. @internal */
export const DTLS_CONNECT_OPTIONS = {
  ...DTLS_OPTIONS,
  psk: undefined,
  host: 'localhost',
  port: undefined,
  localAddress: undefined,
  localPort: undefined,
  family: 0,
  lookup: undefined,
  servername: undefined,
  signal: undefined,
  session: undefined,
  sessionStore: undefined,
  priority: undefined,
  weight: undefined,
} as const satisfies OptionTable<DtlsConnectOptions>

/** The defaults of servers and clients; `undefined` where an option has no fixed one. */
export const DTLS_DEFAULTS = { ...DTLS_SERVER_OPTIONS, ...DTLS_CONNECT_OPTIONS } as const

/** What `exportSession` gave, and the key that opens it. */
export interface DtlsSealedSession {
  readonly sealed: Uint8Array
  /** 32 bytes: the key that it was sealed with. */
  readonly sealingKey: Uint8Array
}

/** What {@link DtlsSocket.getCipher} gives. */
export interface DtlsCipher {
  /** OpenSSL's name, for example `PSK-AES128-CCM8`; with DTLS 1.3 the RFC's. */
  readonly name: string
  /** The RFC's name. */
  readonly standardName: string
  readonly version: DtlsVersion
}

/**
 * Why a session is over: `local` this side closed it; `peer` the peer said goodbye; `idle` nobody had
 * anything to say for `idleTimeout`, or a newcomer took the place of the session silent longest; `exported`
 * it goes on elsewhere; `failed` the event `error` told why.
 */
export type DtlsCloseReason = 'local' | 'peer' | 'idle' | 'exported' | 'failed'

/** The connection IDs of a session (RFC 9146); at least one of them is not empty. */
export interface DtlsConnectionId {
  /** In records to this side; empty if they carry none. */
  readonly local: Buffer
  /** In records to the peer; empty if they carry none. */
  readonly remote: Buffer
  /** Whether a new address is checked before the session moves there (RFC 9853). */
  readonly returnRoutability: boolean
}

/** Whom an event is about, as in node:dgram. */
export interface RemoteInfo {
  readonly address: string
  readonly family: 'IPv4' | 'IPv6'
  readonly port: number
}
