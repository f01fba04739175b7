// mcbn: everything under one name. Each part is also a separate module: mcbn/tls, mcbn/dtls, mcbn/psk,
// mcbn/consent, mcbn/discovery.

export * as consent from './consent/index.js'
export * as discovery from './discovery/index.js'
export * as dtls from './dtls/index.js'
export type {
  McbnErrorCode,
  McbnErrorJson,
  McbnErrorKind,
  McbnErrorOptions,
} from './errors.js'
export { MCBN_ERROR_KINDS, McbnError } from './errors.js'
export * as psk from './psk/index.js'
export * as tls from './tls/index.js'
