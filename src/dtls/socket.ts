import { EventEmitter } from 'node:events'
import { Deferred } from '../deferred.js'
import { publishClose, publishHandshakeError, publishOpen } from '../diagnostics.js'
import type { NativeOpenedSession, NativeRemote } from '../native/dtls.js'
import type { NativeSessionFigures } from '../native/figures.js'
import { checkedBytes, type Datagram } from './datagram.js'
import { EarlyMessages } from './early-messages.js'
import type { DtlsSocketEvents } from './events.js'
import { isIdle } from './idle.js'
import { type DtlsKeyUpdateOptions, updateKeysOf } from './key-update.js'
import { checkedLabel, keyingMaterialOf, noKeyingMaterial } from './keying-material.js'
import { Outgoing } from './outgoing.js'
import type { SessionFacts } from './session-facts.js'
import { cipherOf, connectionIdOf, familyOf, remoteInfo, sessionFacts } from './session-facts.js'
import { type DtlsTransferOptions, sealedSession, sealingKeyOf } from './session-transfer.js'
import { closedEarly, notOpen } from './socket-closed.js'
import type { SocketHome, SocketNews } from './socket-home.js'
import { type DtlsSocketStats, socketStats } from './stats.js'
import type { DtlsCipher, DtlsCloseReason, DtlsConnectionId } from './types.js'

/** In place of a socket's early messages: a listener has come, and has had them. */
const DELIVERED = null

/** How endpoints tell sockets. Not exported by mcbn/dtls: nobody else can open, feed or end a socket. */
export let tellSocket: SocketNews

/**
 * One DTLS 1.2 association (RFC 6347): a message is a datagram, kept whole, not repeated by the library,
 * and it may get lost or overtake another as any UDP datagram may.
 *
 * Made by `connect` and `createServer` of mcbn/dtls. Emits `secureConnect`; `message` (Buffer) for each
 * message; `messages` (Buffer[]) once for what came together, in addition; `drain`; `addressChange`
 * (rinfo, previous); `keylog` (line); `sessionStoreError` (error); `error`; `close`, always and last.
 *
 * Messages that arrive before there is a listener are kept (up to 1 MiB, each counted with 256 bytes
 * more) and delivered to the first one. An error without an `error` listener is thrown only where nobody
 * else can know: not when `opened` was asked for, and on a server it becomes the server's `clientError`.
 */
export class DtlsSocket<Peer = undefined> extends EventEmitter<DtlsSocketEvents> {
  // A server may have a hundred thousand idle ones: what is not always needed is made when it is.
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #home: SocketHome | undefined
  #session = 0
  #outgoing: Outgoing | undefined
  #facts: SessionFacts | undefined
  #peer: Peer | undefined
  #dropped = 0
  #early: EarlyMessages | typeof DELIVERED | undefined
  #batch: Buffer[] | undefined
  #lastFigures: NativeSessionFigures | undefined
  #opened: Deferred<this> | undefined
  #closed: Deferred | undefined
  /** `close` has been emitted. */
  #gone = false
  #closeReason: DtlsCloseReason | undefined
  #failure: Error | undefined
  /** False: nothing may go through. It has destroyed the socket then. */
  #guard: (() => boolean) | undefined

  static {
    tellSocket = {
      attached: (socket, home, session) => {
        socket.#home = home
        socket.#session = session
      },
      guardedBy: (socket, guard) => {
        socket.#guard = guard
      },
      opened: (socket, opened, peer) => socket.#onOpened(opened, peer),
      message: (socket, message) => socket.#onMessage(message),
      batchEnd: (socket) => socket.#onBatchEnd(),
      addressChanged: (socket, remote) => socket.#onAddressChanged(remote),
      ended: (socket, error, reason) => socket.#onEnded(error, reason),
    }
  }

