import { lookup as dnsLookup } from 'node:dns'
import { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import { isIP } from 'node:net'
import { DTLS_SERVER_CLOSE, DTLS_SERVER_LISTEN } from '../diagnostics.js'
import { McbnError } from '../errors.js'
import { serverContext } from '../keys/server-context.js'
import type { ServerKeys } from '../keys/server-keys.js'
import type { NativeContext } from '../native/contract.js'
import type { NativeNodeId } from '../native/dtls.js'
import { adviceFor, type OptionTable, refuseUnknown } from '../option-names.js'
import { booleanOption, objectOption, stringOption } from '../options.js'
import type { PskEntry, PskKey } from '../psk/types.js'
import type { DtlsServerEvents } from './events.js'
import { type DtlsFleet, type DtlsFleetMember, FleetNode, nodeIdOption } from './fleet.js'
import { Listener } from './listener.js'
import {
  cookieSecretOption,
  portOption,
  type ResolvedDtlsOptions,
  type ResolvedListenOptions,
  resolveDtlsOptions,
  resolveListenOptions,
} from './options.js'
import type { EndpointOwner } from './server-endpoint.js'
import { type DtlsImport, type DtlsTransferOptions, sealingKeyOf } from './session-transfer.js'
import type { DtlsSocket } from './socket.js'
import { type DtlsServerStats, NO_SERVER_STATS } from './stats.js'
import { sessionRowsOption } from './store/option.js'
import type { SessionRows, StoredRows } from './store/session-rows.js'
import { systemError } from './system-error.js'
import { DTLS_CONNECT_OPTIONS, DTLS_SERVER_OPTIONS, type DtlsServerOptions } from './types.js'

const LISTEN_OPTIONS = { port: 0, host: undefined } as const satisfies OptionTable<ListenOptions>
const CLOSE_OPTIONS = { handover: false } as const satisfies OptionTable<CloseOptions>
const SERVER_ADVICE = {
  ...adviceFor(Object.keys(DTLS_CONNECT_OPTIONS), 'it is an option of dtls.connect'),
  ...adviceFor(Object.keys(LISTEN_OPTIONS), 'it belongs to listen()'),
}

/** Where a server listens. */
export interface ListenOptions {
  /** The UDP port, 0 to 65,535. @defaultValue 0, the system's choice: see `address()` */
  readonly port?: number
  /** An address or a name. @defaultValue all addresses, IPv6 and IPv4 */
  readonly host?: string
}

/** How a server closes. */
export interface CloseOptions {
  /**
   * Says no goodbye: the peers go on with the server that has imported their sessions. What was not
   * exported is lost without a word.
   *
   * @defaultValue false
   */
  readonly handover?: boolean
}

/**
 * A DTLS server with pre-shared keys: one address, many sessions, on its own I/O threads.
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
  readonly #nodeId: NativeNodeId | undefined
  readonly #fleet: FleetNode | undefined
  readonly #sessionRows: (() => SessionRows) | undefined
  #rows: SessionRows | undefined
  #state: 'new' | 'starting' | 'listening' | 'closed' = 'new'
  #listening: Listener<Peer> | undefined
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
    refuseUnknown('dtls.createServer', options, DTLS_SERVER_OPTIONS, SERVER_ADVICE)
    this.#options = resolveDtlsOptions(options, 'server')
    this.#listenOptions = resolveListenOptions(options)
    if (this.#listenOptions.ioThreads > 1 && this.#options.session.connectionId === 0) {
      // Their first byte finds the thread, wherever a client has moved to.
      throw new McbnError(
        'MCBN_OPTION_CONFLICT',
        'connectionId: expected at least 1 byte with several ioThreads, got 0',
      )
    }
    const { connectionId } = this.#options.session
    this.#nodeId = nodeIdOption(options.nodeId, connectionId, this.#listenOptions.ioThreads)
    const cookieSecret = cookieSecretOption(options.cookieSecret)
    if (options.fleet !== undefined) this.#fleet = new FleetNode(options.fleet, this.#nodeId)
    this.#cookieSecret = cookieSecret ?? this.#fleet?.cookieSecret
    this.#sessionRows = sessionRowsOption(options.sessionStore, (error) =>
      this.emit('sessionStoreError', error),
    )
    const { context, lookupTimeout } = this.#options
    const made = serverContext(options, context, lookupTimeout)
    this.#keys = made.keys
    this.#context = made.context
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.on('newListener', (event) => {
      if (event === 'keylog') this.#listening?.keylog(true)
    })
    this.on('removeListener', (event) => {
      if (event === 'keylog' && this.listenerCount('keylog') === 0) this.#listening?.keylog(false)
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
  listen(options: ListenOptions, onListening?: () => void): this
  listen(
    first: number | ListenOptions = 0,
    second?: string | (() => void),
    third?: () => void,
  ): this {
    const given = typeof first === 'object' && first !== null
    if (given) refuseUnknown('listen', first, LISTEN_OPTIONS)
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
      process.nextTick(() => this.#start(name, port))
    } else {
      dnsLookup(name, (error, address) => {
        if (!error) return this.#start(address, port)
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
    return this.#listening?.sockets() ?? [].values()
  }

  /** Current figures; after `close` those of the end. */
  get stats(): DtlsServerStats {
    return this.#readStats()
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
    return this.#listening?.endSessionsOf(bytes) ?? 0
  }

  /**
   * Takes the open sessions away, each as sealed bytes (docs/SESSIONS.md), for another server, in this
   * process or another, to go on with: `importSessions`. The socket of each closes without an error, and
   * nothing is sent for it any more. Sessions that were not asked for, because the loop ended early, stay
   * here, with new sockets. Handshakes and sessions on OpenSSL's records stay as well.
   *
   * @throws {McbnError} `MCBN_SOCKET_CLOSED` unless it listens; `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
   */
  exportSessions(options: DtlsTransferOptions): AsyncIterable<Buffer> {
    const key = sealingKeyOf('exportSessions', options)
    return this.#listener().exportSessions(key)
  }

  /**
   * Goes on with sessions that a server exported. Each is announced by `secureConnection`; its identity must
   * have a key here now (in `psk`, or the lookup's answer), from which `peer` comes. A session is refused
   * when its bytes were altered, cut, made for something else, or imported by this process before; and so is one of
   * a version of DTLS that this server does not speak.
   *
   * @returns when the last is settled, and the sockets of all are in `sessions`.
   * @throws {McbnError} `MCBN_SOCKET_CLOSED` unless it listens; `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
   */
  async importSessions(
    sealed: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options: DtlsTransferOptions,
  ): Promise<DtlsImport> {
    const key = sealingKeyOf('importSessions', options)
    return this.#listener().importSessions(sealed, key)
  }

  /** What this node knows of its fleet; `null` without one. */
  get fleet(): DtlsFleet | null {
    return this.#fleet?.view() ?? null
  }

  /**
   * Replaces the list of the fleet's other nodes; this one may be among them.
   *
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` without `fleet`; `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
   */
  setFleetMembers(members: Iterable<DtlsFleetMember>): void {
    this.#node().setMembers(members)
  }

  /**
   * Claims the node ID of another process, whose sessions are to be imported here: all nodes send what is for
   * them here from now on. What comes before its session is kept for 2 s.
   *
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` without `fleet`; `MCBN_OPTION_RANGE`.
   */
  takeOverNode(nodeId: number): void {
    this.#node().takeOver(nodeId)
  }

  #node(): FleetNode {
    if (this.#fleet) return this.#fleet
    throw new McbnError('MCBN_OPTION_CONFLICT', 'expected a server with the option fleet, got none')
  }

  #readStats(): DtlsServerStats {
    this.#lastStats = this.#listening?.stats() ?? this.#lastStats
    return this.#lastStats
  }

  #listener(): Listener<Peer> {
    if (this.#listening) return this.#listening
    throw new McbnError('MCBN_SOCKET_CLOSED', 'expected a server that listens; this one does not')
  }

  /** Closes every session (close_notify) and the UDP socket. @returns resolves when all is closed. */
  close(options: CloseOptions = {}): Promise<void> {
    objectOption('options', options)
    refuseUnknown('close', options, CLOSE_OPTIONS)
    const handover = booleanOption('handover', options.handover, CLOSE_OPTIONS.handover)
    if (this.#state === 'closed') return this.#closed
    this.#readStats()
    const listener = this.#listening
    this.#state = 'closed'
    this.#listening = undefined
    this.#forgetSecret()
    const stored = listener?.close(handover).catch((error: McbnError) => {
      this.emit('sessionStoreError', error)
    })
    const closed = (): void => {
      if (DTLS_SERVER_CLOSE.hasSubscribers) DTLS_SERVER_CLOSE.publish({ server: this })
      this.emit('close')
      this.#resolveClosed()
    }
    if (stored && this.#rows) void stored.then(closed)
    else process.nextTick(closed)
    return this.#closed
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Keeps the process alive while it listens, as it does at first. */
  ref(): this {
    if (!this.#referenced) this.#listening?.ref()
    this.#referenced = true
    return this
  }

  /** Does not keep the process alive any more. */
  unref(): this {
    if (this.#referenced) this.#listening?.unref()
    this.#referenced = false
    return this
  }

  // ---- starting -----------------------------------------------------------------------------------

  /** Opens the session store first, if there is one: what it has is needed at once. */
  #start(host: string | undefined, port: number): void {
    if (this.#state !== 'starting') return
    if (this.#sessionRows) return void this.#startStored(this.#sessionRows(), host, port)
    const failure = this.#bind(host, port)
    if (failure) this.#startFailed(failure)
  }

  async #startStored(rows: SessionRows, host: string | undefined, port: number): Promise<void> {
    let stored: StoredRows[]
    try {
      stored = await rows.open()
    } catch (error) {
      return this.#startFailed(error as Error)
    }
    this.#rows = rows
    const failure = this.#bind(host, port, stored)
    if (this.#listening) return
    this.#rows = undefined
    // Before the failure is told: who hears of it may try another port, with the same store.
    await rows.close(true)
    if (failure) this.#startFailed(failure)
  }

  /** @returns why it cannot listen. */
  #bind(host: string | undefined, port: number, stored?: readonly StoredRows[]): Error | undefined {
    if (this.#state !== 'starting') return
    const { session, recvBufferSize, sendBufferSize } = this.#options
    const { reusePort, ipv6Only } = this.#listenOptions
    const keylog = this.listenerCount('keylog') > 0
    const options = {
      ...this.#listenOptions,
      context: this.#context,
      cookieSecret: this.#cookieSecret,
      fleet: this.#fleet?.native,
      native: {
        ...session,
        reusePort,
        ipv6Only,
        recvBufferSize,
        sendBufferSize,
        keylog,
        ...(this.#nodeId && { node: this.#nodeId }),
        ...(this.#fleet && { fleet: this.#fleet.link }),
      },
    }
    let listener: Listener<Peer>
    try {
      listener = new Listener(this.#owner(), options, host, port)
    } catch (error) {
      return error as Error
    }
    this.#forgetSecret()
    this.#state = 'listening'
    this.#listening = listener
    if (this.#referenced) listener.ref()
    if (DTLS_SERVER_LISTEN.hasSubscribers) {
      DTLS_SERVER_LISTEN.publish({ server: this, ...listener.address })
    }
    this.emit('listening')
    if (stored) void this.#restore(listener, stored)
  }

  async #restore(listener: Listener<Peer>, stored: readonly StoredRows[]): Promise<void> {
    const result = await listener.restoreSessions(stored)
    if (this.#listening === listener) this.emit('sessionsRestored', result)
  }

  /** What the endpoints tell; nothing any more once it is closed. */
  #owner(): EndpointOwner<Peer> {
    return {
      keys: this.#keys,
      highWaterMark: this.#options.highWaterMark,
      rows: this.#rows,
      onSession: (socket) => this.emit('secureConnection', socket),
      onClientError: (error, rinfo) => this.emit('clientError', error, rinfo),
      onKeylog: (line) => this.emit('keylog', line),
      onSocketError: (error) => {
        const { address = '', port = 0 } = this.#listening?.address ?? {}
        this.emit('error', systemError(error, address, port))
      },
    }
  }

  /** Kept until it listens: after a failure another port may be tried. */
  #forgetSecret(): void {
    this.#cookieSecret?.fill(0)
    this.#cookieSecret = undefined
    this.#nodeId?.key.fill(0)
  }

  #startFailed(error: Error): void {
    if (this.#state !== 'starting') return
    this.#state = 'new'
    this.emit('error', error)
  }
}

/** See {@link DtlsServer}. */
export function createServer<Peer = undefined>(
  options: DtlsServerOptions<Peer>,
  onSecureConnection?: (socket: DtlsSocket<Peer>) => void,
): DtlsServer<Peer> {
  return new DtlsServer<Peer>(options, onSecureConnection)
}
