// The typed mirror of native/binding/io_thread_wrap: an I/O thread with DTLS endpoints on it.
//
// JavaScript numbers endpoints, the addon numbers the sessions of an endpoint. What happens comes back in
// batches: rows of five uint32 { kind, endpoint, session, a, b }, one slab of message bytes, details.

import type { DtlsVersion } from '../psk/types.js'
import type {
  NativeAnswer,
  NativeContext,
  NativeCredential,
  NativeFailure,
  NativeQuestion,
} from './contract.js'
import type { NativeEndpointStats, NativeSessionFigures, NativeUdpFigures } from './figures.js'

/** Kinds of rows; native/engine/event.h has the same numbers. */
export const EVENT = {
  /** a, b: offset and length in the slab. */
  message: 1,
  /** a (here and below): index of the detail, a NativeOpenedSession. */
  opened: 2,
  /** A NativeSessionQuestion. */
  question: 3,
  /** A NativeEnding, of a session that was open; NO_DETAIL: the peer said close_notify. */
  ended: 4,
  /** A NativeEnding, of a handshake. */
  refused: 5,
  /** A Buffer with one line. */
  keylog: 6,
  /** The endpoint has got as far as notifyAt() asked. */
  progress: 7,
  /** A NativeSystemError. */
  socketError: 8,
  /** A NativeRemote: where a server's peer is now. */
  addressChanged: 9,
  /** A NativeRow: for the session store. b: 1 where something waits until it is written. */
  row: 10,
} as const

export const EVENT_ROW_LENGTH = 5
/** In place of an index. */
export const NO_DETAIL = 0xff_ff_ff_ff

/**
 * Bytes around each message in a frame: room for a record's header and tag. The last twelve bytes before the
 * message are { endpoint, session, length }, uint32 of the machine's byte order; rows begin at multiples of
 * four. native/record/message_room.h has the same numbers.
 */
export const FRAME = { before: 32, behind: 20 } as const

export interface NativeRemote {
  readonly remoteAddress: string
  readonly remotePort: number
}

/** What was agreed on: one object for all sessions that agreed on the same. */
export interface NativeTerms {
  readonly protocol: DtlsVersion
  /** OpenSSL's name, for example `PSK-AES128-CCM8`; with DTLS 1.3 the RFC's. */
  readonly cipher: string
  /** The RFC's name, for example `TLS_PSK_WITH_AES_128_CCM_8`. */
  readonly standardCipher: string
  /** Empty when none was agreed. */
  readonly alpn: string
  readonly servername: string
  /** Bytes of the largest message that fits one datagram. */
  readonly maxMessage: number
}

/** The identity's bytes come as latin1 text: a Buffer would cost more than the rest. */
export type NativeOpenedSession = readonly [
  terms: NativeTerms,
  identity: string,
  remoteAddress: string,
  remotePort: number,
  /** Absent unless records have IDs in one direction or both. */
  connectionId?: NativeConnectionId,
]

/** What records carry (RFC 9146), as latin1 text, empty where they do not. */
export type NativeConnectionId = readonly [
  /** In records to us. */
  local: string,
  /** In records to the peer. */
  remote: string,
  /** Both sides do the return routability check (RFC 9853). */
  returnRoutability: boolean,
]

export interface NativeSessionQuestion extends NativeQuestion, NativeRemote {
  /** A server's: the number to say once the lookup has settled; 0 for a client's. */
  readonly lookup: number
}

export interface NativeEnding extends NativeRemote {
  /** Absent: the peer said close_notify. */
  readonly failure?: NativeFailure
}

/** A system call's error, named as Node names them. */
export interface NativeSystemError {
  readonly code: string
  readonly syscall: string
  readonly errno: number
}

/** What a session store shall have under a name (16 bytes as latin1 text) from now on; empty: nothing. */
export type NativeRow = readonly [name: string, sealed: Buffer]

/** A session that was imported (its number), why it was not, or whom to ask about its identity first. */
export type NativeVerdict = number | string | NativeSessionQuestion

/** Which sessions leave: those whose messages have all been told, or all. */
export type NativeLeaving = 'heard' | 'all'

/** How an endpoint leaves its peers: with close_notify, or silently, for another process goes on. */
export type NativeFarewell = 'goodbye' | 'handover'

/** What says that an imported session's identity has a key: the table, or our caller, who has asked the lookup. */
export type NativeKeyValidity = 'by-table' | 'vouched'

