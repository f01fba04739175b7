// Heads of the audit, noted where the folder or database is not. A store that was put back to an older copy, a
// withdrawal taken back with it, is noticed by the last of them.

import { McbnError } from '../../../errors.js'
import type { AuditHead } from '../../audit/log.js'
import { type Clock, systemClock } from '../../base/clock.js'
import type { StoreAudit } from '../../store/replicas.js'

/** Where heads are noted: a file (`file.ts`), an HTTP address (`http.ts`), a log that all can watch (`log.ts`). */
export interface HeadPlace {
  /** For messages. */
  readonly name: string
  /**
   * What was noted last.
   *
   * @throws {McbnError} when that cannot be told: the audit is not trusted then.
   */
  last(): Promise<AuditHead | undefined>
  /** Adds one; resolves when it is kept there. */
  note(head: AuditHead): Promise<void>
}

/** Milliseconds between two looks at whether the audit has gone on. */
const NOTE_MS = 60_000
const LINE = /^(\d{1,15}):([0-9a-f]{64})$/

/** Reads one head as `mcbn participant audit` prints it: `<lines>:<hash>`. @returns `undefined` for anything else. */
export function parseHead(text: string): AuditHead | undefined {
  const [, lines, head] = LINE.exec(text) ?? []
  return head === undefined ? undefined : { lines: Number(lines), head }
}

export function headText({ lines, head }: AuditHead): string {
  return `${lines}:${head}`
}

/** The one that tells most. */
export function latest(heads: Iterable<AuditHead>): AuditHead | undefined {
  let last: AuditHead | undefined
  for (const head of heads) if (last === undefined || head.lines >= last.lines) last = head
  return last
}

/** What a place has told. */
export interface Asked {
  readonly last: AuditHead | undefined
}

/**
 * Demands that the audit has what was noted last. To be asked before a participant is made, which writes a line.
 *
 * @returns what was noted last, for `noteHeads`, so that the place is asked once.
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` when the audit is shorter than was noted, or another one; and as
 * `HeadPlace.last`.
 */
export async function demandNoted(
  audit: Pick<StoreAudit, 'head' | 'headAt'>,
  place: HeadPlace,
): Promise<Asked> {
  const noted = await place.last()
  if (noted === undefined) return { last: undefined }
  const { lines } = audit.head
  if (lines < noted.lines) {
    throw new McbnError(
      'MCBN_AUDIT_BROKEN',
      `audit: expected at least ${noted.lines} lines, as ${place.name} has noted, got ${lines}: it was put back to an older state, and a withdrawal or leases may be missing in it`,
      { line: lines + 1 },
    )
  }
  if ((await audit.headAt(noted.lines))?.head === noted.head) return { last: noted }
  throw new McbnError(
    'MCBN_AUDIT_BROKEN',
    `audit: line ${noted.lines}: expected the hash that ${place.name} has noted, got another one or none`,
    { line: noted.lines },
  )
}

/** Notes heads until it is closed. */
export interface NotedHeads {
  /** Notes the last head and ends. */
  close(): Promise<void>
}

export interface NoteHeadsOptions {
  /** What {@link demandNoted} has just returned. @defaultValue it is asked now */
  readonly asked?: Asked
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
  /** Told when a head could not be noted; it is tried again a minute later. */
  readonly onError?: (error: Error) => void
}

/**
 * As {@link demandNoted}, unless that was done; then adds the audit's head now, once a minute when it has gone
 * on, and at the end.
 *
 * @throws as `demandNoted`, and what `HeadPlace.note` throws the first time.
 */
export async function noteHeads(
  audit: StoreAudit,
  place: HeadPlace,
  { asked, clock = systemClock, onError = () => undefined }: NoteHeadsOptions = {},
): Promise<NotedHeads> {
  let { last } = asked ?? (await demandNoted(audit, place))
  const note = async (): Promise<void> => {
    const { lines, head } = audit.head
    if (lines === last?.lines) return
    await place.note({ lines, head })
    last = { lines, head }
  }
  await note()
  let noting = Promise.resolve()
  let cancel: () => void = () => undefined
  const later = (): void => {
    cancel = clock.after(NOTE_MS, () => {
      // One after the other: an address that hangs must not be asked ever more often.
      noting = noting.then(note).catch(onError)
      later()
    })
  }
  later()
  return {
    close: async () => {
      cancel()
      await noting
      await note().catch(onError)
    },
  }
}
