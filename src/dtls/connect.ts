import { lookup as dnsLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { DTLS_CLIENT, DTLS_CLIENT_SOCKET } from '../diagnostics.js'
import { McbnError } from '../errors.js'
import { askClientKey, type ClientKey, clientKey, isClientLookup } from '../keys/client-key.js'
import { clientContext } from '../native/context.js'
import type { NativeContext } from '../native/contract.js'
import type {
  NativeConnectOptions,
  NativeEnding,
  NativeOpenedSession,
  NativeSessionQuestion,
} from '../native/dtls.js'
import { toError } from '../native/failure.js'
import { adviceFor, refuseUnknown } from '../option-names.js'
import {
  functionOption,
  integerOption,
  objectOption,
  servernameOption,
  stringOption,
  typeName,
} from '../options.js'
import { refuseUnsendable } from '../psk/identity.js'
import type { PskClientSource } from '../psk/types.js'
import type { EndpointListener, IoThread } from './io-thread.js'
import { sharedClientThread } from './io-thread.js'
import {
  portOption,
  presetOption,
  type ResolvedDtlsOptions,
  resolveDtlsOptions,
} from './options.js'
import { PRESET_PORTS } from './presets.js'
import { type DtlsRefusal, sealingKeyOption, sessionRefused } from './session-transfer.js'
import { DtlsSocket, tellSocket } from './socket.js'
import type { SocketHome } from './socket-home.js'
import { systemError } from './system-error.js'
import {
  DTLS_CONNECT_OPTIONS,
  DTLS_SERVER_OPTIONS,
  type DtlsConnectOptions,
  type DtlsSealedSession,
} from './types.js'

/** A client's endpoint has one session. */
const SESSION = 1
const NO_ADDRESSES: readonly string[] = []
const CLIENT_ADVICE = adviceFor(
  Object.keys(DTLS_SERVER_OPTIONS),
  'it is an option of dtls.createServer',
)

/**
 * Opens a DTLS 1.2 association with a server. All clients of a JavaScript thread share one I/O thread.
 *
 * @param onSecureConnect - once, on `secureConnect`.
 * @returns the socket, in state `opening`: wait for `opened` or `secureConnect`.
 * @throws {McbnError} of kind `usage` for wrong options; `MCBN_ADDON_UNAVAILABLE`. Everything that the
 * system, the network or the peer does comes as `error`.
 */
export function connect(options: DtlsConnectOptions, onSecureConnect?: () => void): DtlsSocket {
  objectOption('options', options)
  refuseUnknown('dtls.connect', options, DTLS_CONNECT_OPTIONS, CLIENT_ADVICE)
  const resolved = resolveDtlsOptions(options, 'client')
  const target = targetOf(options)
  const { psk, signal } = options
  const resumed = options.session === undefined ? undefined : resumedOption(options.session)
  const key = isClientLookup(psk) ? undefined : clientKey(psk)
  try {
    if (key) refuseUnsendable(key.identity, 'DTLSv1.2')
    const context = clientContext(resolved.context)
    const socket = new DtlsSocket()
    if (onSecureConnect) socket.once('secureConnect', onSecureConnect)
    const thread = threadFor(socket)
    const settings = { ...resolved, target, psk, key, context, signal, resumed }
    if (thread === undefined) key?.key.fill(0)
    else new Client(socket, thread, settings)
    if (DTLS_CLIENT_SOCKET.hasSubscribers) {
      DTLS_CLIENT_SOCKET.publish({ socket, host: target.host, port: target.port })
    }
    return socket
  } catch (error) {
    key?.key.fill(0)
    throw error
  }
}

/** Undefined: the system has no descriptor or thread to spare, which the socket tells as its end. */
function threadFor(socket: DtlsSocket): IoThread | undefined {
  try {
    return sharedClientThread()
  } catch (error) {
    const { message } = error as Error
    const reason = `${message}; the limits of open files and threads are the system's`
    process.nextTick(() => socket.destroy(connectionFailed(reason, error as Error)))
    return undefined
  }
}

interface Target {
  readonly host: string
  readonly port: number
  readonly family: 0 | 4 | 6
  readonly localAddress: string
  readonly localPort: number
  readonly servername: string
  readonly lookup: LookupFunction
}

interface ClientSettings extends Omit<ResolvedDtlsOptions, 'context'> {
  readonly target: Target
  readonly psk: PskClientSource
  readonly key: ClientKey | undefined
  readonly context: NativeContext
  readonly signal: AbortSignal | undefined
  readonly resumed: DtlsSealedSession | undefined
}

function targetOf(options: DtlsConnectOptions): Target {
  const resumes = options.session !== undefined
  const { family, localAddress } = options
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    throw new McbnError('MCBN_OPTION_RANGE', 'localAddress: expected an IP address')
  }
  const wanted = integerOption('family', family, { min: 0, max: 6 }, 0)
  if (wanted !== 0 && wanted !== 4 && wanted !== 6) {
    throw new McbnError('MCBN_OPTION_RANGE', `family: expected 0, 4 or 6, got ${wanted}`)
  }
  return {
    host: stringOption('host', options.host, 255) || (resumes ? '' : 'localhost'),
    port:
      resumes && options.host === undefined
        ? 0
        : portOption('port', options.port ?? presetPort(options.preset), 1),
    family: localAddress === undefined ? wanted : (isIP(localAddress) as 4 | 6),
    localAddress: localAddress ?? '',
    localPort: portOption('localPort', options.localPort ?? 0, 0),
    servername: servernameOption(options.servername) ?? '',
    lookup: functionOption('lookup', options.lookup) ?? dnsLookup,
  }
}

const SEALED_SESSION = { sealed: undefined, sealingKey: undefined } as const

function resumedOption(value: unknown): DtlsSealedSession {
  objectOption('session', value)
  refuseUnknown('session', value, SEALED_SESSION)
  const { sealed, sealingKey } = value as Partial<DtlsSealedSession>
  if (!(sealed instanceof Uint8Array)) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `session.sealed: expected a Uint8Array, got ${typeName(sealed)}`,
    )
  }
  // Copies: the caller may wipe his before the connection is opened.
  return { sealed: Buffer.from(sealed), sealingKey: Buffer.from(sealingKeyOption(sealingKey)) }
}

function presetPort(value: unknown): number | undefined {
  const preset = presetOption(value)
  return preset && PRESET_PORTS[preset]
}

/** The endpoint of one client socket. */
class Client implements EndpointListener, SocketHome {
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

function connectionFailed(why: string, cause: Error | undefined): McbnError {
  const options = cause === undefined ? {} : { cause }
  return new McbnError('MCBN_CONNECTION_FAILED', `no connection: ${why}`, options)
}
