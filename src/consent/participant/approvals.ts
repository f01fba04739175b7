// A person's consent: who waits for it, and what was decided. Only workloads whose evidence is valid and
// whose facts the policy allows get here, so strangers cannot fill it; it is bounded all the same.

import { createHash } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { CONFIDENTIAL_SPACE, serviceAccountsOf } from '../attestation/platform.js'
import type { AttestedFacts } from '../attestation/types.js'
import type { AuditLine } from '../audit/log.js'
import type { Clock } from '../base/clock.js'
import { ROLES, type Role } from '../descriptor/types.js'
import type { Decision } from '../store/state.js'
import type { PendingRequest } from './types.js'

/** Decisions kept; beyond it the oldest refusals go, and then nothing more is decided. */
const MOST_DECISIONS = 1_024

type Waiting = Pick<Decision, 'role' | 'instance' | 'imageDigest'>

export interface ApprovalsOptions {
  readonly clock: Clock
  /** Most requests that wait; beyond it, the one that has been silent for longest goes. */
  readonly capacity: number
  readonly decisions: Iterable<Decision>
}

export class Approvals {
  readonly #clock: Clock
  readonly #capacity: number
  /** The one silent for longest first. */
  readonly #pending = new Map<string, PendingRequest>()
  readonly #decisions = new Map<string, Decision>()
  /** The requests that wait at another replica, as far as a decision needs it. */
  readonly #announced = new Map<string, Waiting>()

  constructor({ clock, capacity, decisions }: ApprovalsOptions) {
    this.#clock = clock
    this.#capacity = capacity
    for (const decision of decisions) this.#decisions.set(decision.id, decision)
  }

  /** What was decided, as far as it still holds. */
  decision(id: string): Decision['decision'] | undefined {
    const decision = this.#decisions.get(id)
    if (decision?.expiresAt !== undefined && decision.expiresAt <= this.#clock.wall()) {
      return undefined
    }
    return decision?.decision
  }

