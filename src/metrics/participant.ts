// What of a participant is measured. No label, instance or image: who asks is for the audit.

import type { ParticipantServer } from '../consent/participant/http.js'
import type { PendingNotifier } from '../consent/participant/notify/index.js'
import type { Participant } from '../consent/participant/participant.js'
import type { ParticipantCounters } from '../consent/participant/types.js'
import type { Definition, Sample } from './table.js'

/** A participant, and what serves it. */
export interface WatchedParticipant {
  readonly participant: Pick<Participant, 'status' | 'leases' | 'pending' | 'descriptor'>
  readonly server?: Pick<ParticipantServer, 'throttled'> | undefined
  readonly notifier?: Pick<PendingNotifier, 'counters'> | undefined
}

const counter =
  (name: Exclude<keyof ParticipantCounters, 'refused'>) =>
  ({ participant }: WatchedParticipant): number =>
    participant.status().counters[name]

const byName = (label: string, counts: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(counts).map(([name, value]) => [{ [label]: name }, value])

export const PARTICIPANT_METRICS: readonly Definition<WatchedParticipant>[] = [
  {
    name: 'participant_requests_total',
    help: 'Requests for the share that could be read or not.',
    read: counter('requests'),
  },
  {
    name: 'participant_challenges_total',
    help: 'Challenges handed out.',
    read: counter('challenges'),
  },
  {
    name: 'participant_releases_total',
    help: 'Shares released, by whether the instance had a lease already.',
    labels: ['kind'],
    read({ participant }) {
      const { released, renewed } = participant.status().counters
      return [
        [{ kind: 'first' }, released - renewed],
        [{ kind: 'renewal' }, renewed],
      ]
    },
  },
  {
    name: 'participant_returns_total',
    help: 'Leases given back by workloads.',
    read: counter('returned'),
  },
  {
    name: 'participant_refusals_total',
    help: 'Refusals, by the code that the workload was told.',
    labels: ['code'],
    read: ({ participant }) => byName('code', participant.status().counters.refused),
  },
  {
    name: 'participant_malformed_messages_total',
    help: 'Messages that could not be read, or answered no open challenge.',
    read: counter('malformed'),
  },
  {
    name: 'participant_evidence_refused_total',
    help: 'Evidence that did not verify.',
    read: counter('evidenceRefused'),
  },
  {
    name: 'participant_audit_failures_total',
    help: 'Lines that the audit did not take. Anything above 0 needs a person.',
    read: counter('auditFailures'),
  },
  {
    name: 'participant_throttled_requests_total',
    help: 'Requests told to wait, because their source had used up a budget.',
    labels: ['budget'],
    read: ({ server }) => (server === undefined ? [] : byName('budget', server.throttled)),
  },
  {
    name: 'participant_notifications_total',
    help: 'Notifications of waiting requests, by what came of them.',
    labels: ['result'],
    read: ({ notifier }) => (notifier === undefined ? [] : byName('result', notifier.counters)),
  },
  {
    name: 'participant_leases',
    help: 'Leases that are out.',
    labels: ['role'],
    read({ participant }) {
      const counts = { client: 0, server: 0 }
      for (const { role } of participant.leases()) counts[role] += 1
      return byName('role', counts)
    },
  },
  {
    name: 'participant_pending_requests',
    help: 'Requests that wait for a person.',
    read: ({ participant }) => participant.pending().length,
  },
  {
    name: 'participant_withdrawn',
    help: '1 once this participant has withdrawn.',
    read: ({ participant }) => (participant.status().withdrawnSince === undefined ? 0 : 1),
  },
  {
    name: 'participant_descriptor_expiry_timestamp_seconds',
    help: 'When the descriptor ends, in seconds since 1970.',
    read: ({ participant }) => participant.descriptor.descriptor.validity.notAfter,
  },
]
