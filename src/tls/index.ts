// mcbn/tls: TLS 1.3 and TLS 1.2 with pre-shared keys over TCP or any Duplex.

export { connect } from './connect.js'
export { createServer, TlsServer } from './server.js'
export type { TlsSocketSetup } from './setup.js'
export { TlsSocket } from './socket.js'
export type {
  TcpOptions,
  TlsCipher,
  TlsConnectOptions,
  TlsOptions,
  TlsServerOptions,
  TlsVersion,
} from './types.js'
export { TLS_DEFAULTS } from './types.js'
