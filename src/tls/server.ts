import type { Socket } from 'node:net'
import { Server } from 'node:net'
import { ServerKeys } from '../keys/server-keys.js'
import { loadAddon } from '../native/load.js'
import { choiceOption, objectOption, stringOption } from '../options.js'
import { ServerSide } from './handshake.js'
import { createContext, resolveTlsOptions } from './options.js'
import { TlsSocket } from './socket.js'
import type { TlsServerOptions } from './types.js'
import { TLS_DEFAULTS } from './types.js'

/** OpenSSL's PSK_MAX_IDENTITY_LEN, in bytes. */
const MAX_HINT_BYTES = 256

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

  /** @throws {McbnError} of kind `usage` for wrong options; `MCBN_ADDON_UNAVAILABLE`. */
  constructor(
    options: TlsServerOptions<Peer>,
    onSecureConnection?: (socket: TlsSocket<Peer>) => void,
  ) {
    objectOption('options', options)
    const resolved = resolveTlsOptions(options)
    const identityHint = stringOption('pskIdentityHint', options.pskIdentityHint, MAX_HINT_BYTES)
    const unknown = choiceOption(
      'unknownIdentity',
      options.unknownIdentity,
      ['conceal', 'alert'],
      TLS_DEFAULTS.unknownIdentity,
    )
    const keys = new ServerKeys<Peer>(
      new (loadAddon().KeyTable)(),
      options.psk,
      resolved.lookupTimeout,
    )
    const context = createContext(resolved, {
      keys: keys.table,
      ask: keys.asks,
      conceal: unknown === 'conceal',
      identityHint: identityHint ?? '',
    })
    const { noDelay, keepAlive, keepAliveInitialDelay, handshakeTimeout, allowHalfOpen } = resolved
    super({ allowHalfOpen: true, noDelay, keepAlive, keepAliveInitialDelay })
    this.#keys = keys
    const side = new ServerSide<Peer>(context, keys)
    this.on('connection', (transport: Socket) => {
      const hooks = {
        keylog: this.listenerCount('keylog') > 0,
        onKeylog: (line: Buffer, socket: TlsSocket<Peer>) => this.emit('keylog', line, socket),
        onOpen: (socket: TlsSocket<Peer>) => this.#onOpen(socket),
        onFailure: (error: Error, socket: TlsSocket<Peer>) =>
          this.emit('tlsClientError', error, socket),
      }
      new TlsSocket<Peer>({ transport, side, handshakeTimeout, allowHalfOpen, server: hooks })
    })
    if (onSecureConnection) this.on('secureConnection', onSecureConnection)
  }

  /**
   * Ends every connection of an identity and refuses it from now on, also when the lookup knows it.
   *
   * @returns how many connections it ended.
   * @throws {McbnError} `MCBN_IDENTITY_INVALID`.
   */
  revoke(identity: string | Uint8Array): number {
    const bytes = this.#keys.revoke(identity)
    const ended = [...this.#open].filter((socket) => socket.pskIdentity?.equals(bytes))
    for (const socket of ended) socket.destroy()
    return ended.length
  }

  #onOpen(socket: TlsSocket<Peer>): void {
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