  /** @internal */
  constructor() {
    super()
    // One function for all sockets: EventEmitter calls it with the socket as `this`.
    this.on('newListener', this.#onNewListener)
  }

  #onNewListener(event: string | symbol): void {
    if (event === 'keylog') {
      this.#home?.keylogWanted?.(true)
      const told = this.listeners('removeListener').includes(this.#onRemoveListener)
      if (!told) this.on('removeListener', this.#onRemoveListener)
    }
    if ((event !== 'message' && event !== 'messages') || this.#early === DELIVERED) return
    process.nextTick(() => this.#deliverEarly())
  }

  #onRemoveListener(event: string | symbol): void {
    if (event !== 'keylog' || this.listenerCount('keylog') > 0) return
    this.#home?.keylogWanted?.(false)
  }

  // ---- what it is ---------------------------------------------------------------------------------

  /** Resolves when the handshake is done; rejects with its McbnError. */
  get opened(): Promise<this> {
    if (this.#opened === undefined) {
      this.#opened = new Deferred()
      if (this.#facts) this.#opened.resolve(this)
      else if (this.#state === 'closed') this.#opened.reject(this.#failure ?? closedEarly())
    }
    return this.#opened.promise
  }

  /** Resolves when the socket is closed, for whatever reason. */
  get closed(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = new Deferred()
      if (this.#gone) this.#closed.resolve()
    }
    return this.#closed.promise
  }

  /** `opening`, `open` or `closed`. */
  get readyState(): 'opening' | 'open' | 'closed' {
    return this.#state
  }

  /** The identity of the key in use (RFC 4279 section 2), a copy; undefined before the session is open. */
  get pskIdentity(): Buffer | undefined {
    return this.#facts && Buffer.from(this.#facts.identity, 'latin1')
  }

  /** On a server: what the key's entry carried as `peer`. */
  get peer(): Peer | undefined {
    return this.#peer
  }

  /** The peer's address; undefined before the session is open. */
  get remoteAddress(): string | undefined {
    return this.#facts?.remoteAddress
  }

  /** The peer's UDP port; undefined before the session is open. */
  get remotePort(): number | undefined {
    return this.#facts?.remotePort
  }

  /** Where datagrams come in; `0.0.0.0` or `::` on a server that has all addresses. Undefined until bound. */
  get localAddress(): string | undefined {
    return this.#home?.local?.address
  }

  /** The UDP port of this side; undefined until bound. */
  get localPort(): number | undefined {
    return this.#home?.local?.port
  }

  /** Why the session is over; undefined while it is not. */
  get closeReason(): DtlsCloseReason | undefined {
    return this.#closeReason
  }

  /** Undefined before the session is open. */
  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return this.#facts && familyOf(this.#facts.remoteAddress)
  }

  /** Always true, as on a tls.TLSSocket. */
  get encrypted(): true {
    return true
  }

  /** The name the client asked for (RFC 6066 section 3), or undefined. */
  get servername(): string | undefined {
    return this.#facts?.terms.servername || undefined
  }

  /** The agreed application protocol (RFC 7301), or undefined. */
  get alpnProtocol(): string | undefined {
    return this.#facts?.terms.alpn || undefined
  }

  /** The connection IDs agreed on (RFC 9146, RFC 9147), a copy; undefined if none are used, and before the session is open. */
  get connectionId(): DtlsConnectionId | undefined {
    return this.#facts && connectionIdOf(this.#facts)
  }

  /** On a client: the session came from `session` or from `sessionStore`, without a handshake. */
  isSessionReused(): boolean {
    return this.#home?.reused === true
  }

  /** `null` before the session is open. */
  getProtocol(): DtlsCipher['version'] | null {
    return this.#facts?.terms.protocol ?? null
  }

  /** The suite agreed; undefined before the session is open. */
  getCipher(): DtlsCipher | undefined {
    return this.#facts && cipherOf(this.#facts)
  }

  /** Bytes of the largest message that fits one datagram of `mtu` bytes; 0 before the session is open. */
  get maxDatagramSize(): number {
    return this.#facts?.terms.maxMessage ?? 0
  }

  /** Bytes of messages taken by `send` that the system has not taken yet. */
  get bufferedAmount(): number {
    return this.#outgoing?.bytes ?? 0
  }

  /** Current figures. After the end those of the end; if the peer ended it, those that were read last. */
  get stats(): DtlsSocketStats {
    const home = this.#state !== 'closed' && this.#readFigures() ? this.#home : undefined
    return socketStats(this.#lastFigures, this.#dropped, home)
  }

  // ---- what it does -------------------------------------------------------------------------------

  /**
   * Sends one message as one datagram.
   *
   * @param data - 1 to `maxDatagramSize` bytes; copied.
   * @returns `false` when `highWaterMark` bytes are waiting: `drain` follows. The message was taken all
   * the same, unless four times as much is waiting; then it is dropped and counted in `stats.dropped`.
   * @throws {McbnError} `MCBN_MESSAGE_TOO_LARGE`; `MCBN_OPTION_TYPE`; `MCBN_SOCKET_CLOSED` unless open.
   */
  send(data: Datagram): boolean {
    const outgoing = this.#writable()
    const message = checkedBytes(data, this.maxDatagramSize)
    if (!outgoing.accepts) {
      this.#dropped += 1
      return false
    }
    return outgoing.push(message)
  }

  /**
   * Sends several messages, each as one datagram.
   *
   * @returns how many were taken; fewer than given when four high-water marks are waiting: `drain`
   * follows. All are checked before the first is sent.
   * @throws {McbnError} as `send` does.
   */
  sendMany(datagrams: Iterable<Datagram>): number {
    const outgoing = this.#writable()
    const messages = Array.from(datagrams, (data) => checkedBytes(data, this.maxDatagramSize))
    let taken = 0
    for (const message of messages) {
      if (!outgoing.accepts) break
      outgoing.push(message)
      taken += 1
    }
    return taken
  }

  /**
   * Sends what `send` has taken, then close_notify (RFC 5246 section 7.2.1), and closes. UDP may lose
   * the close_notify like any datagram.
   *
   * @returns `closed`.
   */
  close(): Promise<void> {
    return this.destroy().closed
  }

  /** As `close`, and emits `error` if one is given. */
  destroy(error?: Error): this {
    if (this.#state === 'closed') return this
    if (this.#state === 'open') this.#readFigures()
    this.#end(error, error ? 'failed' : 'local')
    this.#home?.release(this.#session, false)
    return this
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * Says that the peer is at `remoteAddress` and `remotePort`, because the application has made sure (as
   * CoAP's Echo option does, RFC 9175): lifts the limit that `addressChange` tells of. Without effect when
   * the address is confirmed already, and when the peer has moved on before `addressChange` could say so.
   */
  confirmAddress(): void {
    if (this.#state !== 'open' || !this.#facts) return
    this.#home?.confirmAddress?.(this.#session, this.#facts)
  }

  /**
   * Keying material of this session for another use (RFC 5705, RFC 8446 section 7.5): the same on both sides.
   *
   * @param length - bytes wanted, 1 to 16_384.
   * @param label - see the IANA registry of TLS exporter labels.
   * @throws {McbnError} `MCBN_EXPORTER_UNAVAILABLE` unless open, and when the peer does not support the
   * extended master secret (RFC 7627), without which DTLS 1.2 has no trustworthy exporter.
   */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Buffer {
    const name = checkedLabel(length, label, context)
    if (this.#state !== 'open') throw noKeyingMaterial(this.#state)
    return keyingMaterialOf(this.#home, this.#session, length, name, context)
  }

  /**
   * Has this side send with new keys as soon as the peer has acknowledged them, and the peer as well (RFC 9147
   * section 8); `stats.keyUpdatesSent` and `keyUpdatesReceived` tell. See `keyUpdateInterval` too.
   *
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` with DTLS 1.2, which has none; `MCBN_SOCKET_CLOSED` unless open.
   */
  updateKeys(options: DtlsKeyUpdateOptions = {}): void {
    this.#writable()
    updateKeysOf(this.#home as SocketHome, this.#session, this.#facts as SessionFacts, options)
  }

  /**
   * Takes the session away as sealed bytes (docs/SESSIONS.md), for `connect({ session })` or a server's
   * `importSessions`. The socket closes without an error and sends nothing more: a session has one owner.
   *
   * @throws {McbnError} `MCBN_SOCKET_CLOSED` unless open; `MCBN_SESSION_REFUSED` where OpenSSL has the
   * records, the server a `sessionStore`, or a client of DTLS 1.3 no acknowledgement of its handshake yet (a round trip
   * after `opened`); `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
   */
  exportSession(options: DtlsTransferOptions): Buffer {
    const key = sealingKeyOf('exportSession', options)
    this.#writable()
    this.#readFigures()
    const sealed = sealedSession(this.#home as SocketHome, this.#session, key)
    this.#onEnded(undefined, 'exported')
    return sealed
  }

  // ---- inside; the first are what its endpoint tells ----------------------------------------------

  #readFigures(): boolean {
    const now = this.#home?.thread.native.sessionStats(this.#home.endpoint, this.#session)
    this.#lastFigures = now ?? this.#lastFigures
    return !!now
  }

  #onOpened(opened: NativeOpenedSession, peer: Peer | undefined): void {
    if (this.#state !== 'opening' || !this.#home) return
    this.#state = 'open'
    this.#facts = sessionFacts(opened)
    this.#peer = peer
    this.#opened?.resolve(this)
    publishOpen(this.#home.channels, this)
    this.emit('secureConnect')
  }

  #onMessage(message: Buffer): boolean {
    if (this.#state !== 'open' || this.#guard?.() === false) return false
    if (this.#early !== DELIVERED) {
      if (!this.#listening) {
        this.#early ??= new EarlyMessages()
        if (!this.#early.keep(message)) this.#dropped += 1
        return false
      }
      this.#deliverEarly()
    }
    const batched = this.listenerCount('messages') > 0
    if (batched) {
      if (this.#batch) this.#batch.push(message)
      else this.#batch = [message]
    }
    this.emit('message', message)
    return batched
  }

  #onBatchEnd(): void {
    const batch = this.#batch
    if (batch === undefined) return
    this.#batch = undefined
    this.emit('messages', batch)
  }

  #onAddressChanged({ remoteAddress, remotePort }: NativeRemote): void {
    try {
      // What came before: a listener for `messages` must not take it for a proof of the new address.
      this.#onBatchEnd()
    } finally {
      const facts = this.#facts
      if (this.#state === 'open' && facts) {
        this.#facts = { ...facts, remoteAddress, remotePort }
        this.emit('addressChange', remoteInfo(this.#facts), remoteInfo(facts))
      }
    }
  }

  #onEnded(error: Error | undefined, reason?: DtlsCloseReason): void {
    if (this.#state === 'closed') return
    try {
      this.#onBatchEnd()
    } finally {
      // Silence is no failure: there is no error, only a reason.
      if (isIdle(error)) this.#end(undefined, 'idle')
      else this.#end(error, reason ?? (error ? 'failed' : 'peer'))
      this.#home?.release(this.#session, true)
    }
  }

  get #listening(): boolean {
    return this.listenerCount('message') > 0 || this.listenerCount('messages') > 0
  }

  #writable(): Outgoing {
    this.#guard?.()
    if (this.#state === 'open' && this.#home) {
      this.#outgoing ??= new Outgoing(this.#home, this.#session, this)
      return this.#outgoing
    }
    throw notOpen(this.#state)
  }

  #deliverEarly(): void {
    const early = this.#early
    if (early === DELIVERED || !this.#listening) return
    this.#early = DELIVERED
    if (early === undefined) return
    for (const message of early.all) this.emit('message', message)
    if (this.listenerCount('messages') > 0) this.emit('messages', early.all)
  }

  #end(error: Error | undefined, reason: DtlsCloseReason): void {
    const before = this.#state
    this.#closeReason = reason
    this.#state = 'closed'
    this.#failure = error
    this.#outgoing?.stop()
    if (before === 'opening') this.#opened?.reject(this.#failure ?? closedEarly())
    const home = this.#home
    process.nextTick(() => {
      // What came last may not have met its listener yet.
      this.#deliverEarly()
      if (home && before === 'open') publishClose(home.channels, this, error)
      else if (home)
        publishHandshakeError(home.channels, () => this.#failure ?? closedEarly(), this, this)
      try {
        if (error) this.#emitError(error, home)
      } finally {
        this.#gone = true
        this.#closed?.resolve()
        this.emit('close')
      }
    })
  }

  #emitError(error: Error, home: SocketHome | undefined): void {
    if (this.listenerCount('error') > 0) this.emit('error', error)
    else if (!home?.orphanedError(error, this) && !this.#opened) this.emit('error', error)
  }
}
