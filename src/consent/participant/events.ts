// What a participant tells the people behind it.

import type { Withdrawal } from '../release/messages.js'
import type { Lease } from '../store/lease.js'
import type { Decision } from '../store/state.js'
import type { PendingRequest, RefusedRequest } from './types.js'

/** What people may want to hear of; see `Participant`. */
export interface ParticipantEvents {
  /** Somebody waits for a person; `times` is 1 when it is new. */
  pending: [request: PendingRequest]
  released: [lease: Lease]
  /** Evidence was shown and refused; what strangers without evidence do is only counted. */
  refused: [refusal: RefusedRequest]
  decided: [decision: Decision]
  withdrawn: [withdrawal: Withdrawal]
  /** Any of the above, or the end: what status(), pending() or leases() say may be different now. */
  changed: []
}
