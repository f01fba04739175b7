// Which shares are out, counted by attested instance. A place is reserved before anything is awaited,
// so that two rounds at the same moment cannot both see the last free one.

import type { AttestedFacts } from '../attestation/types.js'
import type { Clock } from '../base/clock.js'
import { fromUnixSeconds } from '../base/time.js'
import type { Role } from '../descriptor/types.js'
import type { ReleaseHeader } from '../release/messages.js'
import {
  instanceKey,
  type Lease,
  type LeaseRelease,
  MOST_RELEASES,
  outlasting,
  without,
} from '../store/lease.js'

/** A place that is held while a release is being made; end it with exactly one of the two. */
export interface Reservation {
  /** The lease that this one renews, if the instance has one. */
  readonly renews: Lease | undefined
  /** The share leaves: the place is the lease's until it expires. */
  commit(lease: Omit<Lease, 'renewals'>): Lease
  /** Nothing left after all. */
  abandon(): void
}

interface Place {
  readonly role: Role
  /** Releases being made for this instance right now. */
  making: number
  /** One of them was let through by {@link LeaseTable.fits}: its line may be kept before the lease is here. */
  granted: boolean
  lease: Lease | undefined
  /** By the monotonic clock, beside the lease's own `expiresAt`. */
  deadline: number
}

/** Hashes by instance from which on those of ended releases are looked for: two for each that is told apart. */
const MOST_INDEXED = 2 * MOST_RELEASES + 64

/** Leases of one participant. */
export class LeaseTable {
  readonly #clock: Clock
  readonly #places = new Map<string, Place>()
  /** By the monotonic clock: until then no lease is over, and nobody has to look at all of them. */
  #quietUntil = Number.POSITIVE_INFINITY
  /** Instances by the hashes of their releases, those that are over among them for a while. */
  readonly #index = new Map<string, string>()

  /** @param leases - still running from before a restart, the oldest first: they go on counting. */
  constructor(clock: Clock, leases: Iterable<Lease> = []) {
    this.#clock = clock
    for (const lease of leases) {
      const key = instanceKey(lease.role, lease)
      if (key === undefined) continue
      const place: Place = { role: lease.role, making: 0, granted: false, lease, deadline: 0 }
      this.#hold(place, lease)
      this.#places.set(key, place)
    }
    this.#expire()
    this.#indexAll()
  }

  /**
   * Holds a place for an instance that has none, or the one it has.
   *
   * @param key - of {@link instanceKey}.
   * @param most - instances of this role at once.
   * @returns `undefined` when all places are taken by others.
   */
  reserve(key: string, role: Role, most: number): Reservation | undefined {
    this.#expire()
    const place = this.#places.get(key) ?? this.#newPlace(key, role, most)
    if (place === undefined) return undefined
    place.making += 1
    let ended = false
    const end = (): void => {
      if (!ended) place.making -= 1
      if (place.making === 0) place.granted = false
      ended = true
    }
    return {
      renews: place.lease,
      commit: (lease) => {
        const renewals = place.lease === undefined ? 0 : place.lease.renewals + 1
        const held = this.#hold(place, outlasting({ ...lease, renewals }, place.lease))
        this.#indexed(key, lease.releases)
        end()
        return held
      },
      abandon: () => {
        end()
        this.#tidy(key, place)
      },
    }
  }

