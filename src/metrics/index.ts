// Figures for Prometheus, and the addresses at which a process tells how it is.

export type { WatchedDtlsServer } from './dtls-server.js'
export type { Metrics, MetricsOptions, Unwatch, WatchOptions } from './metrics.js'
export { createMetrics } from './metrics.js'
export type { WatchedNetwork } from './network.js'
export type { WatchedParticipant } from './participant.js'
export type { OperationsServer, Readiness, ServeOperationsOptions } from './server.js'
export { OPERATIONS_DEFAULTS, serveOperations } from './server.js'
