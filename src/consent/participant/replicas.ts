// What the other replicas of a participant do, heard and put into this one's tables.

import type { AuditLine } from '../audit/log.js'
import { leaseOf, returnOf } from '../store/history.js'
import type { Replicas } from '../store/replicas.js'
import type { Approvals } from './approvals.js'
import type { LeaseTable } from './leases.js'
import type { Will } from './will.js'

/** Milliseconds between two looks at what others did, where nothing else makes this one look. */
const LOOK_MS = 1_000

export interface HearingOptions {
  readonly replicas: Replicas
  readonly leases: LeaseTable
  readonly will: Will
  /** Told after something was heard. */
  readonly onHeard: () => void
}

/** Listens from now on. @returns ends it. */
export function hearReplicas({ replicas, leases, will, onHeard }: HearingOptions): () => void {
  for (const line of replicas.recent()) {
    if (line.event === 'pending') will.approvals.announce(line)
  }
  replicas.listen({
    line: (line) => {
      hear(line, leases, will.approvals)
      onHeard()
    },
    state: (state) => {
      will.hear(state)
      onHeard()
    },
  })
  let looking = false
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    // A database that is away is told by the next release; here it is only tried again.
    void replicas
      .refresh()
      .catch(() => undefined)
      .finally(() => {
        looking = false
      })
  }, LOOK_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    replicas.listen({ line: () => undefined, state: () => undefined })
  }
}

function hear(line: AuditLine, leases: LeaseTable, approvals: Approvals): void {
  if (line.event === 'pending') approvals.announce(line)
  if (line.event === 'lease-ended') {
    const { key, returnHash } = returnOf(line)
    const lease = key === undefined ? undefined : leases.of(key)
    if (lease !== undefined) leases.giveBack(lease, [returnHash])
  }
  if (line.event !== 'released' && line.event !== 'renewed') return
  const lease = leaseOf(line)
  if (lease !== undefined) leases.adopt(lease)
}
