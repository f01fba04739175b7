import { lookup as dnsLookup } from 'node:dns'
import { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import { isIP } from 'node:net'
import {
  DTLS_SERVER,
  DTLS_SERVER_CLOSE,
  DTLS_SERVER_LISTEN,
  publishHandshakeError,
} from '../diagnostics.js'
import { McbnError } from '../errors.js'
import { serverContext } from '../keys/server-context.js'
import type { Cancel, ServerKeys } from '../keys/server-keys.js'
import type { NativeContext } from '../native/contract.js'
import type {
  NativeEnding,
  NativeListenOptions,
  NativeOpenedSession,
  NativeSessionQuestion,
  NativeSystemError,
} from '../native/dtls.js'
import { toError } from '../native/failure.js'
import { objectOption, stringOption } from '../options.js'
import type { PskEntry, PskKey } from '../psk/types.js'
import type { DtlsServerEvents } from './events.js'
import { IoThread } from './io-thread.js'
import {
  cookieSecretOption,
  portOption,
  type ResolvedDtlsOptions,
  type ResolvedListenOptions,
  resolveDtlsOptions,
  resolveListenOptions,
} from './options.js'
import { DtlsSocket, type SocketHome } from './socket.js'
import { type DtlsServerStats, NO_SERVER_STATS } from './stats.js'
import { systemError } from './system-error.js'
import type { DtlsServerOptions, RemoteInfo } from './types.js'

/** What the I/O thread knows the server by, while it listens. */
interface Listening {
  readonly thread: IoThread
  readonly endpoint: number
  readonly address: AddressInfo
  readonly home: SocketHome
}

/** A handshake whose key is being looked up, or was. */
interface Lookup<Peer> {
  cancel: Cancel
  peer: Peer | undefined
  error: McbnError | undefined
}

/**
 * A DTLS 1.2 server with pre-shared keys: one UDP socket, many sessions, on an I/O thread of its own.
 * Nothing is kept for an address that has not echoed a cookie (RFC 6347 section 4.2.1).
 *
 * Emits `listening`, `secureConnection` (socket), `clientError` (error, rinfo), `keylog` (line), `close`,
 * `error`. A `clientError` is never thrown: strangers cause it.
 */
export class DtlsServer<Peer = undefined> extends EventEmitter<DtlsServerEvents<Peer>> {
  readonly #keys: ServerKeys<Peer>
  readonly #context: NativeContext
  readonly #options: ResolvedDtlsOptions
  readonly #listenOptions: ResolvedListenOptions
  #cookieSecret: Buffer | undefined
  readonly #sockets = new Map<number, DtlsSocket<Peer>>()
  readonly #lookups = new Map<number, Lookup<Peer>>()
  readonly #batched = new Set<DtlsSocket<Peer>>()
  #state: 'new' | 'starting' | 'listening' | 'closed' = 'new'
  #listening: Listening | undefined
  #referenced = true
  #lastStats: DtlsServerStats = NO_SERVER_STATS
  readonly #closed: Promise<void>
  #resolveClosed: () => void = () => {}

  /** @throws {McbnError} of kind `usage` for wrong options; `MCBN_ADDON_UNAVAILABLE`. */
  constructor(
    options: DtlsServerOptions<Peer>,
    onSecureConnection?: (socket: DtlsSocket<Peer>) => void,
  ) {
    super()
    objectOption('options', options)
    this.#options = resolveDtlsOptions(options)
    this.#listenOptions = resolveListenOptions(options)
    this.#cookieSecret = cookieSecretOption(options.cookieSecret)
    const { context, lookupTimeout } = this.#options
    const made = serverContext(options, context, lookupTimeout)
    this.#keys = made.keys
    this.#context = made.context
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.on('newListener', (event) => {
      if (event === 'keylog') this.#setKeylog(true)
    })
    this.on('removeListener', (event) => {
      if (event === 'keylog' && this.listenerCount('keylog') === 0) this.#setKeylog(false)
    })
    if (onSecureConnection) this.on('secureConnection', onSecureConnection)
  }

  // ---- what it does -------------------------------------------------------------------------------

  /**
   * Binds a UDP port. `listening` follows, or `error` with the system's error.
   *
   * @param port - 0 lets the system choose: see `address()`.
   * @param host - an address or a name; by default all addresses, IPv6 and IPv4.
   * @throws {McbnError} `MCBN_OPTION_RANGE`; `MCBN_SOCKET_CLOSED` when it listens or did already.
   */
  listen(port?: number, host?: string, onListening?: () => void): this
  listen(port?: number, onListening?: () => void): this
  listen(options: { port?: number; host?: string }, onListening?: () => void): this
  listen(
    first: number | { port?: number; host?: string } = 0,
    second?: string | (() => void),
    third?: () => void,
  ): this {
    const given = typeof first === 'object' && first !== null
    const port = portOption('port', (given ? first.port : first) ?? 0, 0)
    const host = given ? first.host : typeof second === 'string' ? second : undefined
    const onListening = typeof second === 'function' ? second : third
    const name = stringOption('host', host, 255) || undefined
    if (this.#state !== 'new') {
      throw new McbnError('MCBN_SOCKET_CLOSED', 'expected a new server; this one was listening')
    }
    this.#state = 'starting'
    if (onListening) this.once('listening', onListening)
    // As with every Node server, events come after listen() has returned.
    if (name === undefined || isIP(name) !== 0) {
      process.nextTick(() => this.#bind(name, port))
    } else {
      dnsLookup(name, (error, address) => {
        if (!error) return this.#bind(address, port)
        this.#startFailed(error)
      })
    }
    return this
  }

  /** Where it listens; `null` unless it does. */
  address(): AddressInfo | null {
    return this.#listening?.address ?? null
  }

  /** Whether it is bound and not closed. */
  get listening(): boolean {
    return this.#state === 'listening'
  }

  /** The open sessions. */
  get sessions(): IterableIterator<DtlsSocket<Peer>> {
    return this.#sockets.values()
  }

  /** Figures of this moment; after `close` those of the end. */
  get stats(): DtlsServerStats {
    const at = this.#listening
    if (at) this.#lastStats = at.thread.native.endpointStats(at.endpoint) ?? this.#lastStats
    return this.#lastStats
  }

  /**
   * Files a key from now on, and lifts a revocation of its identity. Open sessions are not touched.
   *
   * @throws {McbnError} `MCBN_IDENTITY_INVALID`, `MCBN_KEY_INVALID`.
   */
  setPsk(identity: string | Uint8Array, key: PskKey | PskEntry<Peer>): void {
    this.#keys.set(identity, key)
  }

  /** Forgets a key; open sessions are not touched. @returns whether there was one. */
  deletePsk(identity: string | Uint8Array): boolean {
    return this.#keys.delete(identity)
  }

  /**
   * Ends every session of an identity and refuses it, also when a lookup knows it, until `setPsk` gives
   * it a key again.
   *
   * @returns how many sessions it ended.
   * @throws {McbnError} `MCBN_IDENTITY_INVALID`.
   */
  revoke(identity: string | Uint8Array): number {
    const bytes = this.#keys.revoke(identity)
    const at = this.#listening
    return at ? at.thread.native.endSessionsOf(at.endpoint, bytes) : 0
  }

  /** Closes every session (close_notify) and the UDP socket. @returns resolves when all is closed. */
  close(): Promise<void> {
    if (this.#state === 'closed') return this.#closed
    void this.stats
    const at = this.#listening
    this.#state = 'closed'
    this.#listening = undefined
    for (const { cancel } of this.#lookups.values()) cancel()
    this.#lookups.clear()
    for (const socket of [...this.#sockets.values()]) socket.destroy()
    this.#sockets.clear()
    if (at) {
      at.thread.closeEndpoint(at.endpoint)
      at.thread.native.stop()
    }
    process.nextTick(() => {
      if (DTLS_SERVER_CLOSE.hasSubscribers) DTLS_SERVER_CLOSE.publish({ server: this })
      this.emit('close')
      this.#resolveClosed()
    })
    return this.#closed
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Keeps the process alive while it listens, as it does at first. */
  ref(): this {
    if (!this.#referenced) this.#listening?.thread.ref()
    this.#referenced = true
    return this
  }

  /** Does not keep the process alive any more. */
  unref(): this {
    if (this.#referenced) this.#listening?.thread.unref()
    this.#referenced = false
    return this
  }

  // ---- starting -----------------------------------------------------------------------------------

  #bind(host: string | undefined, port: number): void {
    if (this.#state !== 'starting') return
    const thread = new IoThread()
    const endpoint = thread.register({
      onMessage: (session, message) => this.#onMessage(session, message),
      onBatchEnd: () => this.#onBatchEnd(),
      onOpened: (session, details) => this.#onOpened(session, details),
      onQuestion: (session, question) => this.#onQuestion(session, question),
      onEnded: (session, ending) => this.#onEnded(session, ending),
      onRefused: (session, ending) => this.#onRefused(session, ending),
      onKeylog: (_session, line) => this.emit('keylog', line),
      onSocketError: (error) => this.#onSocketError(error),
    })
    const bindTo = (address: string) =>
      thread.native.listen(endpoint, this.#context, this.#nativeOptions(address, port))
    let address = host ?? '::'
    let bound = bindTo(address)
    if (host === undefined && 'error' in bound) {
      // A machine without IPv6.
      address = '0.0.0.0'
      bound = bindTo(address)
    }
    this.#cookieSecret?.fill(0)
    this.#cookieSecret = undefined
    if ('error' in bound) {
      thread.native.stop()
      return this.#startFailed(systemError(bound.error, address, port))
    }
    this.#state = 'listening'
    this.#listening = { thread, endpoint, address: bound, home: this.#homeAt(thread, endpoint) }
    if (this.#referenced) thread.ref()
    if (DTLS_SERVER_LISTEN.hasSubscribers) DTLS_SERVER_LISTEN.publish({ server: this, ...bound })
    this.emit('listening')
  }

  #homeAt(thread: IoThread, endpoint: number): SocketHome {
    return {
      thread,
      endpoint,
      highWaterMark: this.#options.highWaterMark,
      channels: DTLS_SERVER,
      release: (session, ended) => {
        this.#sockets.delete(session)
        if (this.#listening && !ended) thread.closeSession(endpoint, session)
      },
      orphanedError: (error, { remoteAddress = '', remotePort = 0 }) => {
        this.emit('clientError', error, rinfo(remoteAddress, remotePort))
        return true
      },
    }
  }

  #nativeOptions(address: string, port: number): NativeListenOptions {
    const { session, recvBufferSize, sendBufferSize } = this.#options
    return {
      ...session,
      ...this.#listenOptions,
      address,
      port,
      recvBufferSize,
      sendBufferSize,
      keylog: this.listenerCount('keylog') > 0,
      ...(this.#cookieSecret && { cookieSecret: this.#cookieSecret }),
    }
  }

  #startFailed(error: Error): void {
    if (this.#state !== 'starting') return
    this.#state = 'new'
    this.emit('error', error)
  }

  // ---- from the I/O thread ------------------------------------------------------------------------

  #onQuestion(session: number, question: NativeSessionQuestion): void {
    const at = this.#listening
    if (!at) return
    const { native } = at.thread
    const lookup: Lookup<Peer> = { cancel: () => {}, peer: undefined, error: undefined }
    this.#lookups.set(session, lookup)
    const { number, remoteAddress, remotePort } = question
    lookup.cancel = this.#keys.ask(question, { remoteAddress, remotePort }, (answer) => {
      if ('key' in answer) {
        lookup.peer = answer.peer
        native.answer(at.endpoint, session, number, answer.key, answer.hash, undefined, false)
        answer.key.fill(0)
        return
      }
      if ('error' in answer) lookup.error = answer.error
      native.answer(
        at.endpoint,
        session,
        number,
        undefined,
        undefined,
        undefined,
        'error' in answer,
      )
    })
  }

  #onOpened(session: number, opened: NativeOpenedSession): void {
    const at = this.#listening
    if (!at) return
    const lookup = this.#lookups.get(session)
    this.#lookups.delete(session)
    const socket = new DtlsSocket<Peer>()
    this.#sockets.set(session, socket)
    socket.attach(at.home, session)
    const [, identity] = opened
    socket.onOpened(opened, lookup ? lookup.peer : this.#keys.peerOf(identity))
    this.emit('secureConnection', socket)
  }

  #onMessage(session: number, message: Buffer): void {
    const socket = this.#sockets.get(session)
    if (socket?.onMessage(message)) this.#batched.add(socket)
  }

  #onBatchEnd(): void {
    if (this.#batched.size === 0) return
    const sockets = [...this.#batched]
    this.#batched.clear()
    for (const socket of sockets) socket.onBatchEnd()
  }

  #onEnded(session: number, ending: NativeEnding | undefined): void {
    this.#sockets.get(session)?.onEnded(ending?.failure && toError(ending.failure))
  }

  #onRefused(session: number, { failure, remoteAddress, remotePort }: NativeEnding): void {
    const lookup = this.#lookups.get(session)
    this.#lookups.delete(session)
    lookup?.cancel()
    const error = lookup?.error ?? (failure ? toError(failure) : closedEarly())
    publishHandshakeError(DTLS_SERVER, () => error, { remoteAddress, remotePort })
    this.emit('clientError', error, rinfo(remoteAddress, remotePort))
  }

  #onSocketError(error: NativeSystemError): void {
    const { address = '', port = 0 } = this.#listening?.address ?? {}
    this.emit('error', systemError(error, address, port))
  }

  #setKeylog(on: boolean): void {
    const at = this.#listening
    if (at) at.thread.native.setKeylog(at.endpoint, { server: true, on })
  }
}

/** See {@link DtlsServer}. */
export function createServer<Peer = undefined>(
  options: DtlsServerOptions<Peer>,
  onSecureConnection?: (socket: DtlsSocket<Peer>) => void,
): DtlsServer<Peer> {
  return new DtlsServer<Peer>(options, onSecureConnection)
}

function rinfo(address: string, port: number): RemoteInfo {
  return { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' }
}

function closedEarly(): McbnError {
  return new McbnError('MCBN_HANDSHAKE_FAILED', 'the client closed before the handshake was done')
}