export type NativeBound =
  | {
      readonly address: string
      readonly port: number
      readonly family: 'IPv4' | 'IPv6'
      /** Of a server's first socket, of several: whether others can share its address. */
      readonly balanced?: boolean
    }
  | { readonly error: NativeSystemError }

export interface NativeUdpOptions {
  readonly reusePort: boolean
  readonly ipv6Only: boolean
  /** Bytes; 0: the system's default. */
  readonly recvBufferSize: number
  readonly sendBufferSize: number
}

export interface NativeDtlsOptions {
  /** Bytes of UDP payload. */
  readonly mtu: number
  /** Milliseconds; 0: never. */
  readonly handshakeTimeout: number
  /** Milliseconds; 0: by round trip. */
  readonly retransmitTimeout: number
  /** Milliseconds; 0: never. */
  readonly idleTimeout: number
  /** Records; not used on OpenSSL's record layer. */
  readonly replayWindow: number
  /** Records that are not authentic; 0: any number. Not used on OpenSSL's record layer. */
  readonly forgeryLimit: number
  /** Bytes of the connection IDs in records to us, 0 for none; -1: no IDs in either direction. */
  readonly connectionId: number
  /** Keep sessions on OpenSSL's record layer. */
  readonly opensslRecords: boolean
  /** Microseconds; 0: not at all. */
  readonly busyPoll: number
  readonly keylog: boolean
}

export interface NativeListenOptions extends NativeUdpOptions, NativeDtlsOptions {
  /** A literal address. */
  readonly address: string
  readonly port: number
  /** How many endpoints the server has on this address, 1 to 64. */
  readonly threads: number
  /** Which of them this is; they are opened in this order. */
  readonly threadIndex: number
  readonly cookieSecret: Uint8Array
  /** 32 bytes that seal rows for a session store; empty: there is none. */
  readonly rowKey: Uint8Array
  readonly node?: NativeNodeId
  /** With a NativeFleet only. */
  readonly fleet?: NativeFleetLink
}

/** What connection IDs say of the node that gave them (native/record/node_id.h). */
export interface NativeNodeId {
  readonly node: number
  /** Bytes of it in an ID. */
  readonly nodeBytes: number
  readonly rotation: number
  /** 16 bytes; empty: in the clear. */
  readonly key: Uint8Array
}

/** Where an endpoint listens for other nodes of a fleet. */
export interface NativeFleetLink {
  /** A literal address. */
  readonly address: string
  readonly port: number
  /** Datagrams a second. */
  readonly forwardLimit: number
}

/** What the endpoints of one server know of the other nodes. */
export interface NativeFleet {
  /** Literal addresses; @returns how many of them are. */
  setMembers(members: readonly { readonly address: string; readonly port: number }[]): number
  /** False: this process has as many as it may. */
  takeOver(node: number): boolean
  /** [node, where (undefined: in this process), node, ...] */
  nodes(): readonly (number | { readonly address: string; readonly port: number } | undefined)[]
  /** Undefined before the first endpoint listens. */
  address(): { readonly address: string; readonly port: number } | undefined
}
export type NativeFleetConstructor = new (options: {
  readonly node: number
  /** 32 bytes. */
  readonly key: Uint8Array
}) => NativeFleet

export interface NativeLimits {
  readonly maxSessions: number
  readonly maxHandshakes: number
  /** 0: no limit. */
  readonly maxSessionsPerHost: number
  /** Milliseconds; 0: never. */
  readonly evictAfter: number
}

/** The limits of one server, and what it has of what they limit; its endpoints share it. */
export interface NativeAdmission {
  /** The promise of a lookup has settled: another one may begin. */
  lookupSettled(lookup: number): void
}
export type NativeAdmissionConstructor = new (limits: NativeLimits) => NativeAdmission

export interface NativeResumed {
  readonly sealed: Uint8Array
  readonly sealingKey: Uint8Array
  /** The name (16 bytes) of the session store's row that it is; empty: it is none. */
  readonly row: Uint8Array
}

export interface NativeConnectOptions extends NativeUdpOptions, NativeDtlsOptions {
  readonly address: string
  readonly port: number
  readonly localAddress: string
  readonly localPort: number
  /** Empty: none. */
  readonly servername: string
  /** A sealed session to go on with, instead of a handshake; `address` is empty for its own. */
  readonly resumed?: NativeResumed
  /** 32 bytes that seal rows for a session store; empty: there is none. */
  readonly rowKey: Uint8Array
  /** How the rows' names begin, fewer than 16 bytes. */
  readonly rowPrefix: Uint8Array
  /** Without it the session asks once the server's hint is known. */
  readonly credential?: NativeCredential
  /** What is offered after it, with DTLS 1.3. */
  readonly otherCredentials: readonly NativeCredential[]
}

