// What of a workload is measured: how much consent it has, and for how long.

import type { Network, Progress } from '../consent/workload/index.js'
import type { Definition } from './table.js'

/** A joined network, with what is counted of its events. */
export interface WatchedNetwork {
  readonly network: Pick<Network, 'redundancy' | 'leases' | 'connections' | 'epoch'>
  renewals: number
  ended: boolean
}

export const NETWORK_METRICS: readonly Definition<WatchedNetwork>[] = [
  {
    name: 'workload_consents',
    help: 'Participants whose lease is alive.',
    read: ({ network, ended }) => (ended ? 0 : network.redundancy.have),
  },
  {
    name: 'workload_consents_needed',
    help: 'Leases without which the network ends.',
    read: ({ network }) => network.redundancy.need,
  },
  {
    name: 'workload_participants',
    help: 'Participants of the network.',
    read: ({ network }) => network.redundancy.of,
  },
  {
    name: 'workload_consent_remaining_seconds',
    help: 'Seconds until too few leases are alive, if nobody renews.',
    read: ({ network, ended }) => (ended ? 0 : remaining(network)),
  },
  {
    name: 'workload_renewals_total',
    help: 'Leases renewed.',
    read: ({ renewals }) => renewals,
  },
  {
    name: 'workload_connections',
    help: 'Open sockets of the network.',
    read: ({ network, ended }) => (ended ? 0 : network.connections),
  },
  {
    name: 'workload_epoch',
    help: 'The epoch that new connections use.',
    read: ({ network }) => network.epoch,
  },
  {
    name: 'workload_up',
    help: '1 while the network lasts, 0 once it has ended.',
    read: ({ ended }) => (ended ? 0 : 1),
  },
]

/** The labels of a step with a participant; which participant is not among them. */
export function labelsOf({ state, code }: Pick<Progress, 'state' | 'code'>) {
  return { state, code: `${code ?? ''}` }
}

function remaining({ leases, redundancy }: WatchedNetwork['network']): number {
  const lasts = leases.map((lease) => lease.remaining).sort((a, b) => b - a)
  return (lasts[redundancy.need - 1] ?? 0) / 1_000
}
