// One UDP socket of a server on one I/O thread, with the sessions that live there.

import { DTLS_SERVER, publishHandshakeError } from '../diagnostics.js'
import { McbnError } from '../errors.js'
import {
  type Cancel,
  type LookupAnswer,
  type ServerKeys,
  unknownAnswer,
} from '../keys/server-keys.js'
import type {
  NativeAdmission,
  NativeEnding,
  NativeFarewell,
  NativeKeyValidity,
  NativeLeaving,
  NativeOpenedSession,
  NativeRemote,
  NativeRow,
  NativeSessionQuestion,
  NativeSystemError,
  NativeVerdict,
} from '../native/dtls.js'
import { toError } from '../native/failure.js'
import { shielded } from '../shield.js'
import { ImportQuestions } from './import-questions.js'
import { type EndpointListener, IoThread } from './io-thread.js'
import type { Refusal } from './session-transfer.js'
import { DtlsSocket, tellSocket } from './socket.js'
import type { SocketHome } from './socket-home.js'
import type { SessionRows } from './store/session-rows.js'
import type { RemoteInfo } from './types.js'

/** What the endpoints of a server tell it. */
export interface EndpointOwner<Peer> {
  readonly keys: ServerKeys<Peer>
  readonly highWaterMark: number
  /** Absent: there is no session store. */
  readonly rows: SessionRows | undefined
  onSession(socket: DtlsSocket<Peer>): void
  onClientError(error: Error, rinfo: RemoteInfo): void
  onKeylog(line: Buffer): void
  onSocketError(error: NativeSystemError): void
}

/** A handshake whose key is being looked up, or was. */
interface Lookup<Peer> {
  cancel: Cancel
  peer: Peer | undefined
  error: McbnError | undefined
}

/** A session on its way out. */
export interface Exported<Peer> {
  readonly sealed: Buffer
  /** The name of its row in the session store, if there is one. */
  readonly row: string | undefined
  readonly peer: Peer | undefined
}

interface ImportTerms<Peer> {
  readonly validity: NativeKeyValidity
  /** Of rows of the session store. */
  readonly names?: readonly string[] | undefined
  /** By the lookup. */
  readonly peers?: readonly (Peer | undefined)[]
}

/** The numbers of sessions are those of one endpoint: other endpoints have the same ones. */
export class ServerEndpoint<Peer> implements EndpointListener {
  readonly thread = new IoThread()
  /** The number by which the thread knows it. */
  readonly number: number
  readonly sockets = new Map<number, DtlsSocket<Peer>>()
  readonly #owner: EndpointOwner<Peer>
  readonly #admission: NativeAdmission
  readonly #home: SocketHome
  readonly #lookups = new Map<number, Lookup<Peer>>()
  readonly #batched = new Set<DtlsSocket<Peer>>()
  /** Exported before JavaScript had heard that they are open. */
  readonly #goneEarly = new Set<number>()
  /** Imported from rows, and not heard of yet. */
  readonly #arriving = new Set<number>()
  #onArrival: (() => void)[] = []
  /** For sessions that may be imported. */
  readonly #asked = new Set<{ giveUp(): void }>()
  #closed = false

  constructor(owner: EndpointOwner<Peer>, admission: NativeAdmission) {
    this.#owner = owner
    this.#admission = admission
    this.number = this.thread.register(this)
    const { thread, number } = this
    this.#home = {
      thread,
      endpoint: number,
      highWaterMark: owner.highWaterMark,
      channels: DTLS_SERVER,
      stored: owner.rows !== undefined,
      release: (session, ended) => {
        this.sockets.delete(session)
        if (!this.#closed && !ended) thread.closeSession(number, session)
      },
      confirmAddress: (session, { remoteAddress, remotePort }) =>
        thread.native.confirmAddress(number, session, remoteAddress, remotePort),
      orphanedError: (error, { remoteAddress = '', remotePort = 0 }) => {
        owner.onClientError(error, rinfo(remoteAddress, remotePort))
        return true
      },
    }
  }

  /** The UDP socket is bound. */
  bound(local: { readonly address: string; readonly port: number }): void {
    this.#home.local = local
  }

