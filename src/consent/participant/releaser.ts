// From evidence to an answer: judged, sealed, written, and only then given. Where several answer for one
// participant, what counts is asked again once it is known what the others did.

import { McbnError } from '../../errors.js'
import type { AttestedFacts, Evidence } from '../attestation/types.js'
import type { AuditEntry } from '../audit/events.js'
import type { ParticipantKeys } from '../base/keys.js'
import type {
  Refused,
  Release,
  ReleaseEvidence,
  ReleaseHeader,
  ReleaseRequest,
} from '../release/messages.js'
import type { Lease } from '../store/lease.js'
import type { Replicas } from '../store/replicas.js'
import { factsForAudit, type Journal } from './journal.js'
import type { Judge } from './judge.js'
import { leaseOf } from './leases.js'
import { noSuchChallenge, type Refusals, TakenBack } from './refusals.js'
import { type SealedRelease, sealedRelease } from './sealed-release.js'
import { type Objection, unable } from './terms.js'

export interface ReleaserOptions {
  readonly label: string
  readonly dh: Buffer
  readonly judge: Judge
  readonly journal: Journal
  readonly refusals: Refusals
  readonly replicas: Replicas | undefined
  /** What the participant gives away; absent once it has withdrawn or is closed. */
  readonly share: () => Buffer | undefined
  /** What it signs with; absent once it is closed. */
  readonly keys: () => ParticipantKeys | undefined
  readonly standing: () => Objection | undefined
  readonly onReleased: (lease: Lease) => void
}

/** A challenge that is being answered. */
export interface Answered {
  /** 32 bytes. */
  readonly challenge: Buffer
  /** Milliseconds after which it is worth nothing any more. */
  readonly longest: number
}

export class Releaser {
  readonly #options: ReleaserOptions

  constructor(options: ReleaserOptions) {
    this.#options = options
  }

  async answer(answered: Answered, shown: ReleaseEvidence): Promise<Release | Refused> {
    const { judge, journal, refusals, replicas, standing, onReleased } = this.#options
    const { request, evidence } = shown
    const keys = this.#options.keys()
    const facts = await judge.verify(answered.challenge, request, evidence)
    if ('code' in facts) {
      if (facts.unproven) journal.count('evidenceRefused')
      return refusals.late(request, shown, facts, keys)
    }
    const heard = await replicas?.refresh().then(() => undefined, unable)
    if (heard !== undefined) return refusals.late(request, shown, heard, keys, facts)
    const consent = judge.consent(request.role, facts)
    if ('code' in consent) return refusals.late(request, shown, consent, keys, facts)
    const { reservation, header } = consent
    try {
      const { release, hashes } = this.#seal(answered.challenge, request, evidence, header)
      const lease = leaseOf(request.role, facts, header, hashes)
      const line: AuditEntry = {
        type: reservation.renews === undefined ? 'released' : 'renewed',
        releaseId: header.releaseId,
        role: request.role,
        releasedAt: lease.releasedAt,
        expiresAt: lease.expiresAt,
        renewalHash: hashes.renewalHash,
        returnHash: hashes.returnHash,
        renewals: (reservation.renews?.renewals ?? -1) + 1,
        leaseSeconds: header.leaseSeconds,
        tokenHash: release.tokenHash,
        ...factsForAudit(facts),
      }
      // First the line, then the share: what has left must never be missing from the audit.
      await this.#write(line, release.c, answered, request, facts)
      // Withdrawn, closed or refused while something was awaited: the line stays, the share does not leave.
      const objection = standing() ?? judge.approval(request.role, facts)
      if (objection !== undefined) throw new TakenBack(objection)
      onReleased(reservation.commit(lease))
      return release
    } catch (error) {
      reservation.abandon()
      if (error instanceof AnsweredElsewhere) return noSuchChallenge()
      const objection = error instanceof TakenBack ? error.objection : (standing() ?? unable(error))
      return refusals.late(request, shown, objection, this.#options.keys(), facts)
    }
  }

  async #write(
    line: AuditEntry,
    c: string,
    { longest }: Answered,
    { role }: ReleaseRequest,
    facts: AttestedFacts,
  ): Promise<void> {
    const { replicas, journal, judge, standing } = this.#options
    if (replicas === undefined) return await journal.write(line)
    const objection = () => standing() ?? judge.approval(role, facts) ?? judge.crowded(role, facts)
    const kept = await journal.kept(() => replicas.release(line, { c, longest, objection }))
    if (kept === 'spent') throw new AnsweredElsewhere()
    if (kept !== undefined) throw new TakenBack(kept)
  }

  #seal(
    c: Buffer,
    request: ReleaseRequest,
    { token }: Evidence,
    header: ReleaseHeader,
  ): SealedRelease {
    const { label, dh } = this.#options
    const share = this.#options.share()
    const keys = this.#options.keys()
    if (share === undefined || keys === undefined) throw new McbnError('MCBN_INTERNAL', 'stopped')
    return sealedRelease({ share, keys, label, dh, c, request, token, header })
  }
}

/** Its challenge was answered by a release already, at another replica. */
class AnsweredElsewhere extends Error {}
