// Whether a workload gets the share: what its evidence proves, what the policy allows, what the people
// behind this participant want, and how many have it already. In the order of CONSENT.md, Release, step 4.

import { McbnError } from '../../errors.js'
import { refused } from '../attestation/refuse.js'
import { evidenceOfSeveral, jointFacts, SEVERAL } from '../attestation/several.js'
import type { AttestedFacts, Evidence, Verifier } from '../attestation/types.js'
import type { Clock } from '../base/clock.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Role } from '../descriptor/types.js'
import { POLICY_DEFAULTS } from '../policy/defaults.js'
import { evaluatePolicy } from '../policy/evaluate.js'
import type { SignedImages } from '../policy/signed-images.js'
import type { Policy } from '../policy/types.js'
import type { ReleaseHeader, ReleaseRequest } from '../release/messages.js'
import { audience, releaseNonce } from '../release/nonce.js'
import { instanceKey } from '../store/lease.js'
import { type Approvals, requestId } from './approvals.js'
import type { LeaseTable, Reservation } from './leases.js'
import { BUSY_RETRY_SECONDS, type Objection, releaseHeader } from './terms.js'
import type { PendingRequest } from './types.js'

/**
 * Seconds after which a workload that waits for a person asks again, at least and at most: half of what it has waited,
 * so that it adds no more than that to the time the person takes.
 */
const MANUAL_RETRY_SECONDS = [2, 10] as const

export interface JudgeOptions {
  readonly descriptor: VerifiedDescriptor
  readonly label: string
  readonly policy: Policy
  /** Images that signatures approve. */
  readonly signedImages?: SignedImages | undefined
  readonly verifiers: Iterable<Verifier>
  readonly clock: Clock
  readonly approvals: Approvals
  readonly leases: LeaseTable
  /** Whether the participant gives its share to anybody at all now. */
  readonly standing: () => Objection | undefined
  /** Told about everyone who is sent to wait for a person. */
  readonly onPending: (request: PendingRequest) => void
}

/** A yes: a place for the instance, and the terms. */
export interface Consent {
  readonly reservation: Reservation
  readonly header: ReleaseHeader
}

export class Judge {
  #options: JudgeOptions
  readonly #dh: Buffer
  #verifiers: ReadonlyMap<string, Verifier>

  constructor(options: JudgeOptions) {
    this.#options = options
    this.#dh = options.descriptor.hash
    this.#verifiers = byKind(options.verifiers)
  }

  /** From now on these hold; what is being judged is judged by them from its next step on. */
  replace(
    policy: Policy,
    verifiers: Iterable<Verifier>,
    signedImages: SignedImages | undefined,
  ): void {
    this.#options = { ...this.#options, policy, signedImages }
    this.#verifiers = byKind(verifiers)
  }