  /** Ends lookups, sessions (as `farewell` says), socket and thread. */
  close(farewell: NativeFarewell = 'goodbye'): void {
    if (this.#closed) return
    this.#closed = true
    for (const { cancel } of this.#lookups.values()) cancel()
    this.#lookups.clear()
    for (const questions of this.#asked) questions.giveUp()
    for (const socket of [...this.sockets.values()]) socket.destroy()
    this.sockets.clear()
    this.#arriving.clear()
    this.#tellArrival()
    this.thread.closeEndpoint(this.number, farewell)
    this.thread.native.stop()
  }

  // ---- sessions in and out ------------------------------------------------------------------------

  /** Takes so many sessions away, at most; their sockets close without an error. */
  exportSessions(sealingKey: Uint8Array, most: number, leaving: NativeLeaving): Exported<Peer>[] {
    if (this.#closed) return []
    this.thread.flush()
    const found = this.thread.native.exportSessions(this.number, sealingKey, most, leaving)
    const exported: Exported<Peer>[] = []
    for (let at = 0; at < found.length; at += 3) {
      const session = found[at] as number
      const row = found[at + 2] as string | undefined
      const socket = this.sockets.get(session)
      const peer = socket ? socket.peer : this.#lookups.get(session)?.peer
      exported.push({ sealed: found[at + 1] as Buffer, row, peer })
      this.#leave(session)
    }
    return exported
  }

  /** Takes every session that has a row away, for the next process: the rows say exactly where to go on. */
  storeSessions(rows: SessionRows, batch: number): void {
    for (;;) {
      const taken = this.thread.native.takeRows(this.number, batch)
      if (taken.length === 0) return
      for (let at = 0; at < taken.length; at += 3) {
        const session = taken[at] as number
        rows.put(taken[at + 1] as string, taken[at + 2] as Buffer, session, undefined)
        this.#leave(session)
      }
    }
  }

  #leave(session: number): void {
    const socket = this.sockets.get(session)
    if (socket) tellSocket.ended(socket, undefined, 'exported')
    else this.#goneEarly.add(session)
  }

  /** Goes on with exported sessions that the caller did not take, with new sockets. */
  restore(sealingKey: Uint8Array, sessions: readonly Exported<Peer>[]): void {
    const sealed = sessions.map((session) => session.sealed)
    this.#import(sealingKey, sealed, {
      validity: 'vouched',
      peers: sessions.map((session) => session.peer),
    })
  }

  /**
   * The number of each session that was imported, or why it was not. Asks the lookup about identities that are
   * not in the table.
   *
   * @param names - of rows of the session store: there are sockets for them once arrived() has resolved.
   */
  async importSessions(
    sealingKey: Uint8Array,
    sealed: readonly Uint8Array[],
    names: readonly string[] | undefined,
  ): Promise<(number | Refusal)[]> {
    const verdicts = this.#import(sealingKey, sealed, { validity: 'by-table', names })
    const questions = new ImportQuestions(this.#owner.keys, verdicts, (indexes, peers) => {
      const theirs = names && indexes.map((at) => names[at] as string)
      const vouched = indexes.map((at) => sealed[at] as Uint8Array)
      return this.#import(sealingKey, vouched, { validity: 'vouched', names: theirs, peers })
    })
    this.#asked.add(questions)
    await questions.answered
    this.#asked.delete(questions)
    return verdicts as (number | Refusal)[]
  }

  /** Resolves when there is a socket for every session that came from a row. */
  arrived(): Promise<void> {
    if (this.#arriving.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onArrival.push(resolve))
  }

  /** Has made the sockets when it returns; those of rows come later, see arrived(). */
  #import(
    sealingKey: Uint8Array,
    sealed: readonly Uint8Array[],
    { validity, names, peers }: ImportTerms<Peer>,
  ): NativeVerdict[] {
    if (this.#closed) return sealed.map(() => 'elsewhere')
    const { native } = this.thread
    const told = native.importSessions(this.number, sealingKey, sealed, validity, names)
    return sealed.map((_, index) => {
      const verdict = told[2 * index] as NativeVerdict
      const opened = told[2 * index + 1] as NativeOpenedSession | undefined
      if (typeof verdict !== 'number') return verdict
      this.#rememberPeer(verdict, peers?.[index])
      if (opened === undefined) this.#arriving.add(verdict)
      else shielded(() => this.onOpened(verdict, opened))
      return verdict
    })
  }

  #rememberPeer(session: number, peer: Peer | undefined): void {
    if (peer === undefined) return
    this.#lookups.set(session, { cancel: () => {}, peer, error: undefined })
  }

