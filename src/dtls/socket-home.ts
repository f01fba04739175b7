// Where sockets live.

import type { SessionChannels } from '../diagnostics.js'
import type { NativeRemote } from '../native/dtls.js'
import type { IoThread } from './io-thread.js'
import type { DtlsSocket } from './socket.js'

/** What the owner of sockets is told, and does for them: one for all sockets of a server. */
export interface SocketHome {
  readonly thread: IoThread
  readonly endpoint: number
  readonly highWaterMark: number
  readonly channels: SessionChannels
  /** Where the UDP socket is bound, once it is. */
  local?: { readonly address: string; readonly port: number } | undefined
  /** The session is over, by now or from this side; its number is not heard of again. */
  release(session: number, ended: boolean): void
  /** Takes an error that has no listener on the socket; false: it is to be thrown. */
  orphanedError(error: Error, socket: DtlsSocket<unknown>): boolean
  /** A server's: the session's peer is there; without effect when it has moved on since. */
  confirmAddress?(session: number, at: NativeRemote): void
  /** Somebody listens for `keylog`, or nobody does any more. */
  keylogWanted?(wanted: boolean): void
}
