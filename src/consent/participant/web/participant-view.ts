// A real participant and its audit, as the page sees them.

import { McbnError } from '../../../errors.js'
import { type AuditLog, CHECKED_LINES, type AuditLine as ChainLine } from '../../audit/log.js'
import { fromUnixSeconds } from '../../base/time.js'
import type { Participant } from '../participant.js'
import type { AuditLine, AuditReport, ParticipantView } from './view.js'

/** What of an {@link AuditLog} is needed. */
export type AuditForPage = Pick<AuditLog, 'head' | 'recent' | 'check'>

/** @param audit - the log that the participant writes to; absent: the page says that there is no log. */
export function participantView(participant: Participant, audit?: AuditForPage): ParticipantView {
  return {
    status: () => participant.status(),
    pending: () => participant.pending(),
    decisions: () => participant.decisions(),
    leases: () => participant.leases(),
    approve: (id) => participant.approve(id),
    refuse: (id) => participant.refuse(id),
    withdraw: () => participant.withdraw(),
    audit: async (most) => (audit ? await report(audit, most) : NO_AUDIT),
    onChange(listener) {
      participant.on('changed', listener)
      return () => participant.removeListener('changed', listener)
    },
  }
}

const NO_AUDIT: AuditReport = { kept: false, lines: [], total: 0 }

async function report(audit: AuditForPage, most: number): Promise<AuditReport> {
  const broken = await verified(audit)
  const lines = audit.recent(most).toReversed().map(shownLine)
  const total = audit.head.lines
  const checked = Math.min(total, CHECKED_LINES)
  return { kept: true, lines, total, checked, ...(broken && { broken }) }
}

async function verified(audit: AuditForPage): Promise<AuditReport['broken'] | undefined> {
  try {
    await audit.check()
    return undefined
  } catch (error) {
    if (!(error instanceof McbnError)) return { line: 0, reason: 'it cannot be read' }
    return { line: error.line ?? 0, reason: error.message }
  }
}

function shownLine({ seq, time, event, prev: _, ...fields }: ChainLine): AuditLine {
  const details = Object.entries(fields).map(([name, value]) => [name, shown(name, value)] as const)
  return { number: seq, at: Date.parse(time), event, details }
}

function shown(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' && name.endsWith('At')) {
    // The one field that repeats a signed document's time.
    const date = new Date(name === 'withdrawnAt' ? fromUnixSeconds(value) : value)
    return Number.isNaN(date.getTime()) ? String(value) : date.toISOString()
  }
  return JSON.stringify(value)
}
