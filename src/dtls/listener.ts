// All endpoints of a server that listens: as many UDP sockets on one address as it has I/O threads.

import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { NativeContext } from '../native/contract.js'
import type { NativeBound, NativeFleet, NativeListenOptions } from '../native/dtls.js'
import { loadAddon } from '../native/load.js'
import type { ResolvedListenOptions } from './options.js'
import { type EndpointOwner, ServerEndpoint } from './server-endpoint.js'
import {
  BATCH,
  type DtlsImport,
  exportedSessions,
  importSessions,
  restoreSessions,
} from './session-transfer.js'
import type { DtlsSocket } from './socket.js'
import { type DtlsServerStats, sumStats } from './stats.js'
import type { StoredRows } from './store/session-rows.js'
import { systemError } from './system-error.js'

/** What the endpoints have in common. */
export interface ListenerOptions extends ResolvedListenOptions {
  readonly context: NativeContext
  /** Absent: a random one. Borrowed. */
  readonly cookieSecret: Uint8Array | undefined
  /** Absent: the server is no node of one. */
  readonly fleet: NativeFleet | undefined
  readonly native: Omit<
    NativeListenOptions,
    'address' | 'port' | 'threads' | 'threadIndex' | 'cookieSecret' | 'rowKey'
  >
}

/**
 * The system gives each client to one of the sockets, by addresses and ports, so a session stays with one
 * thread. Cookies, keys and limits are those of the server as a whole.
 */
export class Listener<Peer> {
  readonly address: AddressInfo
  readonly #endpoints: readonly ServerEndpoint<Peer>[]
  readonly #owner: EndpointOwner<Peer>

  /**
   * Binds, and begins to receive.
   *
   * @param host - a literal address; undefined: all addresses.
   * @throws the system's error; nothing is left bound then.
   */
  constructor(
    owner: EndpointOwner<Peer>,
    options: ListenerOptions,
    host: string | undefined,
    port: number,
  ) {
    this.#owner = owner
    const bound = bindAll(owner, options, host, port)
    this.address = bound.address
    this.#endpoints = bound.endpoints
    // Only now: a client that the first socket had answered alone could be given to one that came later.
    for (const { thread, number } of this.#endpoints) thread.native.begin(number)
  }

  *sockets(): IterableIterator<DtlsSocket<Peer>> {
    for (const endpoint of this.#endpoints) yield* endpoint.sockets.values()
  }

  /** @returns undefined when its threads have ended with their environment. */
  stats(): DtlsServerStats | undefined {
    const each = this.#endpoints.flatMap(
      ({ thread, number }) => thread.native.endpointStats(number) ?? [],
    )
    if (each.length === 0) return undefined
    const sessionsByThread = each.map(({ sessions }) => sessions)
    return { ...sumStats(each), ioThreads: this.#endpoints.length, sessionsByThread }
  }

  /** @returns how many sessions it ended. */
  endSessionsOf(identity: Uint8Array): number {
    let ended = 0
    for (const { thread, number } of this.#endpoints) {
      ended += thread.native.endSessionsOf(number, identity)
    }
    return ended
  }

  keylog(on: boolean): void {
    for (const { thread, number } of this.#endpoints) {
      thread.native.setKeylog(number, on)
    }
  }

  ref(): void {
    for (const { thread } of this.#endpoints) thread.ref()
  }

  unref(): void {
    for (const { thread } of this.#endpoints) thread.unref()
  }

  exportSessions(sealingKey: Uint8Array): AsyncGenerator<Buffer, void, undefined> {
    return exportedSessions(this.#endpoints, sealingKey, this.#owner.rows)
  }

  importSessions(
    sealed: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    sealingKey: Uint8Array,
  ): Promise<DtlsImport> {
    return importSessions(this.#endpoints, sealed, sealingKey)
  }

  /** Goes on with the sessions of a server that had the same session store. */
  async restoreSessions(stored: readonly StoredRows[]): Promise<DtlsImport> {
    const { rows } = this.#owner
    if (!rows) return { imported: 0, refused: 0, reasons: {} }
    return restoreSessions(this.#endpoints, stored, rows)
  }

  /** Resolves when the session store, if there is one, has what it is to have, and is closed. */
  async close(handover: boolean): Promise<void> {
    const { rows } = this.#owner
    for (const endpoint of this.#endpoints) {
      if (handover && rows) endpoint.storeSessions(rows, BATCH)
      endpoint.close(handover ? 'handover' : 'goodbye')
    }
    await rows?.close(handover)
  }
}

interface Bound<Peer> {
  readonly address: AddressInfo
  readonly endpoints: readonly ServerEndpoint<Peer>[]
}

function bindAll<Peer>(
  owner: EndpointOwner<Peer>,
  { context, cookieSecret, fleet, ioThreads, limits, native }: ListenerOptions,
  host: string | undefined,
  wantedPort: number,
): Bound<Peer> {
  const admission = new (loadAddon().Admission)(limits)
  // One secret for all: a client's second hello may well come to another socket than its first.
  const secret = cookieSecret ? Buffer.from(cookieSecret) : randomBytes(32)
  const rowKey = owner.rows?.rowKey() ?? new Uint8Array()
  const endpoints: ServerEndpoint<Peer>[] = []
  const bind = (to: string, port: number): NativeBound => {
    const endpoint = endpoints.at(-1) as ServerEndpoint<Peer>
    const threadIndex = endpoints.length - 1
    const at = { address: to, port, threads: ioThreads, threadIndex, cookieSecret: secret, rowKey }
    const options = { ...native, ...at }
    return endpoint.thread.native.listen(endpoint.number, context, options, admission, fleet)
  }
  let address = host ?? '::'
  let port = wantedPort
  try {
    endpoints.push(new ServerEndpoint(owner, admission))
    let first = bind(address, port)
    if (host === undefined && 'error' in first) {
      // A machine without IPv6.
      address = '0.0.0.0'
      first = bind(address, port)
    }
    if ('error' in first) throw systemError(first.error, address, port)
    port = first.port
    for (let index = 1; first.balanced && index < ioThreads; index += 1) {
      endpoints.push(new ServerEndpoint(owner, admission))
      const next = bind(address, port)
      if ('error' in next) throw systemError(next.error, address, port)
    }
    const local = { address: first.address, port }
    for (const endpoint of endpoints) endpoint.bound(local)
    const { family } = first
    return { address: { address: first.address, family, port }, endpoints }
  } catch (error) {
    for (const endpoint of endpoints) endpoint.close()
    throw error
  } finally {
    secret.fill(0)
    rowKey.fill(0)
  }
}
