// What DTLS servers and sockets count.

import type { NativeEndpointStats } from '../native/dtls.js'

/** Figures of a server since it began to listen. Bytes are UDP payload. */
export interface DtlsServerStats extends NativeEndpointStats {}

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
  /** Flights of the handshake that were sent again. */
  readonly retransmits: number
  /** Records of the handshake that were not let through to OpenSSL. */
  readonly recordsDropped: number
  /** Messages not taken by `send` and `sendMany`, because four high-water marks were waiting. */
  readonly dropped: number
}

/** Before there is anything to count. */
export const NO_SERVER_STATS: DtlsServerStats = {
  datagramsReceived: 0,
  datagramsSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  helloVerifyRequests: 0,
  handshakesStarted: 0,
  handshakesCompleted: 0,
  handshakesFailed: 0,
  sessions: 0,
  dropped: {},
}

/** The same for a socket, whose `dropped` it counts itself. */
export const NO_SOCKET_STATS = {
  datagramsReceived: 0,
  datagramsSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  messagesReceived: 0,
  messagesSent: 0,
  retransmits: 0,
  recordsDropped: 0,
}
