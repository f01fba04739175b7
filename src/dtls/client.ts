// The endpoint of one client socket: finds the server's address, asks for the key, hands on what the I/O thread tells.

import { isIP, type LookupFunction } from 'node:net'
import { DTLS_CLIENT } from '../diagnostics.js'
import { McbnError } from '../errors.js'
import { askClientKey, type ClientKey, isClientLookup } from '../keys/client-key.js'
import type { NativeContext } from '../native/contract.js'
import type {
  NativeConnectOptions,
  NativeEnding,
  NativeOpenedSession,
  NativeResumed,
  NativeRow,
  NativeSessionQuestion,
} from '../native/dtls.js'
import { toError } from '../native/failure.js'
import { refuseUnsendable } from '../psk/identity.js'
import type { DtlsVersion, PskClientSource } from '../psk/types.js'
import type { EndpointListener, IoThread } from './io-thread.js'
import type { ResolvedDtlsOptions } from './options.js'
import { type DtlsRefusal, sessionRefused } from './session-transfer.js'
import { type DtlsSocket, tellSocket } from './socket.js'
import type { SocketHome } from './socket-home.js'
import { ClientRows, type RowsUser } from './store/client-rows.js'
import type { ResolvedSessionStore } from './store/option.js'
import { systemError } from './system-error.js'

/** A client's endpoint has one session. */
const SESSION = 1
const NO_ADDRESSES: readonly string[] = []
const NOTHING = new Uint8Array()

/** Whom to connect to, and from where. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly family: 0 | 4 | 6
  readonly localAddress: string
  readonly localPort: number
  readonly servername: string
  readonly lookup: LookupFunction
}

/** The options of `connect`, checked. */
export interface ClientSettings extends Omit<ResolvedDtlsOptions, 'context'> {
  readonly target: Target
  readonly psk: PskClientSource
  readonly key: ClientKey | undefined
  /** What is offered after it, with DTLS 1.3. */
  readonly otherKeys: readonly ClientKey[]
  readonly context: NativeContext
  readonly signal: AbortSignal | undefined
  readonly resumed: NativeResumed | undefined
  readonly store: ResolvedSessionStore | undefined
}

/** See above. */
export class Client implements EndpointListener, SocketHome, RowsUser {
  readonly thread: IoThread
  endpoint: number
  readonly highWaterMark: number
  readonly channels = DTLS_CLIENT
  local: SocketHome['local']
  readonly #socket: DtlsSocket
  readonly #signal: AbortSignal | undefined
  /** Until the session is open. */
  #settings: ClientSettings | undefined
  #cancelLookup: (() => void) | undefined
  #lookupError: McbnError | undefined
  /** Of the host's name, those that were not tried. */
  #addresses: readonly string[] = NO_ADDRESSES
  /** The session store, if there is one. */
  readonly #rows: ClientRows | undefined
  /** The name of the session's row in it. */
  #row: string | undefined
  /** Whether the session came from elsewhere, without a handshake. */
  #resumed = false
  /** A session of the store has yet to open. */
  #restoring = false
  /** Gives up on it. */
  #patience: NodeJS.Timeout | undefined
  #batched = false
  #released = false
  #onAbort: (() => void) | undefined

