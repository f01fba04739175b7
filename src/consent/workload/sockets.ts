// The open sockets of one epoch, so that they end with it, and what stands guard in front of them.

import type { DtlsSocket } from '../../dtls/index.js'
import { tellSocket } from '../../dtls/socket.js'
import type { McbnError } from '../../errors.js'
import type { TlsSocket } from '../../tls/index.js'

/** Looks at the clocks. @returns whether there is still consent; if not, all sockets are destroyed. */
export type Check = () => boolean

export class TrackedSockets {
  readonly #open = new Set<TlsSocket | DtlsSocket>()

  get size(): number {
    return this.#open.size
  }

  /** Keeps it until it is closed. */
  add(socket: TlsSocket | DtlsSocket): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
  }

  destroyAll(error: McbnError): void {
    for (const socket of [...this.#open]) {
      // A program without an error listener on a socket sees it close; it does not end because of it.
      if (socket.listenerCount('error') === 0) socket.once('error', () => undefined)
      socket.destroy(error)
    }
    this.#open.clear()
  }
}

/**
 * Has the clocks looked at before a byte goes through. When a stopped process goes on, what has arrived
 * meanwhile can come before any timer, so that no timer would be soon enough.
 */
export function guardTls(socket: TlsSocket, check: Check): void {
  const { _write: write, _writev: writev } = socket
  socket._write = (chunk, encoding, callback) => {
    if (check()) write.call(socket, chunk, encoding, callback)
    else callback(socket.errored)
  }
  socket._writev = (items, callback) => {
    if (check()) writev.call(socket, items, callback)
    else callback(socket.errored)
  }
  // Before the socket's own listener, which decrypts: a socket that was destroyed does not. Not before the
  // handshake is done, or a first listener would have the stream below flow too early.
  if (socket.authorized) socket['transport'].prependListener('data', check)
  else socket.once('secureConnect', () => socket['transport'].prependListener('data', check))
}

/** As {@link guardTls}, for the messages of a DTLS socket. */
export function guardDtls(socket: DtlsSocket, check: Check): void {
  tellSocket.guardedBy(socket, check)
}
