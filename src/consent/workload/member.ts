// One participant as a workload sees it: asked until it releases, then again before the lease ends.

import { McbnError } from '../../errors.js'
import type { Clock } from '../base/clock.js'
import type { Refused } from '../release/messages.js'
import type { RetryOptions } from './backoff.js'
import { backoff, renewalDelay, slowly } from './backoff.js'
import type { Grant, HeldLease } from './leases.js'
import type { Released, RoundResult } from './round.js'
import { sleep } from './sleep.js'
import type { Progress } from './types.js'

/** What a member needs of its epoch. */
export interface MemberHost {
  readonly clock: Clock
  readonly retry: Required<RetryOptions>
  readonly requestTimeout: number
  /** Aborted when the epoch is over. */
  readonly signal: AbortSignal
  /** Whether consent is still being collected. */
  readonly joining: boolean
  /** Looks at the clocks. @returns whether the epoch goes on. */
  check(): boolean
  lease(label: string): HeldLease | undefined
  remaining(lease: Grant): number
  /** One round with the participant. */
  ask(label: string, timeout: number): Promise<RoundResult>
  /** Takes a checked share, and owns it. @returns the lease; undefined when it was over already. */
  accept(label: string, released: Released): HeldLease | undefined
  /** The member is not asked any more. */
  onGone(member: Member): void
  /** A member's policy says no. */
  onDeclined(): void
  /** Nobody can be asked: this machine gives no evidence. */
  onAttesterFailed(error: McbnError): void
  onProgress(progress: Omit<Progress, 'epoch'>): void
}

/** Attempts in a row without evidence after which joining is given up. */
const MOST_ATTESTER_FAILURES = 3
/** Least milliseconds for one attempt at renewing. */
const LEAST_TIMEOUT = 1_000
/** Least milliseconds between a release and the next request. */
const LEAST_WAIT = 250
/** Anybody on the way can say `busy` without a signature: that costs half a minute at most. */
const LONGEST_UNSIGNED_WAIT = 30_000
/** Milliseconds, until a lease has told: what a policy means that says nothing. */
const DEFAULT_LEASE = 600_000

export class Member {
  readonly label: string
  readonly #host: MemberHost
  /** Its last no, while it is one; with a verified signature, or `busy`. */
  refused: Refused | undefined
  /** Why the last attempt came to nothing, if it was no refusal. */
  error: McbnError | undefined
  /** Set once it is not asked any more. */
  gone: 'withdrawn' | 'blamed' | undefined
  /** Its policy says no, and it has said nothing of another time. Asked again slowly: policies change. */
  declined = false
  /** Milliseconds that its latest lease lasts: as long as a signed answer may have it wait. */
  #leaseLasts = DEFAULT_LEASE
  #failures = 0
  #attesterFailures = 0

  constructor(label: string, host: MemberHost) {
    this.label = label
    this.#host = host
  }

  /** Asks until the epoch is over or the participant is gone. Never rejects. */
  async run(): Promise<void> {
    const host = this.#host
    while (!host.signal.aborted && this.gone === undefined) {
      // The clocks come first: after a pause nothing is to be renewed that has ended.
      if (!host.check()) return
      const wait = await this.#attempt()
      if (wait === undefined) break
      await sleep(host.clock, wait, host.signal)
    }
    if (this.gone !== undefined && !host.signal.aborted) host.onGone(this)
  }

  /** @returns milliseconds until the next attempt; undefined: none. */
  async #attempt(): Promise<number | undefined> {
    const host = this.#host
    const lease = host.lease(this.label)
    if (lease) lease.tries += 1
    let result: RoundResult
    try {
      result = await host.ask(this.label, this.#timeout(lease))
    } catch (error) {
      return host.signal.aborted ? undefined : this.#onError(error)
    }
    if ('refused' in result)
      return host.signal.aborted ? undefined : this.#onRefused(result.refused)
    if (host.signal.aborted) {
      result.released.share.fill(0)
      return undefined
    }
    return this.#onReleased(result.released)
  }