/**
 * The first `count` rows of the array that the thread was given. `messages`: how many bytes of them lie in the
 * inbox, until the next call; or a Buffer of them where the inbox is too small. That and the details may come
 * several times.
 */
export type OnBatch = (
  count: number,
  messages: number | Buffer,
  details: readonly unknown[] | undefined,
) => void

export interface NativeIoThread {
  /** Binds; `begin` has it receive. */
  listen(
    endpoint: number,
    context: NativeContext,
    options: NativeListenOptions,
    admission: NativeAdmission,
    fleet?: NativeFleet,
  ): NativeBound
  begin(endpoint: number): void
  /** `refused`: the sealed session cannot be taken, why in one word. */
  connect(
    endpoint: number,
    context: NativeContext,
    options: NativeConnectOptions,
  ): NativeBound | { readonly refused: string }
  /** Memory for messages to send, a multiple of four bytes; its index counts from 0. */
  frame(bytes: number): Uint8Array
  /**
   * Sends the messages in the first `length` bytes of a frame. The frame must not be written until released()
   * has come so far, unless it is to be copied.
   * @returns the submission's number, 1 to 2^32 - 1, then from 1 again.
   */
  submit(frame: number, length: number, copy: boolean): number
  /** The newest submission whose frame may be written again; 0: none yet. */
  released(): number
  /** The newest submission of which the system has taken all that was for `endpoint`; 0: none yet. */
  progress(endpoint: number): number
  /** Asks for one progress event of `endpoint` when it has got as far as `submission`. */
  notifyAt(endpoint: number, submission: number): void
  answer(endpoint: number, session: number, question: number, answer: NativeAnswer): void
  /** After what was submitted: new keys for a session of DTLS 1.3, and `both` asks its peer for the same. */
  updateKeys(endpoint: number, session: number, both: boolean): void
  /** After what was submitted: close_notify. No event follows. */
  closeSession(endpoint: number, session: number): void
  /** Ends all its sessions, then the socket; done when it returns. */
  closeEndpoint(endpoint: number, farewell: NativeFarewell): void
  endSessionsOf(endpoint: number, identity: Uint8Array): number
  /** A server's: the peer is known to be there; without effect when it has moved on since. */
  confirmAddress(endpoint: number, session: number, address: string, port: number): void
  setKeylog(endpoint: number, on: boolean): void
  exportKeyingMaterial(
    endpoint: number,
    session: number,
    length: number,
    label: string,
    context: Uint8Array | undefined,
  ): Buffer | null
  /** After what was submitted: takes the session away and seals it; null where it cannot go on elsewhere. */
  exportSession(endpoint: number, session: number, sealingKey: Uint8Array): Buffer | null
  /** The same for so many of a server's: [session, sealed, name of its row, session, ...]. */
  exportSessions(
    endpoint: number,
    sealingKey: Uint8Array,
    most: number,
    leaving: NativeLeaving,
  ): readonly (number | Buffer | string | undefined)[]
  /** Takes so many away, and makes the rows of those that have one: [session, name, sealed, session, ...]. */
  takeRows(endpoint: number, most: number): readonly (number | Buffer | string)[]
  /** The rows last told of these sessions are stored. */
  rowsWritten(endpoint: number, sessions: Uint32Array): void
  /**
   * [verdict, what opened() would tell, verdict, ...]. `names`: `sealed` are rows of these names; nothing is told
   * then, and opened() follows when they have been written anew.
   */
  importSessions(
    endpoint: number,
    sealingKey: Uint8Array,
    sealed: readonly Uint8Array[],
    validity: NativeKeyValidity,
    names?: readonly string[],
  ): readonly (NativeVerdict | NativeOpenedSession | undefined)[]
  endpointStats(endpoint: number): NativeEndpointStats | null
  sessionStats(endpoint: number, session: number): NativeSessionFigures | null
  /** Of an endpoint's socket. Asks the system, so it is no part of what is read when a session ends. */
  udpStats(endpoint: number): NativeUdpFigures | null
  /** Whether it keeps the process alive. It does not at first. */
  ref(): void
  unref(): void
  /** Ends the thread; done when it returns. */
  stop(): void
}

export type NativeIoThreadConstructor = new (
  onBatch: OnBatch,
  rows: Uint32Array,
  inbox: Uint8Array,
) => NativeIoThread