  #tellArrival(): void {
    if (this.#arriving.size > 0) return
    for (const resolve of this.#onArrival.splice(0)) resolve()
  }

  // ---- from the I/O thread ------------------------------------------------------------------------

  /** @internal */
  onQuestion(session: number, question: NativeSessionQuestion): void {
    // The rest of a batch in which a listener closed the server.
    if (this.#closed) return
    const { native } = this.thread
    // Of an identity that the client offered before this one (RFC 8446 section 4.2.11): should none be
    // known, what failed is why.
    const error = this.#lookups.get(session)?.error
    const lookup: Lookup<Peer> = { cancel: () => {}, peer: undefined, error }
    this.#lookups.set(session, lookup)
    const { number, remoteAddress, remotePort } = question
    const settled = (): void => this.#admission.lookupSettled(question.lookup)
    const answered = (answer: LookupAnswer<Peer>): void => {
      if ('key' in answer) {
        const { key, hash, imported, peer } = answer
        lookup.peer = peer
        native.answer(this.number, session, number, { key, hash, imported })
        key.fill(0)
      } else if ('error' in answer) {
        lookup.error ??= answer.error
        native.answer(this.number, session, number, 'failed')
      } else {
        native.answer(this.number, session, number, unknownAnswer(answer))
      }
    }
    const asker = { remoteAddress, remotePort }
    lookup.cancel = this.#owner.keys.ask(question, asker, answered, settled)
  }

  /** @internal */
  onOpened(session: number, opened: NativeOpenedSession): void {
    if (this.#closed) return
    const lookup = this.#lookups.get(session)
    this.#lookups.delete(session)
    if (this.#goneEarly.delete(session)) return
    if (this.#arriving.delete(session)) this.#tellArrival()
    const socket = new DtlsSocket<Peer>()
    this.sockets.set(session, socket)
    tellSocket.attached(socket, this.#home, session)
    const [, identity] = opened
    const peer = lookup ? lookup.peer : this.#owner.keys.peerOf(identity)
    tellSocket.opened(socket, opened, peer)
    this.#owner.onSession(socket)
  }

  /** @internal */
  onMessage(session: number, message: Buffer): void {
    const socket = this.sockets.get(session)
    if (socket && tellSocket.message(socket, message)) this.#batched.add(socket)
  }

  /** @internal */
  onBatchEnd(): void {
    if (this.#batched.size === 0) return
    const sockets = [...this.#batched]
    this.#batched.clear()
    for (const socket of sockets) tellSocket.batchEnd(socket)
  }

  /** @internal */
  onEnded(session: number, ending: NativeEnding | undefined): void {
    if (this.#arriving.delete(session)) {
      this.#lookups.delete(session)
      this.#tellArrival()
    }
    const socket = this.sockets.get(session)
    if (socket) tellSocket.ended(socket, ending?.failure && toError(ending.failure))
  }

  /** @internal */
  onRow(session: number, [name, sealed]: NativeRow, awaited: boolean): void {
    const { rows } = this.#owner
    if (this.#closed || !rows) return
    if (sealed.length === 0) rows.remove(name)
    else rows.put(name, sealed, session, this, awaited)
  }

  /** @internal */
  rowsWritten(sessions: Uint32Array): void {
    if (!this.#closed) this.thread.native.rowsWritten(this.number, sessions)
  }

  /** @internal */
  onRefused(session: number, { failure, remoteAddress, remotePort }: NativeEnding): void {
    const lookup = this.#lookups.get(session)
    this.#lookups.delete(session)
    lookup?.cancel()
    const error = lookup?.error ?? (failure ? toError(failure) : closedEarly())
    publishHandshakeError(DTLS_SERVER, () => error, { remoteAddress, remotePort })
    this.#owner.onClientError(error, rinfo(remoteAddress, remotePort))
  }

  /** @internal */
  onKeylog(_session: number, line: Buffer): void {
    this.#owner.onKeylog(line)
  }

  /** @internal */
  onAddressChanged(session: number, remote: NativeRemote): void {
    const socket = this.sockets.get(session)
    if (socket) tellSocket.addressChanged(socket, remote)
  }

  /** @internal */
  onSocketError(error: NativeSystemError): void {
    this.#owner.onSocketError(error)
  }
}

function rinfo(address: string, port: number): RemoteInfo {
  return { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' }
}

function closedEarly(): McbnError {
  return new McbnError('MCBN_HANDSHAKE_FAILED', 'the client closed before the handshake was done')
}
