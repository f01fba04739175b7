// Where sockets live.

import type { SessionChannels } from '../diagnostics.js'
import type { NativeOpenedSession, NativeRemote } from '../native/dtls.js'
import type { IoThread } from './io-thread.js'
import type { DtlsSocket } from './socket.js'
import type { DtlsCloseReason } from './types.js'

/** What the owner of sockets is told, and does for them: one for all sockets of a server. */
export interface SocketHome {
  readonly thread: IoThread
  readonly endpoint: number
  readonly highWaterMark: number
  readonly channels: SessionChannels
  /** Sessions have rows in a session store. */
  readonly stored?: boolean
  /** A client's: the session was there before, and goes on without a handshake. */
  readonly reused?: boolean
  /** Where the UDP socket is bound, once it is. */
  local?: { readonly address: string; readonly port: number } | undefined
  /** The session is over, by now or from this side; its number is not heard of again. */
  release(session: number, ended: boolean): void
  /** Takes an error that has no listener on the socket; false: it is to be thrown. */
  orphanedError(error: Error, socket: DtlsSocket<unknown>): boolean
  /** A server's: the session's peer is there; without effect when it has moved on since. */
  confirmAddress?(session: number, at: NativeRemote): void
  /** Whether anybody listens for `keylog` now. */
  keylogWanted?(wanted: boolean): void
}

/** What the owner tells its sockets: see `tellSocket`. */
export interface SocketNews {
  /** The socket has a place; messages cannot be sent yet. */
  attached<Peer>(socket: DtlsSocket<Peer>, home: SocketHome, session: number): void
  /** Has `guard` asked before a message goes through, in or out; it destroys the socket if none may. */
  guardedBy<Peer>(socket: DtlsSocket<Peer>, guard: () => boolean): void
  opened<Peer>(socket: DtlsSocket<Peer>, opened: NativeOpenedSession, peer: Peer | undefined): void
  /** @returns whether batchEnd() is wanted. */
  message<Peer>(socket: DtlsSocket<Peer>, message: Buffer): boolean
  batchEnd<Peer>(socket: DtlsSocket<Peer>): void
  addressChanged<Peer>(socket: DtlsSocket<Peer>, remote: NativeRemote): void
  /** The I/O thread has ended the session already. */
  ended<Peer>(socket: DtlsSocket<Peer>, error: Error | undefined, reason?: DtlsCloseReason): void
}
