// Leases survive a restart in the audit, where they are written before a share leaves: a participant that
// forgot them would give its share to more instances than its policy allows.

import type { AuditLine } from '../audit/chain.js'
import { ROLES } from '../descriptor/types.js'
import type { Lease } from './types.js'

/** Listens to the lines of an audit as it is opened and verified, and knows what is still out. */
export class LeaseRecord {
  readonly #leases = new Map<string, Lease>()
  #descriptorHash: unknown

  /** For `AuditLog.open`'s `onLine`: every line, oldest first. */
  readonly hear = (line: AuditLine): void => {
    if (line.event === 'started') {
      // Another epoch has other shares: what was released before is not released by it.
      if (line['descriptorHash'] !== this.#descriptorHash) this.#leases.clear()
      this.#descriptorHash = line['descriptorHash']
      return
    }
    if (line.event !== 'released' && line.event !== 'renewed') return
    const lease = leaseOfLine(line)
    if (lease === undefined) return
    const key = JSON.stringify([lease.role, lease.issuer, lease.project, lease.instance])
    const renewals = (this.#leases.get(key)?.renewals ?? -1) + 1
    this.#leases.delete(key)
    this.#leases.set(key, line.event === 'renewed' ? { ...lease, renewals } : lease)
  }

  /**
   * What has not expired.
   *
   * @param descriptorHash - hex; leases of another descriptor do not count.
   * @param now - milliseconds since 1970.
   */
  running(descriptorHash: string, now: number): readonly Lease[] {
    if (this.#descriptorHash !== descriptorHash) return []
    return [...this.#leases.values()].filter(({ expiresAt }) => expiresAt > now)
  }
}

/** The audit's chain says that nobody has altered the line, not which program has written it. */
function leaseOfLine(line: AuditLine): Lease | undefined {
  const { releaseId, issuer, instance, imageDigest, project = '' } = line
  const role = ROLES.find((known) => known === line['role'])
  const { issuedAt, expiresAt } = line
  if (role === undefined || typeof issuedAt !== 'number' || typeof expiresAt !== 'number') {
    return undefined
  }
  const texts = { releaseId, issuer, instance, imageDigest, project }
  if (Object.values(texts).some((text) => typeof text !== 'string')) return undefined
  return {
    ...(texts as Record<keyof typeof texts, string>),
    role,
    issuedAt,
    expiresAt,
    renewals: 0,
  }
}
