// What a participant remembers of what it did: counters, and lines for the audit. Strangers can cause
// refusals as fast as the network carries them, so those are written up to a rate and counted beyond it.

import { serviceAccountsOf } from '../attestation/platform.js'
import type { AttestedFacts } from '../attestation/types.js'
import type { AuditEntry } from '../audit/events.js'
import type { Clock } from '../base/clock.js'
import type { RefusalCode } from '../release/messages.js'
import type { ParticipantAudit } from './options.js'
import type { ParticipantCounters, RefusedRequest } from './types.js'

const MINUTE_MS = 60_000

export type Count = Exclude<keyof ParticipantCounters, 'refused' | 'auditFailures'>

export class Journal {
  readonly #clock: Clock
  readonly #audit: ParticipantAudit | undefined
  readonly #linesPerMinute: number
  readonly #counters: Record<Count, number> = {
    requests: 0,
    challenges: 0,
    released: 0,
    renewed: 0,
    returned: 0,
    malformed: 0,
    evidenceRefused: 0,
  }
  readonly #refused: Partial<Record<RefusalCode, number>> = {}
  /** Refusals and unreadable messages since the last summary without their own line. */
  #unwritten: Record<string, number> = {}
  #lines = 0
  #cancelSummary: (() => void) | undefined
  #failures = 0
  /** The last append of a line that nobody waits for. */
  #pending: Promise<unknown> = Promise.resolve()

  constructor(clock: Clock, audit: ParticipantAudit | undefined, linesPerMinute: number) {
    this.#clock = clock
    this.#audit = audit
    this.#linesPerMinute = linesPerMinute
  }

  get counters(): ParticipantCounters {
    const refused = { ...this.#refused }
    return { ...this.#counters, refused, auditFailures: this.#failures }
  }

  count(what: Count): void {
    this.#counters[what] += 1
  }

  /** A message that could not be read, or that answered nothing. */
  malformed(): void {
    this.#counters.malformed += 1
    this.#unwrite('malformed')
  }

  /** A refusal so early that nothing is known about who asks. */
  refusedEarly(code: RefusalCode): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1
    this.#unwrite(`refused ${code}`)
  }

  /** A refusal of somebody who showed evidence. */
  refused({ role, code, details, facts }: RefusedRequest): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1
    // A workload that waits for a person asks every few seconds: only its first request has its own line.
    if (code === 'manual') return
    if (this.#lines >= this.#linesPerMinute) return this.#unwrite(`refused ${code}`)
    this.#lines += 1
    this.#summarizeLater()
    this.note({
      type: 'refused',
      role,
      code,
      details,
      ...(facts !== undefined && factsForAudit(facts)),
    })
  }

  /** A line that nothing waits for. */
  note(event: AuditEntry): void {
    this.#pending = this.write(event).catch(() => undefined)
  }

  /** A line that has to be kept before what it tells happens. */
  async write(event: AuditEntry): Promise<void> {
    await this.kept(async () => await this.#audit?.append(event))
  }

  /** Counts where a line that has to be kept is not. */
  async kept<Result>(keep: () => Promise<Result>): Promise<Result> {
    try {
      return await keep()
    } catch (error) {
      this.#failures += 1
      throw error
    }
  }

  /** Writes what is still only counted. */
  async close(event: AuditEntry): Promise<void> {
    this.#summarize()
    this.note(event)
    await this.#pending
  }

  #unwrite(what: string): void {
    this.#unwritten[what] = (this.#unwritten[what] ?? 0) + 1
    this.#summarizeLater()
  }

  #summarizeLater(): void {
    this.#cancelSummary ??= this.#clock.after(MINUTE_MS, () => this.#summarize())
  }

  #summarize(): void {
    this.#cancelSummary?.()
    this.#cancelSummary = undefined
    this.#lines = 0
    const counts = this.#unwritten
    this.#unwritten = {}
    if (Object.keys(counts).length > 0) this.note({ type: 'counted', counts })
  }
}

/** What the audit keeps about a workload: what a person needs to recognise it. No environment. */
export function factsForAudit(facts: AttestedFacts): Omit<AuditEntry, 'type'> {
  const { kind, issuer, hardware, instance, imageDigest, imageReference, project, zone } = facts
  const { args, parts } = facts
  const serviceAccounts = serviceAccountsOf(facts)
  return {
    kind,
    issuer,
    hardware,
    instance,
    imageDigest,
    imageReference,
    project,
    zone,
    serviceAccounts,
    args,
    parts: parts?.map(partForAudit),
  }
}

/** One of several that vouch for a workload. */
function partForAudit({ kind, issuer, instance = '', imageDigest = '' }: AttestedFacts): string {
  return `${kind} of ${issuer}: ${instance} ${imageDigest}`
}
