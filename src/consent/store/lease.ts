// A share that is out, as it is kept over restarts; and how such shares are counted.

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

/**
 * A renewal may be shorter than what it renews: a policy was changed in between. It counts until both are
 * over, since the operator can keep the renewal back, and the workload then goes by the one before.
 */
export function outlasting(renewal: Lease, before: Lease | undefined): Lease {
  return { ...renewal, expiresAt: Math.max(renewal.expiresAt, before?.expiresAt ?? 0) }
}