  /** Signature, algorithm, issuer, key; audience; nonce; times: the verifier of that kind says. */
  async verify(
    c: Uint8Array,
    { role, r, suite, pk }: ReleaseRequest,
    evidence: Evidence,
  ): Promise<AttestedFacts | (Objection & { readonly unproven: boolean })> {
    const { descriptor, label, clock } = this.#options
    const expected = {
      audience: audience(descriptor.descriptor.network, label),
      nonce: releaseNonce({ dh: this.#dh, role, label, c, r, suite, pk }),
      now: clock.wall(),
    }
    try {
      const facts: AttestedFacts[] = []
      for (const [verifier, piece] of this.#pieces(role, evidence)) {
        facts.push(await verifier.verify(piece, expected))
      }
      return jointFacts(facts)
    } catch (error) {
      // One with a cause is about this end: keys that could not be fetched say nothing about the evidence.
      const isRefusal = error instanceof McbnError && error.code === 'MCBN_EVIDENCE_REFUSED'
      if (isRefusal && error.cause === undefined) {
        return { code: 'policy', details: [error.message], unproven: true }
      }
      const reason = error instanceof Error ? error.message : String(error)
      const details = [`could not verify: ${reason}`]
      return { code: 'busy', retryAfter: BUSY_RETRY_SECONDS, details, unproven: false }
    }
  }

  /**
   * What is judged: the evidence itself, or, of several, what the policy names for this role. The rest proves
   * nothing here and cannot harm: another participant asks for it.
   *
   * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`.
   */
  #pieces(role: Role, evidence: Evidence): readonly (readonly [Verifier, Evidence])[] {
    const isSeveral = evidence.kind === SEVERAL
    const named = this.#options.policy.roles[role]?.attestation ?? []
    const shown = isSeveral ? evidenceOfSeveral(evidence) : [evidence]
    const pieces = shown.flatMap((piece) => {
      const verifier = this.#verifiers.get(piece.kind)
      const isAsked = verifier !== undefined && (!isSeveral || named.includes(piece.kind))
      return isAsked ? [[verifier, piece] as const] : []
    })
    if (pieces.length > 0) return pieces
    throw refused('kind', 'expected one that the policy names, got another one')
  }

  /** All that follows from facts. One step, nothing awaited: two rounds cannot get between each other. */
  consent(role: Role, facts: AttestedFacts): Consent | Objection {
    const { policy, descriptor, clock, leases, standing, signedImages } = this.#options
    const now = clock.wall()
    const verdict = evaluatePolicy(policy, {
      ...{ role, facts, now, descriptor },
      ...(signedImages !== undefined && { signed: signedImages }),
    })
    if (!verdict.allowed) return verdict
    const objection = standing() ?? this.approval(role, facts)
    if (objection !== undefined) return objection
    const header = releaseHeader(policy, descriptor.descriptor, now)
    if ('code' in header) return header
    const key = instanceKey(role, facts)
    if (key === undefined) {
      return { code: 'policy', details: ['instance: expected an attested one, to count it by'] }
    }
    const reservation = leases.reserve(key, role, this.#most(role))
    return reservation === undefined ? this.#full(role) : { reservation, header }
  }

  /** Whether leases that others gave in this participant's name leave no place for an instance. */
  crowded(role: Role, facts: AttestedFacts): Objection | undefined {
    const key = instanceKey(role, facts) ?? ''
    return this.#options.leases.fits(key, role, this.#most(role)) ? undefined : this.#full(role)
  }

  #most(role: Role): number {
    return this.#options.policy.roles[role]?.instances ?? POLICY_DEFAULTS.instances
  }

  #full(role: Role): Objection {
    const most = this.#most(role)
    const details = [`instances: expected at most ${most} of role ${role} at once, got one more`]
    const now = this.#options.clock.wall()
    return { code: 'policy', retryAfter: this.#secondsUntilFree(role, now), details }
  }

  /** What people have decided; asked again before the share leaves, since deciding takes no lock. */
  approval(role: Role, facts: AttestedFacts): Objection | undefined {
    const { policy, approvals, onPending } = this.#options
    if (policy.roles[role]?.approval !== 'manual') return undefined
    const id = requestId(this.#dh, role, facts)
    const decision = approvals.decision(id)
    if (decision === 'approved') return undefined
    if (decision === 'refused') {
      return { code: 'policy', details: [`a person has refused request ${id}`] }
    }
    const request = approvals.ask(id, role, facts)
    onPending(request)
    const [least, most] = MANUAL_RETRY_SECONDS
    const waited = (request.lastAskedAt - request.firstAskedAt) / 1000
    const retryAfter = Math.min(most, Math.max(least, Math.ceil(waited / 2)))
    return { code: 'manual', retryAfter, details: [`request ${id} waits for a person`] }
  }

  #secondsUntilFree(role: Role, now: number): number {
    const leases = this.#options.leases.list().filter((lease) => lease.role === role)
    // No lease: places are reserved, and in a moment they are leases or free.
    const next = Math.min(...leases.map(({ expiresAt }) => expiresAt))
    return Number.isFinite(next) ? Math.max(1, Math.ceil((next - now) / 1000)) : BUSY_RETRY_SECONDS
  }
}

function byKind(verifiers: Iterable<Verifier>): ReadonlyMap<string, Verifier> {
  return new Map([...verifiers].map((verifier) => [verifier.kind, verifier]))
}
