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
  NativeSessionQuestion,
} from '../native/dtls.js'
import { toError } from '../native/failure.js'
import { refuseUnsendable } from '../psk/identity.js'
import type { PskClientSource } from '../psk/types.js'
import type { EndpointListener, IoThread } from './io-thread.js'
import type { ResolvedDtlsOptions } from './options.js'
import { type DtlsRefusal, sessionRefused } from './session-transfer.js'
import { type DtlsSocket, tellSocket } from './socket.js'
import type { SocketHome } from './socket-home.js'
import { systemError } from './system-error.js'
import type { DtlsSealedSession } from './types.js'

/** A client's endpoint has one session. */
const SESSION = 1
const NO_ADDRESSES: readonly string[] = []

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
  readonly context: NativeContext
  readonly signal: AbortSignal | undefined
  readonly resumed: DtlsSealedSession | undefined
}

/** See above. */
export class Client implements EndpointListener, SocketHome {
  readonly thread: IoThread
  readonly endpoint: number
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
  #batched = false
  #released = false
  #onAbort: (() => void) | undefined

  constructor(socket: DtlsSocket, thread: IoThread, settings: ClientSettings) {
    this.thread = thread
    this.highWaterMark = settings.highWaterMark
    this.#socket = socket
    this.#settings = settings
    this.endpoint = this.thread.register(this)
    this.thread.ref()
    tellSocket.attached(socket, this, SESSION)
    // Not at once: the caller has yet to add listeners to the socket.
    process.nextTick(() => this.#resolve())
    this.#signal = settings.signal
    if (this.#signal === undefined) return
    this.#onAbort = () => void this.#socket.destroy(this.#signal?.reason as Error)
    if (this.#signal.aborted) this.#onAbort()
    else this.#signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  #resolve(): void {
    if (this.#settings === undefined) return
    const { host, family, lookup } = this.#settings.target
    // Empty: where the sealed session's peer is.
    if (host === '' || isIP(host) !== 0) return this.#open(host)
    lookup(host, { family, all: true }, (error, found) => {
      if (error) return this.#fail(connectionFailed(`${host}: ${error.message}`, error))
      this.#addresses = typeof found === 'string' ? [found] : found.map(({ address }) => address)
      const first = this.#takeAddress()
      if (first === undefined)
        return this.#fail(connectionFailed(`${host} has no address`, undefined))
      this.#open(first)
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
    this.#open(next)
    return true
  }

  #open(address: string): void {
    if (this.#settings === undefined) return
    const { target, key, session, recvBufferSize, sendBufferSize, context, resumed } =
      this.#settings
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
      ...(resumed && { resumed }),
    }
    const bound = this.thread.native.connect(this.endpoint, context, options)
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

  onQuestion(_session: number, { number, hint }: NativeSessionQuestion): void {
    if (this.#settings === undefined) return
    const { psk, lookupTimeout } = this.#settings
    if (!isClientLookup(psk)) return
    this.#cancelLookup = askClientKey(psk, hint, lookupTimeout, (answer) => {
      this.#cancelLookup = undefined
      if ('error' in answer) return this.#answerFailed(number, answer.error)
      try {
        refuseUnsendable(answer.identity, 'DTLSv1.2')
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
    const error = this.#lookupError ?? (failure && toError(failure))
    this.#fail(
      error ?? connectionFailed('the server closed before the handshake was done', undefined),
    )
  }

  onEnded(_session: number, ending: NativeEnding | undefined): void {
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

  onRow(): void {
    // Clients have no session store.
  }

  // ---- from the socket ----------------------------------------------------------------------------

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#cancelLookup?.()
    this.#forgetSettings()
    if (this.#onAbort) this.#signal?.removeEventListener('abort', this.#onAbort)
    this.thread.closeEndpoint(this.endpoint)
    this.thread.unref()
  }

  orphanedError(): boolean {
    return false
  }

  keylogWanted(wanted: boolean): void {
    if (this.#released) return
    this.thread.native.setKeylog(this.endpoint, { server: false, on: wanted })
  }

  #takeAddress(): string | undefined {
    const [next, ...others] = this.#addresses
    this.#addresses = others
    return next
  }

  #forgetSettings(): void {
    this.#settings?.key?.key.fill(0)
    this.#settings?.resumed?.sealingKey.fill(0)
    this.#settings = undefined
    this.#addresses = NO_ADDRESSES
  }
}

export function connectionFailed(why: string, cause: Error | undefined): McbnError {
  const options = cause === undefined ? {} : { cause }
  return new McbnError('MCBN_CONNECTION_FAILED', `no connection: ${why}`, options)
}
