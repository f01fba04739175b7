import type { DuplexOptions } from 'node:stream'
import { Deferred } from '../deferred.js'
import {
  publishClose,
  publishHandshakeError,
  publishOpen,
  type SessionChannels,
  TLS_CLIENT,
  TLS_SERVER,
} from '../diagnostics.js'
import { McbnError } from '../errors.js'
import type { Cancel } from '../keys/server-keys.js'
import type { NativeFailure, NativeOpened, NativeQuestion } from '../native/contract.js'
import { READY } from '../native/contract.js'
import { toError } from '../native/failure.js'
import type { NativeTlsSession } from '../native/tls.js'
import { stepLength } from '../native/tls.js'
import { shielded } from '../shield.js'
import { Answers } from './answers.js'
import {
  giveSlab,
  PIECE_BYTES,
  piecesOf,
  RECORD_BYTES,
  releasesWrites,
  roomFor,
  takeSlab,
} from './ciphertext.js'
import { closeAfterAlert, closedError, connectionError } from './ending.js'
import { checkExporterArguments, exporterUnavailable } from './exporter.js'
import type { KeyAnswer } from './handshake.js'
import { giveAnswer } from './handshake.js'
import type { TlsSocketSetup } from './setup.js'
import { TransportDuplex } from './transport.js'
import type { TlsCipher, TlsVersion } from './types.js'

const NOTHING = Buffer.alloc(0)

/**
 * A TLS connection with a pre-shared key: a Duplex over a net.Socket or any other Duplex.
 *
 * Emits, besides what a Duplex and a net.Socket do: `secureConnect` on clients once the server has
 * proved the key, and `keylog` (a Buffer, one line) for each secret, if listened for from the start.
 * Writes before `secureConnect` wait for it.
 */
export class TlsSocket<Peer = undefined> extends TransportDuplex {
  /** Always true, as on a tls.TLSSocket. */
  readonly encrypted = true
  /** Whether both sides have proved that they have the same key. */
  authorized = false
  /** The protocol agreed by ALPN; undefined before the handshake is done and when none was. */
  alpnProtocol: string | undefined
  /** The name the client asked for; undefined when none. */
  servername: string | undefined
  /** The identity whose key both sides proved, as bytes; undefined before. */
  pskIdentity: Buffer | undefined
  /** Servers: what the `psk` entry or lookup gave with the key. */
  peer: Peer | undefined
  /** Whether the peer's data ended without its close_notify: somebody may have cut it short. */
  truncated = false

  readonly #setup: TlsSocketSetup<Peer>
  readonly #reusesSlabs: boolean
  readonly #answers: Answers
  #session: NativeTlsSession | undefined
  #opened: NativeOpened | undefined
  #cancel: Cancel | undefined
  #deadline: NodeJS.Timeout | undefined
  /** Set by a failed lookup: names the reason of the failure that follows on the wire. */
  #verdict: McbnError | undefined
  /** The one write or end that waits for the handshake. */
  #waiting: { run(): void; callback: (error?: Error | null) => void } | undefined
  #inputEnded = false
  #closesAfterAlert = false
  #whenOpened: Deferred<this> | undefined

