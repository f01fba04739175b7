// What DTLS servers and sockets count.

import {
  type NativeDropReason,
  type NativeEndpointStats,
  type NativeSessionFigures,
  type NativeUdpFigures,
  NO_ENDPOINT_FIGURES,
  NO_SESSION_FIGURES,
  NO_UDP_FIGURES,
} from '../native/figures.js'
import type { SocketHome } from './socket-home.js'

/** Figures of a server since it began to listen. Bytes are UDP payload. */
export interface DtlsServerStats extends NativeEndpointStats {
  /** I/O threads that run: `ioThreads`, or 1 where the system does not balance. 0 before it listens. */
  readonly ioThreads: number
  /** `sessions` by I/O thread: how evenly the system spreads the clients. */
  readonly sessionsByThread: readonly number[]
}

/** How a UDP socket is doing at this moment. */
export interface DtlsUdpStats extends NativeUdpFigures {}

/**
 * Why a record went no further:
 *
 * - `badMac` not authentic: forged, damaged, or made with other keys
 * - `replayed` seen before, or older than `replayWindow`
 * - `unreadable` on OpenSSL's record layer, which does not say which of the two
 * - `wrongEpoch`, `wrongVersion`, `malformed`, `oversized` not what a DTLS 1.2 peer sends
 * - `unexpectedMessage`, `contradiction`, `flood` no part of a handshake with a pre-shared key
 * - `connectionId` without the connection ID agreed on, or with another
 * - `duplicate` repeats what waits for its key
 * - `unreserved` the `sessionStore` has not taken its number in time
 */
export type DtlsDropReason = NativeDropReason

/** Figures of one session, since it began. Bytes are UDP payload. */
export interface DtlsSocketStats {
  /** Datagrams of this peer, handshake included. */
  readonly datagramsReceived: number
  readonly datagramsSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Messages that were decrypted. */
  readonly messagesReceived: number
  /** Messages that were encrypted and handed to the system. */
  readonly messagesSent: number
  /** Received messages that were lost because a blocked event loop did not take them in time. */
  readonly undelivered: number
  /** Flights of the handshake that were sent again. */
  readonly retransmits: number
  /** How often this side has begun to send with new keys (RFC 9147 section 8); 0 with DTLS 1.2. */
  readonly keyUpdatesSent: number
  /** How often the peer has. */
  readonly keyUpdatesReceived: number
  /** Received records that went no further. */
  readonly recordsDropped: number
  /** The same by reason; every reason is there. */
  readonly recordsDroppedBy: Readonly<Record<DtlsDropReason, number>>
  /** Messages not taken by `send` and `sendMany`, because four high-water marks were waiting. */
  readonly dropped: number
  /** Of the UDP socket, which all sessions of a server share; zeros before and after the session. */
  readonly udp: DtlsUdpStats
}

/** Before there is anything to count. */
export const NO_SERVER_STATS: DtlsServerStats = {
  ...NO_ENDPOINT_FIGURES,
  ioThreads: 0,
  sessionsByThread: [],
  udp: NO_UDP_FIGURES,
}

/** A session's figures. `home`: of a session that goes on; else its socket's are not, or no longer, to be told. */
export function socketStats(
  figures: NativeSessionFigures | undefined,
  dropped: number,
  home: Pick<SocketHome, 'thread' | 'endpoint'> | undefined,
): DtlsSocketStats {
  const udp = home?.thread.native.udpStats(home.endpoint) ?? NO_UDP_FIGURES
  return { ...(figures ?? NO_SESSION_FIGURES), dropped, udp }
}

/** The figures of several endpoints as one: numbers are added, by reason too. */
export function sumStats(each: readonly NativeEndpointStats[]): NativeEndpointStats {
  const [first, ...others] = each
  return others.reduce((sum, stats) => added(sum, stats), first ?? NO_SERVER_STATS)
}

type Figures = { readonly [name: string]: unknown }

function added<Stats extends object>(one: Stats, other: Stats): Stats {
  const sum = Object.entries(one).map(([name, value]) => {
    const another = (other as Figures)[name]
    if (typeof value === 'number') return [name, value + (another as number)]
    // What holds for one thread and not for another does not hold for the server.
    if (typeof value === 'boolean') return [name, value && another]
    return [name, added(value as object, another as object)]
  })
  return Object.fromEntries(sum) as Stats
}
