import type { Duplex } from 'node:stream'
import type { HandshakeSide } from './handshake.js'
import type { TlsSocket } from './socket.js'

/** @internal How a TlsSocket comes to be; `connect` and `TlsServer` make these. */
export interface TlsSocketSetup<Peer> {
  readonly transport: Duplex
  readonly side: HandshakeSide<Peer>
  readonly handshakeTimeout: number
  readonly allowHalfOpen: boolean
  readonly signal?: AbortSignal | undefined
  /** What a client wants to reach, for messages. */
  readonly target?: string
  /** Servers: told instead of the socket's own events, until the socket is open. */
  readonly server?: {
    readonly keylog: boolean
    onKeylog(line: Buffer, socket: TlsSocket<Peer>): void
    onOpen(socket: TlsSocket<Peer>): void
    onFailure(error: Error, socket: TlsSocket<Peer>): void
  }
}
