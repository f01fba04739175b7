// For how long a share is given: never longer than the policy's lease, the descriptor's validity or the
// window that is open now. And why it is not given at all.

import { randomBytes } from 'node:crypto'
import { toBase64url } from '../base/base64url.js'
import {
  fromUnixSeconds,
  type Seconds,
  toUnixSeconds,
  type UnixMilliseconds,
  type UnixSeconds,
} from '../base/time.js'
import type { Descriptor } from '../descriptor/types.js'
import { POLICY_DEFAULTS } from '../policy/defaults.js'
import type { Policy, PolicyWindow } from '../policy/types.js'
import { windowState } from '../policy/window.js'
import type { RefusalCode, ReleaseHeader } from '../release/messages.js'

/** A reason to say no. */
export interface Objection {
  readonly code: RefusalCode
  /** Absent where asking again is no use. */
  readonly retryAfter?: Seconds
  /** For this participant's own people; the wire has only the code. */
  readonly details: readonly string[]
}

/** Seconds after which a busy participant may be asked again. */
export const BUSY_RETRY_SECONDS = 2

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

export function outsideValidity(
  { validity }: Descriptor,
  now: UnixMilliseconds,
): Objection | undefined {
  const seconds = now / 1000
  if (seconds < validity.notBefore) {
    return {
      code: 'not-yet',
      retryAfter: Math.ceil(validity.notBefore - seconds),
      details: [`the descriptor is valid from ${shown(validity.notBefore)}`],
    }
  }
  if (seconds <= validity.notAfter) return undefined
  return {
    code: 'policy',
    details: [`the descriptor was valid until ${shown(validity.notAfter)}: a new epoch is needed`],
  }
}

/**
 * The header of a release made now.
 *
 * @param now - milliseconds since 1970; within the descriptor's validity and the policy's window.
 * @returns an objection when less than a second is left of them.
 */
export function releaseHeader(
  policy: Policy,
  { epoch, validity }: Descriptor,
  now: UnixMilliseconds,
): ReleaseHeader | Objection {
  const issuedAt = toUnixSeconds(now)
  const notAfter = Math.min(
    issuedAt + (policy.leaseSeconds ?? POLICY_DEFAULTS.leaseSeconds),
    validity.notAfter,
    toUnixSeconds(windowCloses(policy.window, now)),
  )
  // The workload counts these from its request, by a clock that nobody can set: the end of a window has
  // to be in them too.
  const leaseSeconds = notAfter - issuedAt
  if (leaseSeconds < 1) {
    return {
      code: 'not-yet',
      retryAfter: 1,
      details: ['less than a second is left of this window'],
    }
  }
  return { releaseId: toBase64url(randomBytes(16)), epoch, issuedAt, notAfter, leaseSeconds }
}

/**
 * When a window that is open now closes; milliseconds since 1970. Looks two days ahead, more than the
 * longest lease; infinite when it is open all that time.
 */
function windowCloses(window: PolicyWindow | undefined, now: number): number {
  if (window === undefined) return Number.POSITIVE_INFINITY
  const midnight = Math.floor(now / DAY_MS) * DAY_MS
  const { daily, notAfter } = window
  const moments = [0, 1, 2].flatMap((day) => {
    const starts = midnight + day * DAY_MS
    return daily === undefined ? [starts] : [starts, starts + timeOfDay(daily.to)]
  })
  const closes = moments
    .filter((moment) => moment > now && !windowState(window, moment).open)
    .reduce((first, moment) => Math.min(first, moment), Number.POSITIVE_INFINITY)
  return notAfter === undefined ? closes : Math.min(closes, Date.parse(notAfter))
}

function timeOfDay(time: string): number {
  return (Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5))) * MINUTE_MS
}

function shown(seconds: UnixSeconds): string {
  return new Date(fromUnixSeconds(seconds)).toISOString()
}

/** The audit or the machine fails: not the asker's fault, and not consent. */
export function unable(error: unknown): Objection {
  const reason = error instanceof Error ? error.message : String(error)
  return { code: 'busy', retryAfter: BUSY_RETRY_SECONDS, details: [`could not release: ${reason}`] }
}
