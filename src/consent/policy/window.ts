// When shares are released. All times of day and days are UTC, so that no daylight saving, time zone of a
// machine or traveller changes what was agreed.

import type { UnixMilliseconds } from '../base/time.js'
import type { PolicyWindow } from './types.js'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const

/** Whether it is open; if not, since when it is over or when it opens next. */
export type WindowState =
  | { readonly open: true }
  | {
      readonly open: false
      /** In words. */
      readonly why: string
      /** Absent: never again. */
      readonly opensAt?: UnixMilliseconds
    }

/**
 * Looks at a window that {@link parsePolicy} has checked.
 *
 * With `days` and a daily time over midnight, a night belongs to the day on which it began.
 *
 * @param now - milliseconds since 1970.
 */
export function windowState(window: PolicyWindow | undefined, now: number): WindowState {
  if (window === undefined) return { open: true }
  const { notBefore, notAfter } = window
  const first = notBefore === undefined ? Number.NEGATIVE_INFINITY : Date.parse(notBefore)
  const last = notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter)
  if (now > last) return { open: false, why: `closed for good since ${notAfter}` }
  const opensAt = nextOpening(window, Math.max(now, first), last)
  if (opensAt === now) return { open: true }
  if (opensAt === undefined) return { open: false, why: `does not open again before ${notAfter}` }
  const opens = new Date(opensAt).toISOString()
  return { open: false, why: `opens at ${opens}`, opensAt }
}

/** The first moment, `from` at the earliest and `last` at the latest, at which the window is open. */
function nextOpening(window: PolicyWindow, from: number, last: number): number | undefined {
  if (openOnThisDay(window, from)) return from <= last ? from : undefined
  const midnight = Math.floor(from / DAY_MS) * DAY_MS
  const start = minutes(window.daily?.from ?? '00:00') * MINUTE_MS
  // Any day of the week comes within seven, and today's opening may be over already.
  for (let day = 0; day <= 7; day += 1) {
    const opening = midnight + day * DAY_MS + start
    if (opening > from && openOnThisDay(window, opening)) {
      return opening <= last ? opening : undefined
    }
  }
  return undefined
}

function openOnThisDay({ daily, days }: PolicyWindow, now: number): boolean {
  const date = new Date(now)
  const today = date.getUTCDay()
  const allowed = (day: number) => days === undefined || days.some((name) => name === DAYS[day])
  if (daily === undefined) return allowed(today)
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes()
  const from = minutes(daily.from)
  const to = minutes(daily.to)
  if (from < to) return allowed(today) && minute >= from && minute < to
  return (minute >= from && allowed(today)) || (minute < to && allowed((today + 6) % 7))
}

function minutes(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5))
}

/** Whether text is an RFC 3339 date and time that exists (section 5.6), with its zone in capitals. */
export function isDateTime(text: string): boolean {
  const match =
    /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,3})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/.exec(
      text,
    )
  if (match === null) return false
  const [, year, month, day] = match.map(Number)
  if (year === undefined || month === undefined || day === undefined) return false
  // Date.parse carries 31 February over into March; a person meant something else.
  const date = new Date(Date.UTC(year, month - 1, day))
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}
