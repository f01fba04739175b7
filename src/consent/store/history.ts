// What the audit tells a participant that starts again: which shares are still out, and that it withdrew.

import type { AuditLine } from '../audit/log.js'
import { ROLES } from '../descriptor/types.js'
import type { Lease } from './lease.js'
import { instanceKey, outlasting, without } from './lease.js'

export class History {
  readonly #leases = new Map<string, Lease>()
  #withdrawn = false

  /** In the order of the lines. */
  hear(line: AuditLine): void {
    if (line.event === 'withdrawn') this.#withdrawn = true
    if (line.event === 'epoch-installed') this.beginEpoch()
    if (line.event === 'lease-ended') this.#returned(line)
    if (line.event !== 'released' && line.event !== 'renewed') return
    const lease = leaseOf(line)
    const key = lease && instanceKey(lease.role, lease)
    if (lease === undefined || key === undefined) return
    this.#leases.set(key, outlasting(lease, this.#leases.get(key)))
  }

  #returned(line: AuditLine): void {
    const role = ROLES.find((known) => known === line['role'])
    const text = (name: string) => (typeof line[name] === 'string' ? line[name] : '')
    const name = { issuer: text('issuer'), project: text('project'), instance: text('instance') }
    const key = role && instanceKey(role, name)
    const lease = key === undefined ? undefined : this.#leases.get(key)
    if (key === undefined || lease === undefined) return
    const left = without(lease, [text('returnHash')])
    if (left === undefined) this.#leases.delete(key)
    else this.#leases.set(key, left)
  }

  /** Everything so far was about another epoch. */
  beginEpoch(): void {
    this.#withdrawn = false
    this.#leases.clear()
  }

  /** Whether the epoch that is installed was withdrawn from. */
  get withdrawn(): boolean {
    return this.#withdrawn
  }

  /** @param now - milliseconds since 1970. */
  leases(now: number): readonly Lease[] {
    return [...this.#leases.values()].filter(({ expiresAt }) => expiresAt > now)
  }
}

function leaseOf(line: AuditLine): Lease | undefined {
  const role = ROLES.find((known) => known === line['role'])
  const text = (name: string) => (typeof line[name] === 'string' ? line[name] : '')
  const integer = (name: string) => (typeof line[name] === 'number' ? line[name] : undefined)
  // Lines of earlier builds have it as `issuedAt`; their leases count all the same.
  const releasedAt = integer('releasedAt') ?? integer('issuedAt')
  const expiresAt = integer('expiresAt')
  const renewalHash = text('renewalHash')
  const returnHash = text('returnHash')
  if (role === undefined || releasedAt === undefined || expiresAt === undefined) return undefined
  return {
    releaseId: text('releaseId'),
    role,
    issuer: text('issuer'),
    instance: text('instance'),
    imageDigest: text('imageDigest'),
    project: text('project'),
    releasedAt,
    expiresAt,
    renewals: integer('renewals') ?? 0,
    ...(renewalHash !== '' &&
      returnHash !== '' && { releases: [{ expiresAt, renewalHash, returnHash }] }),
  }
}