  /** Running leases, the newest first. */
  list(): readonly Lease[] {
    this.#expire()
    return [...this.#places.values()]
      .flatMap(({ lease }) => (lease === undefined ? [] : [lease]))
      .sort((left, right) => right.releasedAt - left.releasedAt)
  }

  /**
   * Whether an instance, whose place is reserved, may have a share beside the leases that there are, from every
   * replica, and beside those let through before it: releases that are kept together are asked about one by one,
   * before any of them is a lease.
   */
  fits(key: string, role: Role, most: number): boolean {
    this.#expire()
    const place = this.#places.get(key)
    if (place?.lease === undefined && this.#others(key, role) >= most) return false
    if (place !== undefined && place.making > 0) place.granted = true
    return true
  }

  /** A lease that somebody else gave in this participant's name. */
  adopt(lease: Lease): void {
    const key = instanceKey(lease.role, lease)
    if (key === undefined) return
    const place = this.#places.get(key) ?? {
      role: lease.role,
      making: 0,
      granted: false,
      lease: undefined,
      deadline: 0,
    }
    this.#hold(place, outlasting(lease, place.lease))
    this.#places.set(key, place)
    this.#indexed(key, lease.releases)
  }

  /** The lease of an instance. */
  of(key: string): Lease | undefined {
    return this.#places.get(key)?.lease
  }

  /** The lease that has a release with one of these hashes. */
  find(role: Role, about: keyof Omit<LeaseRelease, 'expiresAt'>, hash: string): Lease | undefined {
    this.#expire()
    const lease = this.#places.get(this.#index.get(hash) ?? '')?.lease
    if (lease?.role !== role) return undefined
    return lease.releases?.some((release) => release[about] === hash) ? lease : undefined
  }

  /**
   * The workload has no share any more from these releases. The place is free once none is left, unless a
   * release is being made right now.
   */
  giveBack(lease: Lease, returnHashes: readonly string[]): void {
    const key = instanceKey(lease.role, lease)
    const place = key === undefined ? undefined : this.#places.get(key)
    if (key === undefined || place?.lease === undefined) return
    const left = without(place.lease, returnHashes)
    if (left !== undefined) this.#hold(place, left)
    else place.lease = undefined
    this.#tidy(key, place)
  }

  clear(): void {
    this.#places.clear()
    this.#index.clear()
  }

  #indexed(key: string, releases: readonly LeaseRelease[] = []): void {
    for (const { renewalHash, returnHash } of releases) {
      this.#index.set(renewalHash, key).set(returnHash, key)
    }
    if (this.#index.size > MOST_INDEXED * (this.#places.size + 1)) this.#indexAll()
  }

  #indexAll(): void {
    this.#index.clear()
    for (const [key, { lease }] of this.#places) {
      for (const { renewalHash, returnHash } of lease?.releases ?? []) {
        this.#index.set(renewalHash, key).set(returnHash, key)
      }
    }
  }

  #newPlace(key: string, role: Role, most: number): Place | undefined {
    let taken = 0
    for (const place of this.#places.values()) if (place.role === role) taken += 1
    if (taken >= most) return undefined
    const place: Place = { role, making: 0, granted: false, lease: undefined, deadline: 0 }
    this.#places.set(key, place)
    return place
  }

  /** Instances of a role besides one that have a lease, or are let through to one. */
  #others(key: string, role: Role): number {
    let others = 0
    for (const [other, place] of this.#places) {
      if (other === key || place.role !== role) continue
      if (place.lease !== undefined || place.granted) others += 1
    }
    return others
  }

  #hold(place: Place, lease: Lease): Lease {
    place.lease = lease
    place.deadline = this.#clock.monotonic() + lease.expiresAt - this.#clock.wall()
    this.#quietUntil = Math.min(this.#quietUntil, place.deadline)
    return lease
  }

  /** Without a lease, and with none being made, a place is free. */
  #tidy(key: string, place: Place): void {
    if (place.lease === undefined && place.making === 0) this.#places.delete(key)
  }

  /** A clock that jumps ahead must not free a place early: both have to agree that it is over. */
  #expire(): void {
    const monotonic = this.#clock.monotonic()
    if (monotonic < this.#quietUntil) return
    const wall = this.#clock.wall()
    this.#quietUntil = Number.POSITIVE_INFINITY
    for (const [key, place] of this.#places) {
      const isLive =
        place.lease !== undefined && (place.lease.expiresAt > wall || place.deadline > monotonic)
      if (isLive) {
        this.#quietUntil = Math.min(this.#quietUntil, place.deadline)
        continue
      }
      place.lease = undefined
      this.#tidy(key, place)
    }
  }
}

/** The lease that a release makes. */
export function leaseOf(
  role: Role,
  facts: AttestedFacts,
  { releaseId, issuedAt, notAfter }: ReleaseHeader,
  hashes?: Omit<LeaseRelease, 'expiresAt'>,
): Omit<Lease, 'renewals'> {
  const expiresAt = fromUnixSeconds(notAfter)
  return {
    releaseId,
    role,
    issuer: facts.issuer,
    instance: facts.instance ?? '',
    imageDigest: facts.imageDigest ?? '',
    project: facts.project ?? '',
    releasedAt: fromUnixSeconds(issuedAt),
    expiresAt,
    ...(hashes && { releases: [{ expiresAt, ...hashes }] }),
  }
}