  /** A renewal that hangs must leave time for another one. */
  #timeout(lease: HeldLease | undefined): number {
    const { requestTimeout } = this.#host
    if (!lease) return requestTimeout
    return Math.min(requestTimeout, Math.max(LEAST_TIMEOUT, this.#host.remaining(lease) / 3))
  }

  #onReleased(released: Released): number | undefined {
    const { label } = this
    this.#attesterFailures = 0
    const lease = this.#host.accept(label, released)
    if (!lease) {
      const message = `${label}: the lease was over before the release came; compare the clocks`
      return this.#onError(new McbnError('MCBN_RELEASE_INVALID', message))
    }
    if (this.gone !== undefined) return undefined
    this.#failures = 0
    this.declined = false
    this.#leaseLasts = lease.lasts
    this.refused = undefined
    this.error = undefined
    const leaseFor = this.#host.remaining(lease)
    this.#host.onProgress({ label, state: 'released', leaseFor })
    // Of what is left, which is less than the lease where its date or the descriptor's is near.
    return Math.max(LEAST_WAIT, renewalDelay(leaseFor, this.#host.retry.jitter))
  }

  #onRefused(refused: Refused): number | undefined {
    const { label } = this
    const { code, retryAfter } = refused
    this.#attesterFailures = 0
    this.refused = refused
    this.error = undefined
    const lease = this.#host.lease(label)
    // What was granted stays granted until it ends, except when the participant takes its word back.
    if (code === 'withdrawn') {
      this.gone = 'withdrawn'
      this.#host.onProgress({ label, state: 'refused', code })
      return undefined
    }
    this.declined = code === 'policy' && retryAfter === undefined && lease === undefined
    const most = refused.signature === undefined ? LONGEST_UNSIGNED_WAIT : this.#leaseLasts
    const asked = Math.min((retryAfter ?? 0) * 1_000, most)
    const retryIn = this.declined ? slowly() : this.#retryIn(asked)
    this.#host.onProgress({ label, state: 'refused', code, retryIn })
    if (this.declined) this.#host.onDeclined()
    return this.#host.signal.aborted ? undefined : retryIn
  }

  #onError(thrown: unknown): number | undefined {
    const { label } = this
    const error = asMcbnError(thrown)
    const { code, message } = error
    this.error = error
    if (code === 'MCBN_SHARE_INVALID' && error.participant === label) {
      this.blame(error)
      return undefined
    }
    this.refused = undefined
    if (code !== 'MCBN_ATTESTER_FAILED') this.#attesterFailures = 0
    else this.#attesterFailures += 1
    if (this.#host.joining && this.#attesterFailures >= MOST_ATTESTER_FAILURES) {
      this.#host.onAttesterFailed(error)
      return undefined
    }
    const retryIn = this.#retryIn(0)
    const state = code === 'MCBN_ATTESTER_FAILED' ? 'unattested' : 'silent'
    this.#host.onProgress({ label, state, code, message, retryIn })
    return retryIn
  }

  /** The participant signed what it should not have. It is not asked again. */
  blame(error: McbnError): void {
    this.gone = 'blamed'
    this.error = error
    this.refused = undefined
    const { code, message } = error
    this.#host.onProgress({ label: this.label, state: 'blamed', code, message })
  }

  #retryIn(atLeast: number): number {
    this.#failures += 1
    const wait = Math.max(atLeast, backoff(this.#host.retry, this.#failures))
    const lease = this.#host.lease(this.label)
    // While there is a lease, several attempts fit into what is left of it.
    return lease ? Math.min(wait, Math.max(100, this.#host.remaining(lease) / 4)) : wait
  }
}

function asMcbnError(thrown: unknown): McbnError {
  if (thrown instanceof McbnError) return thrown
  return new McbnError(
    'MCBN_INTERNAL',
    'asking a participant failed unexpectedly; please report this',
    {
      cause: thrown,
    },
  )
}
