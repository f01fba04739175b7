// A workload's side of consent: collect it, keep it, and open connections while it lasts.

export type { RetryOptions } from './backoff.js'
export { RETRY_DEFAULTS } from './backoff.js'
export type { Consent } from './insufficient.js'
export { InsufficientConsentError } from './insufficient.js'
export { join } from './join.js'
export type { AdvanceOptions } from './network.js'
export { ADVANCE_DEFAULTS, Network } from './network.js'
export type {
  NetworkDtls,
  NetworkDtlsConnectOptions,
  NetworkDtlsServerOptions,
  NetworkTls,
  NetworkTlsConnectOptions,
  NetworkTlsServerOptions,
} from './openers.js'
export type {
  AskOptions,
  EndReason,
  JoinOptions,
  NetworkEvents,
  ParticipantAddresses,
  ParticipantResolver,
  Progress,
  ProgressState,
  Redundancy,
  WorkloadAudit,
  WorkloadLease,
} from './types.js'
export { JOIN_DEFAULTS } from './types.js'