  /** Notes that a workload asks; `times` is 1 when it is new. */
  ask(id: string, role: Role, facts: AttestedFacts): PendingRequest {
    const now = this.#clock.wall()
    const before = this.#pending.get(id)
    const request: PendingRequest = {
      id,
      role,
      facts,
      firstAskedAt: before?.firstAskedAt ?? now,
      lastAskedAt: now,
      times: (before?.times ?? 0) + 1,
    }
    this.#pending.delete(id)
    this.#pending.set(id, request)
    for (const silent of this.#pending.keys()) {
      if (this.#pending.size <= this.#capacity) break
      this.#pending.delete(silent)
    }
    return request
  }

  /** Somebody waits at another replica: it can be decided here too. */
  announce(line: AuditLine): void {
    const { id, instance = '', imageDigest = '' } = line
    const role = ROLES.find((known) => known === line['role'])
    if (role === undefined || typeof id !== 'string') return
    this.#announced.delete(id)
    this.#announced.set(id, { role, instance: `${instance}`, imageDigest: `${imageDigest}` })
    for (const oldest of this.#announced.keys()) {
      if (this.#announced.size <= this.#capacity) break
      this.#announced.delete(oldest)
    }
  }

  /** Ids that can be decided and begin like this. */
  beginningWith(digits: string): readonly string[] {
    const known = [this.#pending, this.#announced, this.#decisions].flatMap((ids) => [
      ...ids.keys(),
    ])
    return [...new Set(known)].filter((id) => id.startsWith(digits))
  }

  /** Whether somebody else has noted that it waits. */
  isAnnounced(id: string): boolean {
    return this.#announced.has(id)
  }

  /**
   * What the decisions would be after this one; nothing changes until {@link adopt}, so that a decision
   * that cannot be stored is not made.
   *
   * @param seconds - how long it holds; absent: until it is decided otherwise.
   * @throws {McbnError} `MCBN_OPTION_RANGE` for an id that neither waits nor was decided.
   */
  decide(id: string, decision: Decision['decision'], seconds?: number): readonly Decision[] {
    const pending = this.#pending.get(id)
    const before = this.#decisions.get(id)
    const known = pending === undefined ? (before ?? this.#announced.get(id)) : who(pending)
    if (known === undefined) {
      throw new McbnError(
        'MCBN_OPTION_RANGE',
        'id: expected the id of a waiting request or of an earlier decision, got neither; list them and copy the whole id',
      )
    }
    const now = this.#clock.wall()
    const { role, instance, imageDigest } = known
    const made: Decision = {
      id,
      decision,
      role,
      instance,
      imageDigest,
      decidedAt: now,
      ...(seconds !== undefined && { expiresAt: now + seconds * 1000 }),
    }
    const kept = [...this.#decisions.values()].filter(
      (old) => old.id !== id && (old.expiresAt === undefined || old.expiresAt > now),
    )
    return bounded([...kept, made])
  }

  /** From now on these hold. */
  adopt(decisions: readonly Decision[]): void {
    this.#decisions.clear()
    for (const decision of decisions) {
      this.#decisions.set(decision.id, decision)
      this.#pending.delete(decision.id)
    }
  }

  /** The requests that wait, the latest first. */
  pending(): readonly PendingRequest[] {
    return [...this.#pending.values()].reverse()
  }

  /** Decisions that still hold, the latest first. */
  decisions(): readonly Decision[] {
    return [...this.#decisions.values()].filter(({ id }) => this.decision(id)).reverse()
  }

  clear(): void {
    this.#pending.clear()
    this.#decisions.clear()
  }
}

/**
 * What an approval is for. Everything that a person is shown and that could be dangerous is part of it:
 * the same machine started again with another environment has to ask again.
 */
export function requestId(descriptorHash: Uint8Array, role: Role, facts: AttestedFacts): string {
  // One alone has the list that it always had: an old approval holds on.
  const about =
    facts.parts === undefined
      ? aboutOne(role, facts)
      : [role, facts.kind, ...facts.parts.map((part) => aboutOne(role, part))]
  // Lists in a fixed order have one spelling in JSON, whatever a token's text holds.
  return createHash('sha256')
    .update(lengthPrefixed('mcbn/1 approval'))
    .update(lengthPrefixed(descriptorHash))
    .update(JSON.stringify(about))
    .digest('hex')
}

function aboutOne(role: Role, facts: AttestedFacts): readonly unknown[] {
  return [
    role,
    facts.kind,
    facts.issuer,
    facts.instance,
    facts.project,
    facts.imageDigest,
    facts.args,
    sortedPairs(facts.env),
    facts.overriddenArgs,
    sortedPairs(facts.overriddenEnv),
    ...platformParts(facts),
  ]
}

/** Of Confidential Space what an approval has always been for: an old one holds on. Of others all they say. */
function platformParts(facts: AttestedFacts): readonly unknown[] {
  const { name, claims } = facts.platform
  const accounts = [...serviceAccountsOf(facts)].sort()
  if (name === CONFIDENTIAL_SPACE) return [accounts]
  return [accounts, name, sortedPairs(new Map(Object.entries(claims)))]
}

function sortedPairs<Value>(
  map: ReadonlyMap<string, Value>,
): readonly (readonly [string, Value])[] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : 1))
}

function who({ role, facts }: PendingRequest): Waiting {
  return { role, instance: facts.instance ?? '', imageDigest: facts.imageDigest ?? '' }
}

/** Approvals are never dropped silently: somebody relies on them. */
function bounded(decisions: Decision[]): readonly Decision[] {
  while (decisions.length > MOST_DECISIONS) {
    const oldest = decisions.findIndex(({ decision }) => decision === 'refused')
    if (oldest === -1 || oldest === decisions.length - 1) {
      throw new McbnError(
        'MCBN_OPTION_RANGE',
        `decisions: expected at most ${MOST_DECISIONS}, got one more; withdraw some approvals first`,
      )
    }
    decisions.splice(oldest, 1)
  }
  return decisions
}
