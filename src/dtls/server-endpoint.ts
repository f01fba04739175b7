// One UDP socket of a server on one I/O thread, with the sessions that live there.

import { DTLS_SERVER, publishHandshakeError } from '../diagnostics.js'
import { McbnError } from '../errors.js'
import type { Cancel, ServerKeys } from '../keys/server-keys.js'
import type {
  NativeEnding,
  NativeOpenedSession,
  NativeRemote,
  NativeSessionQuestion,
  NativeSystemError,
} from '../native/dtls.js'
import { toError } from '../native/failure.js'
import { type EndpointListener, IoThread } from './io-thread.js'
import { DtlsSocket } from './socket.js'
import type { SocketHome } from './socket-home.js'
import type { RemoteInfo } from './types.js'

/** What the endpoints of a server tell it. */
export interface EndpointOwner<Peer> {
  readonly keys: ServerKeys<Peer>
  readonly highWaterMark: number
  onSession(socket: DtlsSocket<Peer>): void
  onClientError(error: Error, rinfo: RemoteInfo): void
  onKeylog(line: Buffer): void
  onSocketError(error: NativeSystemError): void
}

/** A handshake whose key is being looked up, or was. */
interface Lookup<Peer> {
  cancel: Cancel
  peer: Peer | undefined
  error: McbnError | undefined
}

/** The numbers of sessions are those of one endpoint: other endpoints have the same ones. */
export class ServerEndpoint<Peer> implements EndpointListener {
  readonly thread = new IoThread()
  /** The number by which the thread knows it. */
  readonly number: number
  readonly sockets = new Map<number, DtlsSocket<Peer>>()
  readonly #owner: EndpointOwner<Peer>
  readonly #home: SocketHome
  readonly #lookups = new Map<number, Lookup<Peer>>()
  readonly #batched = new Set<DtlsSocket<Peer>>()
  #closed = false

  constructor(owner: EndpointOwner<Peer>) {
    this.#owner = owner
    this.number = this.thread.register(this)
    const { thread, number } = this
    this.#home = {
      thread,
      endpoint: number,
      highWaterMark: owner.highWaterMark,
      channels: DTLS_SERVER,
      release: (session, ended) => {
        this.sockets.delete(session)
        if (!this.#closed && !ended) thread.closeSession(number, session)
      },
      confirmAddress: (session, { remoteAddress, remotePort }) =>
        thread.native.confirmAddress(number, session, remoteAddress, remotePort),
      orphanedError: (error, { remoteAddress = '', remotePort = 0 }) => {
        owner.onClientError(error, rinfo(remoteAddress, remotePort))
        return true
      },
    }
  }

  /** Ends lookups, sessions, socket and thread. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const { cancel } of this.#lookups.values()) cancel()
    this.#lookups.clear()
    for (const socket of [...this.sockets.values()]) socket.destroy()
    this.sockets.clear()
    this.thread.closeEndpoint(this.number)
    this.thread.native.stop()
  }

  // ---- from the I/O thread ------------------------------------------------------------------------

  /** @internal */
  onQuestion(session: number, question: NativeSessionQuestion): void {
    // The rest of a batch in which a listener closed the server.
    if (this.#closed) return
    const { native } = this.thread
    const lookup: Lookup<Peer> = { cancel: () => {}, peer: undefined, error: undefined }
    this.#lookups.set(session, lookup)
    const { number, remoteAddress, remotePort } = question
    lookup.cancel = this.#owner.keys.ask(question, { remoteAddress, remotePort }, (answer) => {
      if ('key' in answer) {
        lookup.peer = answer.peer
        native.answer(this.number, session, number, answer.key, answer.hash, undefined, false)
        answer.key.fill(0)
        return
      }
      const failed = 'error' in answer
      if (failed) lookup.error = answer.error
      native.answer(this.number, session, number, undefined, undefined, undefined, failed)
    })
  }

  /** @internal */
  onOpened(session: number, opened: NativeOpenedSession): void {
    if (this.#closed) return
    const lookup = this.#lookups.get(session)
    this.#lookups.delete(session)
    const socket = new DtlsSocket<Peer>()
    this.sockets.set(session, socket)
    socket.attach(this.#home, session)
    const [, identity] = opened
    socket.onOpened(opened, lookup ? lookup.peer : this.#owner.keys.peerOf(identity))
    this.#owner.onSession(socket)
  }

  /** @internal */
  onMessage(session: number, message: Buffer): void {
    const socket = this.sockets.get(session)
    if (socket?.onMessage(message)) this.#batched.add(socket)
  }

  /** @internal */
  onBatchEnd(): void {
    if (this.#batched.size === 0) return
    const sockets = [...this.#batched]
    this.#batched.clear()
    for (const socket of sockets) socket.onBatchEnd()
  }

  /** @internal */
  onEnded(session: number, ending: NativeEnding | undefined): void {
    this.sockets.get(session)?.onEnded(ending?.failure && toError(ending.failure))
  }

  /** @internal */
  onRefused(session: number, { failure, remoteAddress, remotePort }: NativeEnding): void {
    const lookup = this.#lookups.get(session)
    this.#lookups.delete(session)
    lookup?.cancel()
    const error = lookup?.error ?? (failure ? toError(failure) : closedEarly())
    publishHandshakeError(DTLS_SERVER, () => error, { remoteAddress, remotePort })
    this.#owner.onClientError(error, rinfo(remoteAddress, remotePort))
  }

  /** @internal */
  onKeylog(_session: number, line: Buffer): void {
    this.#owner.onKeylog(line)
  }

  /** @internal */
  onAddressChanged(session: number, remote: NativeRemote): void {
    this.sockets.get(session)?.onAddressChanged(remote)
  }

  /** @internal */
  onSocketError(error: NativeSystemError): void {
    this.#owner.onSocketError(error)
  }
}

function rinfo(address: string, port: number): RemoteInfo {
  return { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' }
}

function closedEarly(): McbnError {
  return new McbnError('MCBN_HANDSHAKE_FAILED', 'the client closed before the handshake was done')
}
