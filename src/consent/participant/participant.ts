// A participant: holds one share, and gives it, sealed, to workloads that prove they are what the policy
// allows. Transport-neutral: messages in, messages out; their carrier (the operator, in the end)
// can read and alter them at will, and gains nothing by it.
//
//   request   -> parse -> refuse, or a challenge              cheap, before anything costly
//   evidence  -> challenge live, spent -> verify -> policy -> consent -> reserve -> seal -> sign -> audit
//
// State     one share, two private keys; challenges, leases and waiting requests, each table bounded
// Order     of the checks: CONSENT.md, Release, step 4. Refusals say a code; the reasons stay here.

import { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import { McbnError } from '../../errors.js'
import { secretCopy } from '../../secret-bytes.js'
import { toBase64url } from '../base/base64url.js'
import { type Clock, systemClock } from '../base/clock.js'
import type { ParticipantKeys } from '../base/keys.js'
import { fromUnixSeconds, toUnixSeconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { parsePolicy } from '../policy/parse.js'
import type { Policy } from '../policy/types.js'
import type {
  Refused,
  Release,
  ReleaseChallenge,
  ReleaseRequest,
  Withdrawal,
} from '../release/messages.js'
import { parseLeaseReturn, parseReleaseEvidence } from '../release/parse.js'
import { signWithdrawal } from '../release/sign.js'
import type { Lease } from '../store/lease.js'
import type { Replicas } from '../store/replicas.js'
import { type Decision, memoryState } from '../store/state.js'
import { Challenges } from './challenges.js'
import { checkParticipant, checkPolicy } from './check.js'
import type { ParticipantEvents } from './events.js'
import { Gate } from './gate.js'
import { Holders } from './holders.js'
import { factsForAudit, Journal } from './journal.js'
import { Judge } from './judge.js'
import { LeaseTable } from './leases.js'
import {
  type NewPolicy,
  type ParticipantLimits,
  type ParticipantOptions,
  refuseUnknownOptions,
  resolveLimits,
  verifiersOf,
} from './options.js'
import { noSuchChallenge, Refusals, readRequest } from './refusals.js'
import { Releaser } from './releaser.js'
import { hearReplicas } from './replicas.js'
import { BUSY_RETRY_SECONDS, type Objection, outsideValidity } from './terms.js'
import type { ParticipantStatus, PendingRequest } from './types.js'
import { Will } from './will.js'

/**
 * Makes a participant.
 *
 * @throws {McbnError} `MCBN_OPTION_CONFLICT` when label, keys and descriptor do not belong together;
 * `MCBN_POLICY_INVALID` for an invalid policy, or another network's; `MCBN_SHARE_INVALID` when the share is not
 * the one that the descriptor commits to; `MCBN_OPTION_RANGE` for limits.
 */
export function createParticipant(options: ParticipantOptions): Participant {
  return new Participant(options)
}

/** See {@link createParticipant}. `util.inspect` and JSON show its status and no secret. */
export class Participant extends EventEmitter<ParticipantEvents> {
  readonly descriptor: VerifiedDescriptor
  readonly label: string
  readonly #dh: Buffer
  #policy: Policy
  #policyHash: string | undefined
  readonly #clock: Clock
  readonly #limits: Required<ParticipantLimits>
  readonly #will: Will
  readonly #journal: Journal
  readonly #challenges: Challenges
  readonly #leases: LeaseTable
  readonly #holders: Holders
  readonly #judge: Judge
  readonly #refusals: Refusals
  readonly #gate: Gate
  readonly #releaser: Releaser
  readonly #replicas: Replicas | undefined
  #unhear: (() => void) | undefined
  #keys: ParticipantKeys | undefined
  #share: Buffer | undefined
  #closing: Promise<void> | undefined

  /** Use {@link createParticipant}. */
  constructor(options: ParticipantOptions) {
    super()
    refuseUnknownOptions(options)
    // Every open page listens, and is bounded where pages are served.
    this.setMaxListeners(64)
    const { descriptor, label, keys } = options
    const policy = parsePolicy(options.policy)
    this.#limits = resolveLimits(options.limits)
    const verifiers = verifiersOf(options.verifiers)
    checkParticipant({ ...options, policy, verifiers })
    this.descriptor = descriptor
    this.label = label
    this.#dh = descriptor.hash
    this.#policy = policy
    this.#policyHash = options.policyHash
    this.#clock = options.clock ?? systemClock
    this.#journal = new Journal(this.#clock, options.audit, this.#limits.refusalsPerMinute)
    this.#will = new Will({
      clock: this.#clock,
      state: options.state ?? memoryState(),
      pending: this.#limits.pending,
      write: (line) => this.#journal.write(line),
    })
    this.#challenges = new Challenges({
      clock: this.#clock,
      seconds: this.#limits.challengeSeconds,
      answered: this.#limits.challenges,
      ...(options.replicas !== undefined && { key: options.replicas.challengeKey }),
    })
    this.#leases = new LeaseTable(this.#clock, options.leases)
    this.#holders = new Holders(this.#leases, this.#journal)
    this.#judge = new Judge({
      descriptor,
      label,
      policy,
      signedImages: options.signedImages,
      verifiers,
      clock: this.#clock,
      approvals: this.#will.approvals,
      leases: this.#leases,
      standing: () => this.#standing(),
      onPending: (request) => this.#asked(request),
    })
    this.#refusals = new Refusals({
      label,
      dh: this.#dh,
      clock: this.#clock,
      journal: this.#journal,
      onRefused: (refused) => this.#tell('refused', refused),
    })
    this.#releaser = new Releaser({
      label,
      dh: this.#dh,
      judge: this.#judge,
      journal: this.#journal,
      refusals: this.#refusals,
      replicas: options.replicas,
      share: () => this.#share,
      keys: () => this.#keys,
      standing: () => this.#standing(),
      onReleased: (lease) => this.#released(lease),
    })
    this.#replicas = options.replicas
    if (options.replicas !== undefined) {
      this.#unhear = hearReplicas({
        replicas: options.replicas,
        leases: this.#leases,
        will: this.#will,
        onHeard: () => {
          if (this.#will.withdrawn) this.#forgetShare()
          queueMicrotask(() => this.emit('changed'))
        },
      })
    }
    this.#gate = new Gate({ active: this.#limits.verifying, waiting: this.#limits.waiting })
    this.#keys = keys
    this.#share = this.#will.withdrawn ? undefined : secretCopy(options.share)
    this.#journal.note({
      type: 'started',
      label,
      network: descriptor.descriptor.network,
      epoch: descriptor.descriptor.epoch,
      descriptorHash: descriptor.hashHex,
      withdrawn: this.#will.withdrawn,
    })
  }

  /**
   * A workload asks (CONSENT.md, Release, steps 1 and 2). Costs a signature at most.
   *
   * @param message - anything; parsed field by field.
   * @throws {McbnError} `MCBN_RELEASE_INVALID` when it cannot be read. Says which field, for the asker.
   */
  request(message: unknown): ReleaseChallenge | Refused {
    this.#journal.count('requests')
    const request = this.#read(() => readRequest(message))
    const objection = this.#stranger(request) ?? this.#standing()
    if (objection !== undefined) return this.#refusals.early(request, objection, this.#keys)
    const { c, expires } = this.#challenges.issue(request)
    this.#journal.count('challenges')
    return { c: toBase64url(c), expires }
  }

  /**
   * A workload answers a challenge (CONSENT.md, Release, steps 3 to 5).
   *
   * @param message - anything; parsed field by field.
   * @throws {McbnError} `MCBN_RELEASE_INVALID` when it cannot be read, or answers no open challenge: it never
   * was one, has expired, or has been answered already. A new request is the way on.
   */
  async evidence(message: unknown): Promise<Release | Refused> {
    const shown = this.#read(() => parseReleaseEvidence(message))
    const { c, request } = shown
    const challenge = this.#challenges.open(c, request) ?? this.#read(noSuchChallenge)
    const renewing = this.#holders.renews(request)
    // Before the challenge is spent: who comes back in a moment needs no new evidence for it.
    if (this.#gate.isFull(renewing)) return this.#refusals.busy()
    this.#challenges.spend(c)
    let released = false
    try {
      const answered = { challenge, longest: this.#challenges.longest }
      const answer = await this.#gate.run(renewing, () => this.#releaser.answer(answered, shown))
      released = !('code' in answer)
      return answer
    } finally {
      this.#challenges.settle(c, released)
    }
  }

  /**
   * A workload is done with its share: the place is free at once, and not only when the lease is over. What is
   * not known, or was given back already, counts for nothing.
   *
   * @param message - anything; parsed field by field.
   * @returns how many of the releases told were out.
   * @throws {McbnError} `MCBN_RELEASE_INVALID` when it cannot be read.
   */
  async giveBack(message: unknown): Promise<{ readonly returned: number }> {
    const parsed = this.#read(() => parseLeaseReturn(message))
    await this.#replicas?.refresh()
    const returned = await this.#holders.giveBack(parsed)
    if (returned > 0) queueMicrotask(() => this.emit('changed'))
    return { returned }
  }

  /**
   * Whether a message proves that it comes from an instance that holds a lease. Cheap, and to be asked before
   * any budget. Never throws.
   */
  isOfHolder(message: unknown): boolean {
    return this.#holders.sent(message)
  }

  status(): ParticipantStatus {
    const { network, epoch, mode, t, participants } = this.descriptor.descriptor
    const withdrawn = this.withdrawal
    return {
      label: this.label,
      network,
      epoch,
      descriptorHash: this.descriptor.hashHex,
      ...(this.#policyHash !== undefined && { policyHash: this.#policyHash }),
      mode,
      t,
      n: participants.length,
      ...(withdrawn !== undefined && { withdrawnSince: fromUnixSeconds(withdrawn.withdrawnAt) }),
      counters: this.#journal.counters,
    }
  }

  /**
   * Puts another policy in force, without a restart. Leases that are out run on as they were given; their
   * next renewal is judged by it.
   *
   * @throws {McbnError} as `createParticipant`; the policy before stays then.
   */
  replacePolicy({ policy, policyHash, verifiers, signedImages }: NewPolicy): void {
    const parsed = parsePolicy(policy)
    const known = verifiersOf(verifiers)
    checkPolicy(parsed, this.descriptor, known)
    this.#policy = parsed
    this.#policyHash = policyHash
    this.#judge.replace(parsed, known, signedImages)
    queueMicrotask(() => this.emit('changed'))
  }

  /** The signed statement that it takes part no longer, for anyone who asks. */
  get withdrawal(): Withdrawal | undefined {
    return this.#will.withdrawal
  }

  /** The requests that wait for a person, the latest first. */
  pending(): readonly PendingRequest[] {
    return this.#will.approvals.pending()
  }

  /** What has been decided and still holds, the latest first. */
  decisions(): readonly Decision[] {
    return this.#will.approvals.decisions()
  }

  /** Shares that are out, the newest first. */
  leases(): readonly Lease[] {
    return this.#leases.list()
  }

  /**
   * Lets a workload have the share from now on. Stored, and in the audit, before this resolves.
   *
   * @param id - of a {@link PendingRequest} or of an earlier {@link Decision}.
   * @param seconds - how long it holds. @defaultValue `limits.approvalSeconds`
   * @throws {McbnError} `MCBN_OPTION_RANGE` for an id that is neither.
   */
  async approve(
    id: string,
    seconds: number | undefined = this.#limits.approvalSeconds || undefined,
  ): Promise<Decision> {
    return await this.#decide(id, 'approved', seconds)
  }

  /**
   * Refuses a workload, also one that was approved: it gets nothing from now on. Stored, and in the audit,
   * before this resolves. Its running lease runs out by itself.
   *
   * @throws {McbnError} `MCBN_OPTION_RANGE` as {@link approve}.
   */
  async refuse(id: string): Promise<Decision> {
    return await this.#decide(id, 'refused', undefined)
  }

  /**
   * Ends this participant's consent for good. Nothing is released from the moment of the call on, and the share
   * is wiped from memory; what is out ends with its lease. Going on needs a new epoch. Once it resolves, it is
   * stored durably, and in the audit. A second call gives the same.
   *
   * @throws what the state keeper throws. The participant stays withdrawn as long as this process runs; call
   * again to store it.
   */
  async withdraw(): Promise<Withdrawal> {
    const withdrawn = this.#will.withdraw(() => this.#signWithdrawal())
    // Also while it is being stored: what is being sealed is never sent then.
    if (this.#will.withdrawn) this.#forgetShare()
    const { withdrawal, first } = await withdrawn
    if (first) this.#tell('withdrawn', withdrawal)
    return withdrawal
  }

  /**
   * Forgets share, keys and all tables at once, and resolves when the audit is written. Requests are told
   * `busy` from then on.
   */
  async close(): Promise<void> {
    this.#unhear?.()
    this.#unhear = undefined
    this.#forgetShare()
    this.#keys = undefined
    this.#challenges.clear()
    this.#closing ??= this.#journal.close({ type: 'stopped' }).then(() => void this.emit('changed'))
    await this.#closing
  }

  /** What JSON.stringify shows. */
  toJSON(): ParticipantStatus {
    return this.status()
  }

  [inspect.custom](): string {
    const { label, network, epoch } = this.status()
    return `Participant ${inspect({ label, network, epoch, withdrawn: this.#stopped() })}`
  }

  #forgetShare(): void {
    this.#share?.fill(0)
    this.#share = undefined
  }

  #asked(pending: PendingRequest): void {
    const { id, role, facts, times } = pending
    const known = this.#will.approvals.isAnnounced(id)
    if (times === 1 && !known)
      this.#journal.note({ type: 'pending', id, role, ...factsForAudit(facts) })
    this.#tell('pending', pending)
  }

  #released(lease: Lease): void {
    this.#journal.count('released')
    if (lease.renewals > 0) this.#journal.count('renewed')
    this.#tell('released', lease)
  }

  #stopped(): boolean {
    return this.#keys === undefined || this.#will.withdrawn
  }

  /** Whether this participant gives its share to anybody at all now. */
  #standing(): Objection | undefined {
    if (this.#keys === undefined) {
      return { code: 'busy', retryAfter: BUSY_RETRY_SECONDS, details: ['this participant stops'] }
    }
    if (this.#stopped()) return { code: 'withdrawn', details: ['this participant has withdrawn'] }
    return outsideValidity(this.descriptor.descriptor, this.#clock.wall())
  }

  /** What is wrong with a request at first sight. */
  #stranger({ dh, role }: ReleaseRequest): Objection | undefined {
    if (dh !== toBase64url(this.#dh)) {
      return { code: 'policy', details: ['asks about another descriptor'] }
    }
    if (this.#policy.roles[role] !== undefined) return undefined
    return { code: 'policy', details: [`the policy has no role ${role}`] }
  }

  #read<Result>(parse: () => Result): Result {
    try {
      return parse()
    } catch (error) {
      this.#journal.malformed()
      throw error
    }
  }

  async #decide(id: string, decision: Decision['decision'], seconds?: number): Promise<Decision> {
    const decided = await this.#will.decide(id, decision, seconds)
    this.#tell('decided', decided)
    return decided
  }

  #signWithdrawal(): Withdrawal {
    const keys = this.#keys
    if (keys === undefined) throw new McbnError('MCBN_SOCKET_CLOSED', 'the participant is closed')
    const withdrawnAt = toUnixSeconds(this.#clock.wall())
    const dh = toBase64url(this.#dh)
    return signWithdrawal({ label: this.label, dh, withdrawnAt }, keys.ed25519)
  }

  /** A listener's exception is its owner's to hear of, and must not cost anybody a release. */
  #tell<Name extends 'pending' | 'released' | 'refused' | 'decided' | 'withdrawn'>(
    name: Name,
    ...values: ParticipantEvents[Name]
  ): void {
    queueMicrotask(() => this.emit(name, ...(values as never)))
    queueMicrotask(() => this.emit('changed'))
  }
}