  /** @internal Not for applications: see `connect` and `createServer`. */
  constructor(setup: TlsSocketSetup<Peer>) {
    const { transport, signal, allowHalfOpen } = setup
    const options: DuplexOptions = { allowHalfOpen, ...(signal && { signal }) }
    super(transport, options)
    this.#setup = setup
    this.#reusesSlabs = releasesWrites(transport)
    this.#answers = new Answers(transport)
    // Half-close is decided here, by close_notify; the stream below must not answer a FIN by itself.
    transport.allowHalfOpen = true
    transport.on('error', (error) => this.#onTransportError(error))
    transport.on('close', () => this.#onTransportClose())
    const { handshakeTimeout } = setup
    if (handshakeTimeout > 0) {
      this.#deadline = setTimeout(() => this.#onDeadline(), handshakeTimeout).unref()
    }
    if (this.connecting) {
      for (const event of ['lookup', 'connect', 'ready']) {
        transport.once(event, (...values) => this.emit(event, ...values))
      }
      transport.once('connect', () => this.#begin())
    } else if (setup.server) {
      this.#begin()
    } else {
      // Listeners that the caller adds right after connect() belong to this connection too.
      process.nextTick(() => this.#begin())
    }
  }

  /**
   * Settles with the handshake: with the socket, the same moment as `secureConnect`, or with the error.
   * Code that awaits it need not listen to `error` for the handshake's sake.
   */
  get opened(): Promise<this> {
    if (!this.#whenOpened) {
      this.#whenOpened = new Deferred<this>()
      if (this.#opened) this.#whenOpened.resolve(this)
      else if (this.destroyed) this.#whenOpened.reject(this.errored ?? closedError())
      else this.on('error', ignore)
    }
    return this.#whenOpened.promise
  }

  /** The version agreed; null before the handshake is done. */
  getProtocol(): TlsVersion | null {
    return (this.#opened?.protocol as TlsVersion | undefined) ?? null
  }

  /** The suite agreed; undefined before the handshake is done. */
  getCipher(): TlsCipher | undefined {
    if (!this.#opened) return undefined
    const { cipher, standardCipher, protocol } = this.#opened
    return { name: cipher, standardName: standardCipher, version: protocol as TlsVersion }
  }

  /**
   * Keys for something else that both ends can derive (RFC 5705, RFC 8446 section 7.5).
   *
   * @param length - bytes, 1 to 8,160 (255 blocks of the smallest hash in use).
   * @param label - for example `EXPORTER-my-protocol`.
   * @param context - separates several keys of one label; on TLS 1.2 an empty one differs from none.
   * @returns fresh bytes; the caller owns and wipes them.
   * @throws {McbnError} `MCBN_EXPORTER_UNAVAILABLE` before the handshake is done, after the socket is
   * destroyed, and on TLS 1.2 with a peer without extended master secret (RFC 7627 section 5.4).
   */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Buffer {
    checkExporterArguments(length, label, context)
    const material = this.#session?.exportKeyingMaterial(length, label, context)
    if (material) return material
    throw exporterUnavailable(this.#opened !== undefined, this.destroyed)
  }

  // ---- the handshake ------------------------------------------------------------------------------

  #begin(): void {
    if (this.destroyed) return
    const { side, server, transport } = this.#setup
    const keylog = server?.keylog ?? this.listenerCount('keylog') > 0
    this.#cancel = side.prepare(keylog, (session) => {
      this.#cancel = undefined
      if (session instanceof McbnError) {
        this.destroy(session)
        return
      }
      this.#session = session
      transport.on('data', (chunk: Buffer) => this.#receive(chunk))
      transport.on('end', () => this.#onTransportEnd())
      // Listening for data does not start a stream that its previous owner has paused.
      transport.resume()
      if (!side.isServer) this.#settle(session.start(), NOTHING)
    })
  }

  #ask(question: NativeQuestion): void {
    const asker = { remoteAddress: this.remoteAddress ?? '', remotePort: this.remotePort ?? 0 }
    this.#cancel = this.#setup.side.answer(question, asker, (answer) => {
      // A lookup that answers at once must not re-enter the step that asked.
      process.nextTick(() => this.#answer(question, answer))
    })
  }

  #answer(question: NativeQuestion, answer: KeyAnswer<Peer>): void {
    const session = this.#session
    this.#cancel = undefined
    if (!session) {
      if ('key' in answer) answer.key.fill(0)
      return
    }
    if ('error' in answer) {
      if (!this.#setup.side.isServer) {
        this.destroy(answer.error)
        return
      }
      this.#verdict = answer.error
    } else if ('key' in answer) {
      this.peer = answer.peer
    }
    this.#settle(giveAnswer(session, question, answer), NOTHING)
  }

  #open(opened: NativeOpened): void {
    clearTimeout(this.#deadline)
    this.#opened = opened
    this.authorized = true
    this.pskIdentity = opened.identity
    if (opened.alpn !== '') this.alpnProtocol = opened.alpn
    if (opened.servername !== '') this.servername = opened.servername
    this.peer ??= this.#setup.side.peerOf(opened.identity)
    if (this.#whenOpened) {
      this.off('error', ignore)
      this.#whenOpened.resolve(this)
    }
    const { server } = this.#setup
    publishOpen(this.#channels, this)
    shielded(() => (server ? server.onOpen(this) : this.emit('secureConnect')))
    const waiting = this.#waiting
    this.#waiting = undefined
    if (!this.destroyed) waiting?.run()
  }

  #onDeadline(): void {
    const state = this.#cancel ? 'the psk function' : 'the handshake'
    const what = this.connecting ? 'connecting' : state
    const limit = `handshakeTimeout (${this.#setup.handshakeTimeout} ms)`
    const late = new McbnError('MCBN_HANDSHAKE_TIMEOUT', `${what} took longer than ${limit}`)
    this.destroy(this.#verdict ?? late)
  }

  // ---- steps of the session -----------------------------------------------------------------------

  #receive(chunk: Buffer): void {
    const session = this.#session
    if (!session) return
    const room = this.#opened ? roomFor(chunk, this.transport, this.#reusesSlabs) : NOTHING
    this.#settle(session.receive(chunk, room), room)
  }

  #settle(step: number, room: Buffer): void {
    const session = this.#session as NativeTlsSession
    const ready = step & 0xff
    if (ready & ~READY.plaintext) {
      const lines = ready & READY.keylog ? session.takeKeylog() : []
      const failure = ready & READY.failed ? session.takeFailure() : undefined
      if (ready & READY.opened) this.#joinWrites()
      if (ready & READY.ciphertext) this.#answers.send(session.takeCiphertext())
      for (const line of lines) shielded(() => this.#announce(line))
      if (ready & READY.question && this.#session) this.#ask(session.takeQuestion())
      if (ready & READY.opened && this.#session) this.#open(session.takeOpened())
      if (ready & READY.plaintext) this.#deliver(room.subarray(0, stepLength(step)))
      if (ready & READY.closed) this.#endInput()
      if (failure) this.#fail(failure)
    } else if (ready) {
      this.#deliver(room.subarray(0, stepLength(step)))
    }
    if (ready & READY.more && this.#session) {
      const next = Buffer.allocUnsafeSlow(RECORD_BYTES)
      this.#settle(session.receive(NOTHING, next), next)
    }
  }

  /** The last handshake message and the first data of this turn leave together. */
  #joinWrites(): void {
    this.transport.cork()
    process.nextTick(() => this.transport.uncork())
  }

  #announce(line: Buffer): void {
    const { server } = this.#setup
    if (server) server.onKeylog(line, this)
    else this.emit('keylog', line)
  }

  #deliver(plaintext: Buffer): void {
    if (this.destroyed || this.#inputEnded) return
    this.noteReceived(plaintext.length)
    shielded(() => {
      if (!this.push(plaintext)) this.transport.pause()
    })
  }

  #endInput(): void {
    if (this.#inputEnded || this.destroyed) return
    this.#inputEnded = true
    shielded(() => this.push(null))
    // Nobody may be reading, and a Readable ends only when it is read.
    if (this.readableLength === 0) shielded(() => this.read(0))
    this.transport.resume() // to see the FIN
  }

  #fail(failure: NativeFailure): void {
    if (this.destroyed) return
    this.#closesAfterAlert = true
    this.destroy(this.#verdict ?? toError(failure))
  }

  // ---- the stream below ---------------------------------------------------------------------------

  #onTransportEnd(): void {
    if (this.destroyed || this.#inputEnded) return
    if (this.#opened) {
      this.truncated = true
      this.#endInput()
      return
    }
    const who = this.#setup.side.isServer ? 'client' : 'server'
    const message = `the ${who} closed the connection before the handshake was done`
    this.destroy(this.#verdict ?? new McbnError('MCBN_HANDSHAKE_FAILED', message))
  }

  #onTransportError(cause: Error): void {
    if (this.destroyed) return
    // After both close_notify nothing can be lost any more.
    if (this.#inputEnded && this.writableEnded) return
    this.destroy(connectionError(cause, this.#opened !== undefined, this.#setup.target))
  }

  /** The application, or another owner, has destroyed the stream below. */
  #onTransportClose(): void {
    if (this.destroyed || this.#inputEnded) return
    this.truncated = this.#opened !== undefined
    this.destroy(this.#opened ? undefined : connectionError(undefined, false, this.#setup.target))
  }

  // ---- Duplex -------------------------------------------------------------------------------------

  /** @internal */
  override _read(): void {
    if (this.#opened && !this.#inputEnded && !this.#answers.full) this.transport.resume()
  }

  /** @internal */
  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#whenOpen(callback, () => this.#encrypt(chunk, callback))
  }

  /** @internal */
  override _writev(
    items: { chunk: Buffer; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    const pieces = piecesOf(items.map((item) => item.chunk))
    const next = (error?: Error | null): void => {
      const piece = error ? undefined : pieces.shift()
      if (piece) this.#encrypt(piece, next)
      else callback(error)
    }
    this.#whenOpen(callback, () => next())
  }

  /** @internal */
  override _final(callback: (error?: Error | null) => void): void {
    this.#whenOpen(callback, () => {
      const session = this.#session as NativeTlsSession
      const step = session.shutdown()
      const notify = step & READY.ciphertext ? session.takeCiphertext() : NOTHING
      // A peer that is gone already has no use for our close_notify: failing to send it is not an error.
      this.transport.end(notify, () => callback())
    })
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const { server } = this.#setup
    const opened = this.#opened !== undefined
    clearTimeout(this.#deadline)
    this.stopIdleTimer()
    this.#cancel?.()
    this.#cancel = undefined
    // While the stream below still knows it: handlers of the error ask who it was.
    if (error) void this.remoteAddress
    this.#session?.destroy()
    this.#session = undefined
    this.#setup.side.discard?.()
    // Destroyed as soon as it was open: the peer still gets the last handshake message, and so hears of both.
    if (opened) this.transport.uncork()
    if (this.#closesAfterAlert) closeAfterAlert(this.transport)
    else this.transport.destroy()
    if (opened) publishClose(this.#channels, this, error ?? undefined)
    else publishHandshakeError(this.#channels, () => error ?? closedError(), this, this)
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.callback(error ?? closedError())
    if (!opened) this.#whenOpened?.reject(error ?? closedError())
    if (server && error && !opened) {
      // As in node:tls: until a connection is secure, its errors are the server's business.
      process.nextTick(() => server.onFailure(error, this))
      callback(null)
    } else {
      callback(error)
    }
  }

  get #channels(): SessionChannels {
    return this.#setup.side.isServer ? TLS_SERVER : TLS_CLIENT
  }

  #whenOpen(callback: (error?: Error | null) => void, run: () => void): void {
    if (this.#opened) run()
    else this.#waiting = { run, callback }
  }

  #encrypt(chunk: Buffer, callback: (error?: Error | null) => void): void {
    const session = this.#session
    if (!session) {
      callback(this.errored ?? closedError())
      return
    }
    const piece = chunk.length > PIECE_BYTES ? chunk.subarray(0, PIECE_BYTES) : chunk
    const slab = takeSlab(piece.length, this.#reusesSlabs)
    const step = session.write(piece, slab)
    const written = (error?: Error | null): void => {
      if (error) {
        callback(connectionError(error, true, this.#setup.target))
        return
      }
      if (this.#reusesSlabs) giveSlab(slab)
      if (piece === chunk) callback()
      else this.#encrypt(chunk.subarray(PIECE_BYTES), callback)
    }
    this.transport.write(slab.subarray(0, stepLength(step)), written)
    this.noteSent(piece.length)
    // An empty write, and what OpenSSL adds by itself.
    if (step & 0xff) this.#settle(step & 0xff, NOTHING)
  }
}

/** Stands in for an `error` listener where the promise `opened` tells of the error. */
function ignore(): void {}
