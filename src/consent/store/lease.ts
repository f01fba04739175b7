// A share that is out, as it is kept over restarts; and how such shares are counted.

import { createHash } from 'node:crypto'
import type { UnixMilliseconds } from '../base/time.js'
import type { Role } from '../descriptor/types.js'

/** A share that is out. */
export interface Lease {
  /** Of the latest release. */
  readonly releaseId: string
  readonly role: Role
  /** The evidence's issuer, which attested the instance. */
  readonly issuer: string
  /** The attested instance. */
  readonly instance: string
  readonly imageDigest: string
  /** Empty where the platform knows no projects. */
  readonly project: string
  /** When the share was last given. */
  readonly releasedAt: UnixMilliseconds
  /** When the workload must have stopped using it. */
  readonly expiresAt: UnixMilliseconds
  /** How often it has been renewed. */
  readonly renewals: number
  /** Its releases that are not over; absent where nothing is known of them. */
  readonly releases?: readonly LeaseRelease[]
}

/** One release of a lease. The hashes tell that a message is the workload's, and are no secrets. */
export interface LeaseRelease {
  readonly expiresAt: UnixMilliseconds
  /** SHA-256 of `LeaseSecrets.renewal`, base64url. */
  readonly renewalHash: string
  /** SHA-256 of `LeaseSecrets.giveBack`, base64url. */
  readonly returnHash: string
}

/** The attested facts that name an instance. */
export interface InstanceName {
  readonly issuer: string
  readonly project?: string | undefined
  readonly instance?: string | undefined
}

/**
 * What an instance is counted by: the role and the machine that the platform attests. Project and issuer
 * are part of it, since only within them is an instance's name unique.
 *
 * @returns `undefined` when the evidence names no instance: it cannot be counted, so it gets nothing.
 */
export function instanceKey(
  role: Role,
  { issuer, project = '', instance }: InstanceName,
): string | undefined {
  if (instance === undefined || instance === '') return undefined
  return JSON.stringify([role, issuer, project, instance])
}

/** Most releases of one lease that are told apart; a workload renews at half of it, so there are two or three. */
export const MOST_RELEASES = 64

/**
 * A renewal may be shorter than what it renews: a policy was changed in between. It counts until both are
 * over, since the operator can keep the renewal back, and the workload then goes by the one before.
 */
export function outlasting(renewal: Lease, before: Lease | undefined): Lease {
  const { releasedAt } = renewal
  if (before === undefined || before.expiresAt <= releasedAt) return renewal
  const expiresAt = Math.max(renewal.expiresAt, before.expiresAt)
  const { releases: _, ...rest } = renewal
  // Where one release is not known, none can be given back: the place is taken until all are over.
  if (renewal.releases === undefined || before.releases === undefined) return { ...rest, expiresAt }
  const live = before.releases.filter((release) => release.expiresAt > releasedAt)
  const releases = [...live, ...renewal.releases]
  return { ...rest, expiresAt, ...(releases.length <= MOST_RELEASES && { releases }) }
}

/**
 * A lease after some of its releases were given back.
 *
 * @returns `undefined` when none is left: nobody has the share of it.
 */
export function without(lease: Lease, returnHashes: readonly string[]): Lease | undefined {
  const { releases } = lease
  const left = releases?.filter(({ returnHash }) => !returnHashes.includes(returnHash))
  if (left === undefined || left.length === releases?.length) return lease
  if (left.length === 0) return undefined
  return {
    ...lease,
    expiresAt: Math.max(...left.map(({ expiresAt }) => expiresAt)),
    releases: left,
  }
}

/** What is kept of a secret that a workload will tell. */
export function proofHash(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('base64url')
}
