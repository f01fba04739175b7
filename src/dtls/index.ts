// mcbn/dtls: DTLS 1.2 and 1.3 with pre-shared keys over UDP.

export { connect } from './connect.js'
export type { Datagram } from './datagram.js'
export type { DtlsServerEvents, DtlsSocketEvents } from './events.js'
export type { DtlsFleet, DtlsFleetMember, DtlsFleetOptions, DtlsNodeIdOptions } from './fleet.js'
export type { DtlsKeyUpdateOptions } from './key-update.js'
export { type CloseOptions, createServer, DtlsServer, type ListenOptions } from './server.js'
export type { DtlsImport, DtlsRefusal, DtlsTransferOptions } from './session-transfer.js'
export { DtlsSocket } from './socket.js'
export type { DtlsDropReason, DtlsServerStats, DtlsSocketStats, DtlsUdpStats } from './stats.js'
export { fileSessionStore } from './store/file-store.js'
export type {
  DtlsSessionStoreOptions,
  SessionStore,
  SessionStoreChange,
} from './store/types.js'
export { type ValkeySessionStoreOptions, valkeySessionStore } from './store/valkey-store.js'
export type {
  DtlsCipher,
  DtlsCloseReason,
  DtlsConnectionId,
  DtlsConnectOptions,
  DtlsOptions,
  DtlsSealedSession,
  DtlsServerOptions,
  RemoteInfo,
} from './types.js'
export { DTLS_DEFAULTS } from './types.js'
export type { DtlsGroup, DtlsPskMode, DtlsVersionOptions } from './versions.js'
