import type { Socket } from 'node:net'
import { Server } from 'node:net'
import { McbnError } from '../errors.js'
import { serverContext } from '../keys/server-context.js'
import type { ServerKeys } from '../keys/server-keys.js'
import { refuseUnknown } from '../option-names.js'
import { objectOption } from '../options.js'
import type { PskEntry, PskKey } from '../psk/types.js'
import { TLS_ADVICE } from './advice.js'
import { ServerSide } from './handshake.js'
import { contextSettings, resolveTlsOptions } from './options.js'
import { TlsSocket } from './socket.js'
import { TLS_SERVER_OPTIONS, type TlsServerOptions } from './types.js'

const LISTEN = 'it belongs to listen()'
const SERVER_ADVICE = { ...TLS_ADVICE, host: LISTEN, port: LISTEN, path: LISTEN }

/**
 * A TLS server with pre-shared keys: a net.Server whose connections are {@link TlsSocket}s.
 *
 * Emits, besides what a net.Server does (whose `connection` is the plain TCP socket):
 * - `secureConnection` (socket): the client has proved its key;
 * - `tlsClientError` (error, socket): a connection failed before that; the server goes on;
 * - `keylog` (line, socket): one secret of a connection made while somebody listens.
 *
 * Emit `connection` with any Duplex to serve it.
 */
export class TlsServer<Peer = undefined> extends Server {
  readonly #keys: ServerKeys<Peer>
  readonly #open = new Set<TlsSocket<Peer>>()
  /** How many connections have begun. */
  #begun = 0
  /** How many had begun when an identity (as latin1) was revoked last. */
  readonly #revoked = new Map<string, number>()

  /** @throws {McbnError} of kind `usage` for wrong options; `MCBN_ADDON_UNAVAILABLE`. */
  constructor(
    options: TlsServerOptions<Peer>,
    onSecureConnection?: (socket: TlsSocket<Peer>) => void,
  ) {
    objectOption('options', options)
    refuseUnknown('tls.createServer', options, TLS_SERVER_OPTIONS, SERVER_ADVICE)
    const resolved = resolveTlsOptions(options)
    const { keys, context } = serverContext(
      options,
      contextSettings(resolved),
      resolved.lookupTimeout,
    )
    const { noDelay, keepAlive, keepAliveInitialDelay, handshakeTimeout, allowHalfOpen } = resolved
    super({ allowHalfOpen: true, noDelay, keepAlive, keepAliveInitialDelay })
    this.#keys = keys
    const side = new ServerSide<Peer>(context, keys, () => this.maxConnections)
    this.on('connection', (transport: Socket) => {
      this.#begun += 1
      const number = this.#begun
      const hooks = {
        keylog: this.listenerCount('keylog') > 0,
        onKeylog: (line: Buffer, socket: TlsSocket<Peer>) => this.emit('keylog', line, socket),
        onOpen: (socket: TlsSocket<Peer>) => this.#onOpen(socket, number),
        onFailure: (error: Error, socket: TlsSocket<Peer>) =>
          this.emit('tlsClientError', error, socket),
      }
      new TlsSocket<Peer>({ transport, side, handshakeTimeout, allowHalfOpen, server: hooks })
    })
    if (onSecureConnection) this.on('secureConnection', onSecureConnection)
  }

  /**
   * Files a key from now on, and lifts a revocation of its identity. Open connections are not touched.
   *
   * @throws {McbnError} `MCBN_IDENTITY_INVALID`, `MCBN_KEY_INVALID`.
   */
  setPsk(identity: string | Uint8Array, key: PskKey | PskEntry<Peer>): void {
    this.#keys.set(identity, key)
  }

  /** Forgets a key; open connections are not touched. @returns whether there was one. */
  deletePsk(identity: string | Uint8Array): boolean {
    return this.#keys.delete(identity)
  }

  /**
   * Ends every connection of an identity and refuses it from now on, also when the lookup knows it
   * and when a handshake has its key already.
   *
   * @returns how many connections it ended.
   * @throws {McbnError} `MCBN_IDENTITY_INVALID`.
   */
  revoke(identity: string | Uint8Array): number {
    const bytes = this.#keys.revoke(identity)
    this.#revoked.set(bytes.toString('latin1'), this.#begun)
    const ended = [...this.#open].filter((socket) => socket.pskIdentity?.equals(bytes))
    for (const socket of ended) socket.destroy()
    return ended.length
  }

  #onOpen(socket: TlsSocket<Peer>, number: number): void {
    const revokedAt = this.#revoked.get(socket.pskIdentity?.toString('latin1') ?? '') ?? 0
    if (number <= revokedAt) {
      // Its handshake had the key before it was taken away, and was finished after that.
      socket.destroy()
      const error = new McbnError(
        'MCBN_PSK_IDENTITY_UNKNOWN',
        'the identity was revoked during its handshake',
      )
      this.emit('tlsClientError', error, socket)
      return
    }
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    this.emit('secureConnection', socket)
  }
}

/** See {@link TlsServer}. */
export function createServer<Peer = undefined>(
  options: TlsServerOptions<Peer>,
  onSecureConnection?: (socket: TlsSocket<Peer>) => void,
): TlsServer<Peer> {
  return new TlsServer<Peer>(options, onSecureConnection)
}
