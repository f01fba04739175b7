// One epoch of a network in a workload: collects consent, derives the keys, keeps the leases alive, and
// ends when fewer participants than needed still agree.

import { McbnError } from '../../errors.js'
import { rethrowLater } from '../../shield.js'
import type { AuditEntry } from '../audit/events.js'
import type { Stopwatch } from '../base/stopwatch.js'
import { fromUnixSeconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { NetworkProtocol } from '../descriptor/types.js'
import { deriveNetworkKeys, type NetworkKeys } from '../shares/keys.js'
import { endedError } from './ending.js'
import { InsufficientConsentError } from './insufficient.js'
import { type Grant, type HeldLease, Leases } from './leases.js'
import { Member, type MemberHost } from './member.js'
import type { JoinSettings } from './options.js'
import { giveBack, LeaseProofs } from './returning.js'
import type { Released, RoundResult } from './round.js'
import { askForShare } from './round.js'
import { timeLimit } from './sleep.js'
import type { TrackedSockets } from './sockets.js'
import type { EndReason, Progress, Redundancy, WorkloadLease } from './types.js'

/** What an epoch tells its owner. */
export interface EpochListener {
  onProgress(progress: Progress): void
  onRenewed(lease: WorkloadLease): void
  onWithdrawn(label: string, epoch: number): void
  onRedundancy(redundancy: Redundancy, epoch: Epoch): void
  onBlamed(error: McbnError, epoch: number): void
  /** Keys are wiped and sockets destroyed. Called once, and only after a successful join. */
  onEnded(epoch: Epoch, reason: EndReason): void
}

/** The most that a lease lasts, in milliseconds, whatever a participant says: a day. */
const LONGEST_LEASE = 86_400_000

export class Epoch implements MemberHost {
  readonly verified: VerifiedDescriptor
  readonly sockets: TrackedSockets
  readonly #settings: JoinSettings
  readonly #listener: EpochListener
  readonly #stopwatch: Stopwatch
  readonly #leases: Leases
  readonly #members: readonly Member[]
  readonly #abort = new AbortController()
  readonly #proofs = new LeaseProofs()
  /** Checked shares, until there are enough of them. */
  readonly #shares = new Map<string, Buffer>()
  /** Why leases that there were are gone. */
  readonly #missing = new Map<string, Exclude<EndReason['code'], 'closed'>>()
  readonly #gone = new Set<string>()
  #state: 'joining' | 'live' | 'ended' = 'joining'
  #keys: NetworkKeys | undefined
  #cancelLook: (() => void) | undefined
  #settleJoin: { resolve(): void; reject(error: unknown): void } | undefined
  #reason: EndReason | undefined
  /** Live leases, as last told. */
  #told = 0
  #returned: Promise<void> = Promise.resolve()

  constructor(
    verified: VerifiedDescriptor,
    settings: JoinSettings,
    stopwatch: Stopwatch,
    sockets: TrackedSockets,
    listener: EpochListener,
  ) {
    this.verified = verified
    this.sockets = sockets
    this.#settings = settings
    this.#listener = listener
    this.#stopwatch = stopwatch
    this.#leases = new Leases(stopwatch)
    this.#members = verified.descriptor.participants.map(({ label }) => new Member(label, this))
  }

  // ---- what it is ---------------------------------------------------------------------------------

  get number(): number {
    return this.verified.descriptor.epoch
  }

  /** Shares, and live leases, without which there is no network. */
  get need(): number {
    return this.verified.descriptor.t
  }

  get joining(): boolean {
    return this.#state === 'joining'
  }

  get live(): boolean {
    return this.#state === 'live'
  }

  /** Resolves once the participants know that the epoch has ended, or two seconds after it has. */
  get returned(): Promise<void> {
    return this.#returned
  }

  /** Why it ended; undefined while it has not. */
  get reason(): EndReason | undefined {
    return this.#reason
  }

  /** The key check value: may be shown and compared. Undefined before there are keys. */
  get kcv(): string | undefined {
    return this.#keys?.kcv
  }

  /** Borrowed: TLS and DTLS copy it. Undefined unless consent is alive and the descriptor names it. */
  key(protocol: NetworkProtocol): Buffer | undefined {
    return this.#state === 'live' ? this.#keys?.keys[protocol] : undefined
  }

  get leases(): WorkloadLease[] {
    return [...this.#leases].map((lease) => this.#shown(lease))
  }

  // ---- joining ------------------------------------------------------------------------------------

  /**
   * Asks all participants until enough have released.
   *
   * @throws {InsufficientConsentError}; {@link McbnError} `MCBN_SHARE_INVALID` with `participant` where all
   * are needed and one signed a bad share; `MCBN_ATTESTER_FAILED`; the signal's reason.
   */
  async join(signal: AbortSignal | undefined): Promise<void> {
    const { clock, deadline } = this.#settings
    // A process that waits for people has nothing else to stay alive for.
    const alive = setInterval(() => undefined, 2 ** 30)
    const onAbort = (): void => this.#fail(signal?.reason)
    const cancelDeadline = clock.after(deadline, () => this.#fail(this.#insufficient('late')))
    try {
      await new Promise<void>((resolve, reject) => {
        this.#settleJoin = { resolve, reject }
        if (signal?.aborted) return onAbort()
        signal?.addEventListener('abort', onAbort, { once: true })
        this.#look()
        for (const member of this.#members) void member.run()
      })
    } finally {
      this.#settleJoin = undefined
      clearInterval(alive)
      cancelDeadline()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  #fail(error: unknown): void {
    if (this.#state !== 'joining') return
    this.#state = 'ended'
    this.#release()
    this.#giveBack()
    this.#settleJoin?.reject(error)
  }

  /** @param when - `early`: with answers still on their way, whose senders are not called silent. */
  #insufficient(when: 'early' | 'late'): InsufficientConsentError {
    const held = new Set([...this.#leases].map(({ label }) => label))
    const others = this.#members.filter(({ label }) => !held.has(label))
    const refused = others.flatMap((member) => member.refused ?? [])
    const blamed = others.filter(({ gone }) => gone === 'blamed')
    const open = others.filter((member) => !member.refused && !blamed.includes(member))
    const unattested = open.filter(({ error }) => error?.code === 'MCBN_ATTESTER_FAILED')
    const silent = open
      .filter((member) => !unattested.includes(member))
      .filter(({ error }) => when === 'late' || error !== undefined)
    return new InsufficientConsentError(
      {
        need: this.need,
        have: held.size,
        refused,
        silent: silent.map(({ label }) => label),
        unattested: unattested.map(({ label }) => label),
        blamed: blamed.map(({ label }) => label),
      },
      others.flatMap((member) => member.error ?? []),
    )
  }

  // ---- for its members ----------------------------------------------------------------------------

  get clock() {
    return this.#settings.clock
  }

  get retry() {
    return this.#settings.retry
  }

  get requestTimeout(): number {
    return this.#settings.requestTimeout
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  lease(label: string): HeldLease | undefined {
    return this.#leases.get(label)
  }

  remaining(lease: Grant): number {
    return this.#leases.remaining(lease)
  }

  async ask(label: string, timeout: number): Promise<RoundResult> {
    const { role, instance, attester, urlsOf } = this.#settings
    const limit = timeLimit(this.clock, timeout, this.signal)
    this.onProgress({ label, state: 'asking' })
    try {
      return await askForShare({
        verified: this.verified,
        label,
        role,
        instance,
        renews: this.#proofs.renewal(label),
        attester,
        urls: await urlsOf(label, limit.signal),
        signal: limit.signal,
        onSent: () => this.#stopwatch.now().elapsed,
        onChallenge: () => this.onProgress({ label, state: 'attesting' }),
      })
    } finally {
      limit.free()
    }
  }

  accept(
    label: string,
    { share, lease: secrets, header, sentAt }: Released,
  ): HeldLease | undefined {
    const { notAfter } = this.verified.descriptor.validity
    const lease = this.#leases.grant({
      label,
      sentAt,
      lasts: Math.min(header.leaseSeconds * 1_000, LONGEST_LEASE),
      // The descriptor's last second counts; the header's date is the moment itself.
      endsAt: Math.min(fromUnixSeconds(header.notAfter), fromUnixSeconds(notAfter + 1)),
    })
    if (lease === undefined || this.#state !== 'joining') {
      share.fill(0)
    } else {
      this.#shares.get(label)?.fill(0)
      this.#shares.set(label, share)
    }
    if (lease === undefined) return undefined
    this.#proofs.add(label, secrets, fromUnixSeconds(header.notAfter))
    this.#missing.delete(label)
    const { releaseId, leaseSeconds } = header
    this.#audit(lease.renewals > 0 ? 'renewed' : 'released', { label, releaseId, leaseSeconds })
    // Its date was far away when the timer was set.
    this.#look()
    if (this.#state === 'joining') this.#deriveIfEnough(label)
    else if (lease.renewals > 0) this.#listener.onRenewed(this.#shown(lease))
    this.#tellRedundancy()
    return lease
  }

  /** How many agree, how many have to, how many there are. */
  get redundancy(): Redundancy {
    return { have: this.#leases.count, need: this.need, of: this.#members.length }
  }

  #tellRedundancy(): void {
    const { redundancy } = this
    if (this.#state !== 'live' || redundancy.have === this.#told) return
    this.#told = redundancy.have
    this.#listener.onRedundancy(redundancy, this)
  }

  onGone(member: Member): void {
    const { label, gone, error } = member
    if (this.#gone.has(label)) return
    this.#gone.add(label)
    if (gone === 'withdrawn') this.#onWithdrawn(label)
    if (gone === 'blamed' && error) this.#onBlamed(label, error)
    const all = this.verified.descriptor.mode === 'n-of-n'
    this.#failIfHopeless(all && gone === 'blamed' ? error : undefined)
    this.check()
  }

  onDeclined(): void {
    this.#failIfHopeless()
  }

  /** Joining waits for nobody who could only make up for somebody that is not coming. */
  #failIfHopeless(error?: McbnError): void {
    const possible = this.#members.filter(({ gone, declined }) => gone === undefined && !declined)
    if (this.#state !== 'joining' || possible.length >= this.need) return
    this.#fail(error ?? this.#insufficient('early'))
  }

  onAttesterFailed(error: McbnError): void {
    this.#fail(error)
  }

  onProgress(progress: Omit<Progress, 'epoch'>): void {
    this.#listener.onProgress({ ...progress, epoch: this.number })
  }

  // ---- consent and its end ------------------------------------------------------------------------

  /**
   * Looks at the clocks, and ends the epoch when too few leases are left.
   *
   * @returns whether it goes on.
   */
  check(): boolean {
    if (this.#state === 'ended') return false
    for (const { label, tries } of this.#leases.expire()) {
      this.#missing.set(label, tries > 0 ? 'unrenewed' : 'expired')
      this.#forgetShare(label)
    }
    if (this.#state === 'live' && this.#leases.count < this.need) this.#endFor(this.#missing)
    this.#tellRedundancy()
    return this.joining || this.live
  }

  /** Ends it from this side. */
  close(): void {
    if (this.#state === 'joining') {
      this.#fail(new McbnError('MCBN_CONSENT_ENDED', 'the network was closed while it was joined'))
    } else {
      this.#end({ code: 'closed', epoch: this.number, labels: [] })
    }
  }

  #deriveIfEnough(last: string): void {
    // Exactly as many as are needed: reconstruction takes no more (and no fewer).
    if (this.#shares.size !== this.need || !this.check() || this.#shares.size !== this.need) return
    try {
      this.#keys = deriveNetworkKeys(this.verified, this.#shares)
    } catch (error) {
      this.#onUnusable(error, last)
      return
    }
    this.#wipeShares()
    this.#state = 'live'
    this.#audit('joined', { kcv: this.#keys.kcv })
    this.#settleJoin?.resolve()
  }

  /** Each share was right by itself; together they are not: two are the same. */
  #onUnusable(error: unknown, last: string): void {
    const label = error instanceof McbnError ? (error.participant ?? last) : last
    const member = this.#members.find((candidate) => candidate.label === label)
    this.#forgetShare(label)
    this.#leases.drop(label)
    if (!(error instanceof McbnError) || error.participant === undefined || !member) {
      this.#fail(error)
      return
    }
    member.blame(error)
    this.onGone(member)
  }

  #onWithdrawn(label: string): void {
    this.#leases.drop(label)
    this.#forgetShare(label)
    this.#missing.set(label, 'withdrawn')
    this.#audit('withdrawn', { label })
    this.#listener.onWithdrawn(label, this.number)
  }

  #onBlamed(label: string, error: McbnError): void {
    if (this.#leases.get(label)) this.#missing.set(label, 'unrenewed')
    this.#leases.drop(label)
    this.#forgetShare(label)
    this.#audit('blamed', { label, code: error.code, reason: error.message })
    this.#listener.onBlamed(error, this.number)
  }

  #endFor(missing: ReadonlyMap<string, Exclude<EndReason['code'], 'closed'>>): void {
    const codes = [...missing.values()]
    const code = (['withdrawn', 'unrenewed'] as const).find((each) => codes.includes(each))
    this.#end({ code: code ?? 'expired', epoch: this.number, labels: [...missing.keys()].sort() })
  }

  #end(reason: EndReason): void {
    if (this.#state !== 'live') return
    this.#state = 'ended'
    this.#reason = reason
    this.#release()
    this.#audit('ended', { reason: reason.code, details: reason.labels })
    this.sockets.destroyAll(endedError(reason))
    this.#giveBack()
    this.#listener.onEnded(this, reason)
  }

  /** Nothing of what was entrusted is left. */
  #release(): void {
    this.#cancelLook?.()
    this.#cancelLook = undefined
    this.#abort.abort()
    this.#wipeShares()
    this.#keys?.wipe()
    this.#leases.clear()
  }

  /** Last, when there is nothing any more that could be used. */
  #giveBack(): void {
    const { role, urlsOf } = this.#settings
    const proofs = this.#proofs.take(this.clock.wall())
    this.#returned = giveBack({ verified: this.verified, role, proofs, urlsOf })
  }

  #look(): void {
    this.#cancelLook?.()
    this.#cancelLook = this.clock.after(this.#leases.nextLook(), () => {
      if (this.check()) this.#look()
    })
  }

  #forgetShare(label: string): void {
    this.#shares.get(label)?.fill(0)
    this.#shares.delete(label)
  }

  #wipeShares(): void {
    for (const share of this.#shares.values()) share.fill(0)
    this.#shares.clear()
  }

  #shown(lease: HeldLease): WorkloadLease {
    const { label, renewals } = lease
    return { label, remaining: this.remaining(lease), renewals }
  }

  #audit(type: AuditEntry['type'], fields: Omit<AuditEntry, 'type'>): void {
    const { network } = this.verified.descriptor
    const { role, instance, audit } = this.#settings
    const about = { network, epoch: this.number, descriptorHash: this.verified.hashHex }
    // What is agreed goes on; that it is not written any more is the application's to know.
    audit?.append({ type, ...about, role, instance, ...fields }).catch(rethrowLater)
  }
}
