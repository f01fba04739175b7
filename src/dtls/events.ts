// What DTLS servers and sockets emit, with the arguments of their listeners.

import type { McbnError } from '../errors.js'
import type { DtlsImport } from './session-transfer.js'
import type { DtlsSocket } from './socket.js'
import type { RemoteInfo } from './types.js'

/** Events of a DtlsServer. */
export interface DtlsServerEvents<Peer> {
  /** The UDP socket is bound: see `address()`. */
  listening: []
  /**
   * The sessions that the `sessionStore` had go on here; each was announced by `secureConnection`. Follows
   * `listening`.
   */
  sessionsRestored: [result: DtlsImport]
  /**
   * The `sessionStore` cannot be written. It is tried again until it can; once for each outage. Meanwhile
   * sessions go on until the numbers that are reserved are used up (`stats.dropped.unreservedSends`,
   * `unreserved`). Never thrown.
   */
  sessionStoreError: [error: McbnError]
  /** A client has proved its key. */
  secureConnection: [socket: DtlsSocket<Peer>]
  /** A handshake came to nothing, or an open session failed and its socket has no `error` listener. */
  clientError: [error: Error, rinfo: RemoteInfo]
  /** One secret, as NSS key logs have it, while somebody listens. */
  keylog: [line: Buffer]
  /** Sessions and UDP socket are closed; the last event. */
  close: []
  /** The UDP socket could not be bound, or failed: the system's own error. */
  error: [error: Error]
  /** As on any EventEmitter. */
  newListener: [event: string | symbol, listener: unknown]
  /** As on any EventEmitter. */
  removeListener: [event: string | symbol, listener: unknown]
}

/** Events of a DtlsSocket. */
export interface DtlsSocketEvents {
  /** Both sides have proved the key; messages can be sent. Clients only: a server's are open already. */
  secureConnect: []
  /** One message, one datagram. */
  message: [message: Buffer]
  /** What arrived together, in order; in addition to `message`. */
  messages: [messages: Buffer[]]
  /**
   * A client with a connection ID is heard from another address: `remoteAddress` and `remotePort` say
   * it already. With the return routability check the client has answered from there. Without, the
   * datagram may have been sent on by somebody else: until `confirmAddress()`, or until the client is
   * heard from `previous` again, no more than three times what came from there is sent there.
   */
  addressChange: [rinfo: RemoteInfo, previous: RemoteInfo]
  /** Half of `highWaterMark` or less is waiting, after `send` or `sendMany` said to wait. */
  drain: []
  /** One secret, as NSS key logs have it. Clients only: a server emits its own. */
  keylog: [line: Buffer]
  /**
   * Clients only: the `sessionStore` cannot be written. It is tried again until it succeeds; meanwhile records
   * are made as far as their numbers are reserved (docs/SESSIONS.md).
   */
  sessionStoreError: [error: McbnError]
  /** Why the session ended or never began; `close` follows. */
  error: [error: Error]
  /** Always, and last. */
  close: []
  /** As on any EventEmitter. */
  newListener: [event: string | symbol, listener: unknown]
  /** As on any EventEmitter. */
  removeListener: [event: string | symbol, listener: unknown]
}