  constructor(socket: DtlsSocket, thread: IoThread, settings: ClientSettings) {
    this.thread = thread
    this.highWaterMark = settings.highWaterMark
    this.#socket = socket
    this.#settings = settings
    this.#rows = settings.store && ClientRows.join(settings.store, this)
    this.endpoint = this.thread.register(this)
    this.thread.ref()
    tellSocket.attached(socket, this, SESSION)
    // Not at once: the caller has yet to add listeners to the socket.
    process.nextTick(() => this.#begin())
    this.#signal = settings.signal
    if (this.#signal === undefined) return
    this.#onAbort = () => void this.#socket.destroy(this.#signal?.reason as Error)
    if (this.#signal.aborted) this.#onAbort()
    else this.#signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  get stored(): boolean {
    return this.#rows !== undefined
  }

  get reused(): boolean {
    return this.#resumed
  }

  #begin(): void {
    if (this.#settings?.resumed || !this.#rows) return this.#resolve()
    this.#rows.ready.then(
      () => this.#restore(),
      (error: McbnError) => this.#fail(error),
    )
  }

  /** Goes on with a session that the store has, if it has one with this server. */
  #restore(): void {
    const settings = this.#settings
    const found = settings && this.#rows?.take(settings.target, settings.key)
    if (settings === undefined || found === undefined) return this.#resolve()
    const { name, sealed, key: sealingKey } = found
    this.#row = name
    this.#restoring = true
    const { handshakeTimeout } = settings.session
    if (handshakeTimeout > 0) {
      this.#patience = setTimeout(() => this.#startOver(), handshakeTimeout)
    }
    this.#open('', { sealed, sealingKey, row: Buffer.from(name, 'latin1') })
  }

  /** The store's session leads nowhere: it is forgotten, and a handshake follows. */
  #startOver(): void {
    this.#settled()
    this.#forgetRow()
    this.thread.closeEndpoint(this.endpoint)
    // Another number, so that events about the session that are still on their way reach nobody.
    this.endpoint = this.thread.register(this)
    this.#resolve()
  }

  #settled(): void {
    this.#restoring = false
    clearTimeout(this.#patience)
  }

  #resolve(): void {
    if (this.#settings === undefined) return
    const { host, family, lookup } = this.#settings.target
    // Empty: where the sealed session's peer is.
    if (host === '' || isIP(host) !== 0) return this.#open(host, this.#settings.resumed)
    lookup(host, { family, all: true }, (error, found) => {
      if (error) return this.#fail(connectionFailed(`${host}: ${error.message}`, error))
      this.#addresses = typeof found === 'string' ? [found] : found.map(({ address }) => address)
      const first = this.#takeAddress()
      if (first === undefined)
        return this.#fail(connectionFailed(`${host} has no address`, undefined))
      this.#open(first, this.#settings?.resumed)
    })
  }

