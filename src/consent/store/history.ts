// What the audit tells a participant that starts again: which shares are still out, what people decided, and
// that it withdrew. Each segment of the audit begins with it, so that those before need not be read.

import { MOST_DECIDED } from '../audit/events.js'
import type { AuditEntry, AuditLine, Carried } from '../audit/log.js'
import { ROLES } from '../descriptor/types.js'
import type { Lease } from './lease.js'
import { instanceKey, outlasting, without } from './lease.js'
import type { ParticipantState } from './state.js'

/** Decisions remembered: more than a state holds, since later ones replace earlier. */
const MOST_DECISIONS = 4_096
/** As many as a state holds. */
const MOST_CARRIED_DECISIONS = 1_024

export class History {
  readonly #leases = new Map<string, Lease>()
  #withdrawn = false
  #installed: string | undefined
  /** When each was decided last; the one decided longest ago first. */
  readonly #decided = new Map<string, number>()

  #created = false

  /** In the order of the lines: all of them, or from a segment's beginning on. */
  hear(line: AuditLine): void {
    if (line.event === 'created') this.#created = true
    if (line.event === 'withdrawn') this.#withdrawn = true
    if (line.event === 'epoch-installed') this.beginEpoch(`${line['descriptorHash']}`)
    if (line.event === 'approved' || line.event === 'refused') this.#decision(line)
    if (line.event === 'lease-ended') this.#returned(line)
    if (line.event === 'checkpoint') this.#begun(line)
    if (line.event === 'carried') this.#carriedDecisions(line)
    if (line.event !== 'released' && line.event !== 'renewed' && line.event !== 'carried') return
    const lease = leaseOf(line)
    const key = lease && instanceKey(lease.role, lease)
    if (lease === undefined || key === undefined) return
    const before = this.#leases.get(key)
    const [release] = lease.releases ?? []
    // Said again by a segment's beginning.
    const known = before?.releases?.some(({ returnHash }) => returnHash === release?.returnHash)
    if (known !== true) this.#leases.set(key, outlasting(lease, before))
  }

  /** What a segment begins with. @param now - milliseconds since 1970. */
  carry(now: number): Carried {
    for (const [key, { expiresAt }] of this.#leases) if (expiresAt <= now) this.#leases.delete(key)
    const lines: Carried['lines'][number][] = []
    for (const { releases, ...lease } of this.#leases.values()) {
      if (releases === undefined) lines.push(lease)
      for (const release of releases ?? []) lines.push({ ...lease, ...release })
    }
    const decided = [...this.#decided].slice(-MOST_CARRIED_DECISIONS)
    for (let at = 0; at < decided.length; at += MOST_DECIDED) {
      const some = decided.slice(at, at + MOST_DECIDED)
      lines.push({ decided: some.map(([id, decidedAt]) => `${id} ${decidedAt}`) })
    }
    const installed = this.#installed
    return {
      lines,
      standing: {
        withdrawn: this.#withdrawn,
        ...(installed !== undefined && { descriptorHash: installed }),
      },
    }
  }

  #begun({ withdrawn, descriptorHash }: AuditLine): void {
    this.#created = true
    this.#withdrawn = withdrawn === true
    if (typeof descriptorHash === 'string') this.#installed = descriptorHash
  }

  #carriedDecisions({ decided }: AuditLine): void {
    if (!Array.isArray(decided)) return
    for (const one of decided) {
      const [id, decidedAt] = `${one}`.split(' ')
      if (id !== undefined) this.#decided.set(id, Number(decidedAt))
    }
  }

  #returned(line: AuditLine): void {
    const { key, returnHash } = returnOf(line)
    const lease = key === undefined ? undefined : this.#leases.get(key)
    if (key === undefined || lease === undefined) return
    const left = without(lease, [returnHash])
    if (left === undefined) this.#leases.delete(key)
    else this.#leases.set(key, left)
  }

  /** Refusals of evidence have no id. */
  #decision({ id, decidedAt }: AuditLine): void {
    if (typeof id !== 'string' || typeof decidedAt !== 'number') return
    this.#decided.delete(id)
    this.#decided.set(id, decidedAt)
    const [oldest] = this.#decided.keys()
    if (this.#decided.size > MOST_DECISIONS && oldest !== undefined) this.#decided.delete(oldest)
  }

  /** Everything so far was about another epoch. @param descriptorHash - hex. */
  beginEpoch(descriptorHash: string): void {
    this.#installed = descriptorHash
    this.#withdrawn = false
    this.#leases.clear()
    this.#decided.clear()
  }

  /** Whether it begins as an audit does: a kill may have torn its very first line. */
  get created(): boolean {
    return this.#created
  }

  /** The epoch that was installed last, by its descriptor's hash, hex. */
  get installed(): string | undefined {
    return this.#installed
  }

  /** Lines about what was stored by a process that ended before it could write them. */
  missing({ decisions, withdrawal }: ParticipantState): readonly AuditEntry[] {
    const lines: AuditEntry[] = decisions
      .filter(({ id, decidedAt }) => this.#decided.get(id) !== decidedAt)
      .map((decision) => ({ type: decision.decision, ...decision }))
    if (withdrawal === undefined || this.#withdrawn) return lines
    return [...lines, { type: 'withdrawn', withdrawnAt: withdrawal.withdrawnAt }]
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

/** Whose release a line `lease-ended` gives back. */
export function returnOf(line: AuditLine): {
  readonly key: string | undefined
  readonly returnHash: string
} {
  const role = ROLES.find((known) => known === line['role'])
  const text = (name: string) => (typeof line[name] === 'string' ? line[name] : '')
  const name = { issuer: text('issuer'), project: text('project'), instance: text('instance') }
  return { key: role && instanceKey(role, name), returnHash: text('returnHash') }
}

/** The lease that a line `released`, `renewed` or `carried` tells of. */
export function leaseOf(line: AuditLine): Lease | undefined {
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
