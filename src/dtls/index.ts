// mcbn/dtls: DTLS 1.2 with pre-shared keys over UDP.

export { connect } from './connect.js'
export { createServer, DtlsServer, type DtlsServerEvents, type DtlsServerStats } from './server.js'
export {
  type Datagram,
  DtlsSocket,
  type DtlsSocketEvents,
  type DtlsSocketStats,
} from './socket.js'
export type {
  DtlsCipher,
  DtlsConnectOptions,
  DtlsOptions,
  DtlsServerOptions,
  RemoteInfo,
} from './types.js'
export { DTLS_DEFAULTS } from './types.js'
