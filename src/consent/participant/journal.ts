// What a participant remembers of what it did: counters, and lines for the audit. Strangers can cause
// refusals as fast as the network carries them, so those are written up to a rate and counted beyond it.

import type { AttestedFacts } from '../attestation/types.js'
import type { Clock } from '../clock.js'
import type { RefusalCode } from '../release/messages.js'
import type { AuditEvent, ParticipantAudit } from './options.js'
import type { ParticipantCounters, RefusedRequest } from './types.js'

const MINUTE_MS = 60_000
/** Text from evidence is a stranger's: enough to recognise it by, not enough to fill a disk. */
const MOST_TEXT = 1_024
const MOST_ITEMS = 32

export type Count = Exclude<keyof ParticipantCounters, 'refused'>

export class Journal {
  readonly #clock: Clock
  readonly #audit: ParticipantAudit | undefined
  readonly #linesPerMinute: number
  readonly #counters: Record<Count, number> = {
    requests: 0,
    challenges: 0,
    released: 0,
    renewed: 0,
    malformed: 0,
    evidenceRefused: 0,
  }
  readonly #refused: Partial<Record<RefusalCode, number>> = {}
  /** Refusals and unreadable messages since the last summary that have no line of their own. */
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
    return { ...this.#counters, refused: { ...this.#refused } }
  }

  /** Lines that the audit did not take; anything above 0 needs a person. */
  get failures(): number {
    return this.#failures
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
    // Who waits for a person asks every few seconds: that it asked the first time has its own line.
    if (code === 'manual') return
    if (this.#lines >= this.#linesPerMinute) return this.#unwrite(`refused ${code}`)
    this.#lines += 1
    this.#summarizeLater()
    this.note({
      type: 'refused',
      role,
      code,
      details: bounded(details),
      ...(facts !== undefined && factsForAudit(facts)),
    })
  }

  /** A line that nothing waits for. */
  note(event: AuditEvent): void {
    this.#pending = this.write(event).catch(() => undefined)
  }

  /** A line that has to be kept before what it tells happens. */
  async write(event: AuditEvent): Promise<void> {
    try {
      await this.#audit?.append(event)
    } catch (error) {
      this.#failures += 1
      throw error
    }
  }

  /** Writes what is still only counted. */
  async close(event: AuditEvent): Promise<void> {
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

/** What the audit keeps about a workload: what a person needs to recognise it. */
export function factsForAudit(facts: AttestedFacts): Omit<AuditEvent, 'type'> {
  return {
    kind: facts.kind,
    issuer: text(facts.issuer),
    instance: text(facts.instance),
    imageDigest: text(facts.imageDigest),
    imageReference: text(facts.imageReference),
    project: text(facts.project),
    args: bounded(facts.args),
  }
}

function bounded(texts: readonly string[]): readonly string[] {
  return texts.slice(0, MOST_ITEMS).map((item) => text(item) ?? '')
}

/** Well-formed and short, whatever a token's JSON escaped: the audit is canonical JSON. */
function text(value: string | undefined): string | undefined {
  return value?.slice(0, MOST_TEXT).replace(/\p{Surrogate}/gu, '\ufffd')
}
