// Which shares are out, counted by attested instance. A place is reserved before anything is awaited,
// so that two rounds at the same moment cannot both see the last free one.

import type { AttestedFacts } from '../attestation/types.js'
import type { Clock } from '../base/clock.js'
import { fromUnixSeconds } from '../base/time.js'
import type { Role } from '../descriptor/types.js'
import type { ReleaseHeader } from '../release/messages.js'
import { instanceKey, type Lease, outlasting } from '../store/lease.js'

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
  lease: Lease | undefined
  /** By the monotonic clock, beside the lease's own `expiresAt`. */
  deadline: number
}

/** Leases of one participant. */
export class LeaseTable {
  readonly #clock: Clock
  readonly #places = new Map<string, Place>()

  /** @param leases - still running from before a restart, the oldest first: they go on counting. */
  constructor(clock: Clock, leases: Iterable<Lease> = []) {
    this.#clock = clock
    for (const lease of leases) {
      const key = instanceKey(lease.role, lease)
      if (key === undefined) continue
      this.#places.set(key, { role: lease.role, making: 0, lease, deadline: this.#deadline(lease) })
    }
    this.#expire()
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
      ended = true
    }
    return {
      renews: place.lease,
      commit: (lease) => {
        const renewals = place.lease === undefined ? 0 : place.lease.renewals + 1
        place.lease = outlasting({ ...lease, renewals }, place.lease)
        place.deadline = this.#deadline(place.lease)
        end()
        return place.lease
      },
      abandon: () => {
        end()
        this.#expire()
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

  clear(): void {
    this.#places.clear()
  }

  #newPlace(key: string, role: Role, most: number): Place | undefined {
    let taken = 0
    for (const place of this.#places.values()) if (place.role === role) taken += 1
    if (taken >= most) return undefined
    const place: Place = { role, making: 0, lease: undefined, deadline: 0 }
    this.#places.set(key, place)
    return place
  }

  #deadline(lease: Lease): number {
    return this.#clock.monotonic() + lease.expiresAt - this.#clock.wall()
  }

  /** A clock that jumps ahead must not free a place early: both have to agree that it is over. */
  #expire(): void {
    const wall = this.#clock.wall()
    const monotonic = this.#clock.monotonic()
    for (const [key, place] of this.#places) {
      if (
        place.lease !== undefined &&
        (place.lease.expiresAt > wall || place.deadline > monotonic)
      ) {
        continue
      }
      place.lease = undefined
      if (place.making === 0) this.#places.delete(key)
    }
  }
}

/** The lease that a release makes. */
export function leaseOf(
  role: Role,
  facts: AttestedFacts,
  { releaseId, issuedAt, notAfter }: ReleaseHeader,
): Omit<Lease, 'renewals'> {
  return {
    releaseId,
    role,
    issuer: facts.issuer,
    instance: facts.instance ?? '',
    imageDigest: facts.imageDigest ?? '',
    project: facts.project ?? '',
    releasedAt: fromUnixSeconds(issuedAt),
    expiresAt: fromUnixSeconds(notAfter),
  }
}
