// What the addon counts. The tables are zeros; the types come from them, and a test compares the names with
// the addon's own (native/binding/figures.cc).

/** Of a UDP socket and the thread that reads it. */
export interface NativeUdpFigures {
  /** Whether the system takes whole trains of datagrams to send (UDP_SEGMENT, "GSO"). */
  readonly segmentation: boolean
  /** Whether it hands over whole trains of received ones (UDP_GRO). */
  readonly coalescing: boolean
  /** Bytes of the system's buffers as it reports them; Linux doubles what was asked for. */
  readonly recvBufferSize: number
  readonly sendBufferSize: number
  /** Bytes, about, of messages that wait for the event loop to take them; beyond 64 MB they are dropped. */
  readonly bytesWaiting: number
}

export const NO_UDP_FIGURES: NativeUdpFigures = {
  segmentation: false,
  coalescing: false,
  recvBufferSize: 0,
  sendBufferSize: 0,
  bytesWaiting: 0,
}

/** Records that went no further, by reason. */
const NO_RECORDS_DROPPED = {
  malformed: 0,
  wrongEpoch: 0,
  wrongVersion: 0,
  oversized: 0,
  unexpectedMessage: 0,
  contradiction: 0,
  replayed: 0,
  duplicate: 0,
  flood: 0,
  badMac: 0,
  connectionId: 0,
  unreadable: 0,
  unreserved: 0,
}

/** Why a record went no further. */
export type NativeDropReason = keyof typeof NO_RECORDS_DROPPED

/** Without its UDP socket's. */
export const NO_ENDPOINT_FIGURES = {
  /** Datagrams from anybody, those that were dropped included. */
  datagramsReceived: 0,
  datagramsSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  /** Messages that were decrypted, of all sessions. */
  messagesReceived: 0,
  messagesSent: 0,
  /** Flights of handshakes that were sent again. */
  retransmits: 0,
  /** Cookies handed out, also in HelloRetryRequests of DTLS 1.3. */
  helloVerifyRequests: 0,
  /** Handshakes of clients that have echoed their cookie. */
  handshakesStarted: 0,
  handshakesCompleted: 0,
  handshakesFailed: 0,
  /** Of those that failed: they waited for their client longest, and a newcomer needed the place. */
  handshakesDisplaced: 0,
  /** Sessions now, handshakes included. */
  sessions: 0,
  /** Sessions that were ended for a newcomer (`evictAfter`). */
  evictions: 0,
  /** Moves of peers with a connection ID. */
  addressChanges: 0,
  /** Addresses that did not answer the return routability check: the session stayed where it was. */
  addressChecksFailed: 0,
  /** In a fleet: datagrams of clients, sent on to the node that their connection ID names. */
  forwarded: 0,
  /** The same, received from the nodes that they had reached. */
  receivedForwarded: 0,
  /** Answers, sent through the node that the client had reached. */
  answersForwarded: 0,
  /** The same of other nodes, sent to clients from here. */
  answersRelayed: 0,
  /**
   * What was dropped, by reason: datagrams (`unknownPeer`, `unknownConnectionId`, `badCookie`, `limit`,
   * `sends`, `unconfirmedAddress`), messages and `clientError`s that JavaScript did not take in time
   * (`messages`, `refusals`), messages that were not sent because the session store had not taken their
   * record numbers (`unreservedSends`), what was for a node that nobody knows (`unknownNode`), what came from
   * other nodes and was not authentic, seen before, older than 30 s or for another node (`forwardForged`,
   * `forwardReplayed`, `forwardStale`, `forwardMisdirected`), what the limit or a full buffer kept from other nodes
   * (`forwardLimit`, `forwardSends`), and records (`badMac`, `replayed`, `flood`, ...).
   */
  dropped: {
    unknownPeer: 0,
    unknownConnectionId: 0,
    unconfirmedAddress: 0,
    badCookie: 0,
    limit: 0,
    refusals: 0,
    messages: 0,
    sends: 0,
    unreservedSends: 0,
    unknownNode: 0,
    forwardForged: 0,
    forwardReplayed: 0,
    forwardStale: 0,
    forwardMisdirected: 0,
    forwardLimit: 0,
    forwardSends: 0,
    ...NO_RECORDS_DROPPED,
  },
}

/** Without its UDP socket's. */
export const NO_SESSION_FIGURES = {
  datagramsReceived: 0,
  datagramsSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  messagesReceived: 0,
  messagesSent: 0,
  retransmits: 0,
  keyUpdatesSent: 0,
  keyUpdatesReceived: 0,
  /** Messages that JavaScript did not take in time. */
  undelivered: 0,
  recordsDropped: 0,
  recordsDroppedBy: NO_RECORDS_DROPPED,
}

type Figures<Zeros> = {
  readonly [Name in keyof Zeros]: Zeros[Name] extends object ? Figures<Zeros[Name]> : number
}

export type NativeSessionFigures = Figures<typeof NO_SESSION_FIGURES>

export interface NativeEndpointStats extends Figures<typeof NO_ENDPOINT_FIGURES> {
  readonly udp: NativeUdpFigures
}