  /**
   * A name can have addresses at which nobody listens: `localhost` is `::1` as well as `127.0.0.1`.
   *
   * @returns whether there was another one to try.
   */
  #openNext(): boolean {
    const next = this.#takeAddress()
    if (next === undefined) return false
    this.thread.native.closeEndpoint(this.endpoint, 'goodbye')
    this.#open(next, this.#settings?.resumed)
    return true
  }

  #open(address: string, resumed: NativeResumed | undefined): void {
    if (this.#settings === undefined) return
    const { target, key, otherKeys, session, recvBufferSize, sendBufferSize, context } =
      this.#settings
    const rowKey = this.#rows?.rows.rowKey() ?? NOTHING
    const options: NativeConnectOptions = {
      ...session,
      address,
      port: target.port,
      localAddress: target.localAddress,
      localPort: target.localPort,
      servername: target.servername,
      keylog: this.#socket.listenerCount('keylog') > 0,
      reusePort: false,
      ipv6Only: false,
      recvBufferSize,
      sendBufferSize,
      ...(key && { credential: key }),
      otherCredentials: otherKeys,
      ...(resumed && { resumed }),
      rowKey,
      rowPrefix: this.#rows?.prefixFor(target, key) ?? NOTHING,
    }
    const bound = this.thread.native.connect(this.endpoint, context, options)
    rowKey.fill(0)
    this.#resumed = resumed !== undefined
    if (!('address' in bound) && this.#restoring) return this.#startOver()
    if ('refused' in bound) return this.#fail(sessionRefused(bound.refused as DtlsRefusal))
    if ('error' in bound && !this.#openNext()) {
      const error = systemError(bound.error, address, target.port)
      this.#fail(connectionFailed(error.message, error))
    }
    if ('address' in bound) this.local = { address: bound.address, port: bound.port }
  }

  #fail(error: McbnError): void {
    tellSocket.ended(this.#socket, error)
  }

  // ---- from the I/O thread ------------------------------------------------------------------------

  onOpened(_session: number, opened: NativeOpenedSession): void {
    this.#settled()
    this.#forgetSettings()
    tellSocket.opened(this.#socket, opened, undefined)
  }

  onMessage(_session: number, message: Buffer): void {
    this.#batched = tellSocket.message(this.#socket, message) || this.#batched
  }

  onBatchEnd(): void {
    if (!this.#batched) return
    this.#batched = false
    tellSocket.batchEnd(this.#socket)
  }

  onQuestion(_session: number, { number, hint, protocol }: NativeSessionQuestion): void {
    if (this.#settings === undefined) return
    const { psk, lookupTimeout } = this.#settings
    if (!isClientLookup(psk)) return
    this.#cancelLookup = askClientKey(psk, hint, lookupTimeout, protocol, (answer) => {
      this.#cancelLookup = undefined
      if ('error' in answer) return this.#answerFailed(number, answer.error)
      try {
        refuseUnsendable(answer.identity, protocol as DtlsVersion)
        this.thread.native.answer(this.endpoint, SESSION, number, answer)
      } catch (error) {
        this.#answerFailed(number, error as McbnError)
      } finally {
        answer.key.fill(0)
      }
    })
  }

  #answerFailed(number: number, error: McbnError): void {
    this.#lookupError = error
    this.thread.native.answer(this.endpoint, SESSION, number, 'failed')
  }

  onRefused(_session: number, { failure }: NativeEnding): void {
    if (failure?.code === 'MCBN_CONNECTION_FAILED' && this.#openNext()) return
    // With two versions a lookup can fail for the one while the other goes on, and ends for another reason.
    const lookup = failure?.code === 'MCBN_LOOKUP_FAILED' ? this.#lookupError : undefined
    const error = lookup ?? (failure && toError(failure))
    this.#fail(
      error ?? connectionFailed('the server closed before the handshake was done', undefined),
    )
  }

  onEnded(_session: number, ending: NativeEnding | undefined): void {
    if (this.#restoring) return this.#startOver()
    tellSocket.ended(this.#socket, ending?.failure && toError(ending.failure))
  }

  onKeylog(_session: number, line: Buffer): void {
    this.#socket.emit('keylog', line)
  }

  onSocketError(): void {
    // A client's endpoint ends its session with such an error instead.
  }

  onAddressChanged(): void {
    // A client's socket hears its server's address only.
  }

  onRow(session: number, [name, sealed]: NativeRow, awaited: boolean): void {
    this.#row = name
    // Of this endpoint: what is written for the session of one before must not count for this one.
    const { endpoint } = this
    const rowsWritten = (sessions: Uint32Array): void =>
      this.thread.native.rowsWritten(endpoint, sessions)
    this.#rows?.rows.put(name, sealed, session, { rowsWritten }, awaited)
  }

  // ---- from the session store ---------------------------------------------------------------------

  onStoreError(error: McbnError): void {
    this.#socket.emit('sessionStoreError', error)
  }

  // ---- from the socket ----------------------------------------------------------------------------

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#cancelLookup?.()
    this.#settled()
    this.#forgetSettings()
    this.#forgetRow()
    this.#rows?.leave(this)
    if (this.#onAbort) this.#signal?.removeEventListener('abort', this.#onAbort)
    this.thread.closeEndpoint(this.endpoint)
    this.thread.unref()
  }

  orphanedError(): boolean {
    return false
  }

  keylogWanted(wanted: boolean): void {
    if (this.#released) return
    this.thread.native.setKeylog(this.endpoint, wanted)
  }

  #takeAddress(): string | undefined {
    const [next, ...others] = this.#addresses
    this.#addresses = others
    return next
  }

  #forgetRow(): void {
    if (this.#row !== undefined) this.#rows?.rows.remove(this.#row)
    this.#row = undefined
  }

  #forgetSettings(): void {
    if (this.#settings) wipeKeys(this.#settings)
    this.#settings?.resumed?.sealingKey.fill(0)
    this.#settings?.store?.sealingKey.fill(0)
    this.#settings = undefined
    this.#addresses = NO_ADDRESSES
  }
}

export function wipeKeys({ key, otherKeys }: Pick<ClientSettings, 'key' | 'otherKeys'>): void {
  key?.key.fill(0)
  for (const other of otherKeys) other.key.fill(0)
}

export function connectionFailed(why: string, cause: Error | undefined): McbnError {
  const options = cause === undefined ? {} : { cause }
  return new McbnError('MCBN_CONNECTION_FAILED', `no connection: ${why}`, options)
}
