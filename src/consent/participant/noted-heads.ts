// Heads of the audit, noted in a file that lies where the folder or database does not: on another disk, another
// machine, or behind a sync of one. A store that was put back to an older copy, a withdrawal taken back with it, is
// noticed by the last of them.

import { open, readFile } from 'node:fs/promises'
import { McbnError } from '../../errors.js'
import type { AuditHead } from '../audit/log.js'
import { type Clock, systemClock } from '../base/clock.js'
import type { StoreAudit } from '../store/replicas.js'

/** Milliseconds between two looks at whether the audit has gone on. */
const NOTE_MS = 60_000
const LINE = /^(\d{1,15}):([0-9a-f]{64})$/
/** What a crash leaves of a line, and an empty one. */
const TORN = /^(\d{1,15}(:[0-9a-f]{0,63})?)?$/

/** Reads one head as `mcbn participant audit` prints it: `<lines>:<hash>`. @returns `undefined` for anything else. */
export function parseHead(text: string): AuditHead | undefined {
  const [, lines, head] = LINE.exec(text) ?? []
  return head === undefined ? undefined : { lines: Number(lines), head }
}

/**
 * The heads in a file, the first noted first. A line that a crash left without its end is passed over.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` for a file that has something else, or cannot be read.
 */
export async function readHeads(path: string): Promise<AuditHead[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code } = Object(error) as { code?: unknown }
    if (code === 'ENOENT') return []
    throw invalid(`${path}: expected a file of noted heads, got ${code}`, error)
  }
  return text.split('\n').flatMap((line, at) => {
    const head = parseHead(line)
    if (head !== undefined) return [head]
    if (TORN.test(line)) return []
    throw invalid(`${path}: line ${at + 1}: expected <lines>:<64 hex digits>, got something else`)
  })
}

/**
 * Demands that the audit has what was noted last. To be asked before a participant is made, which writes a line.
 *
 * @returns what was noted last.
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` when the audit is shorter than was noted, or another one;
 * `MCBN_STORE_INVALID` for an unusable file.
 */
export async function demandNoted(
  audit: Pick<StoreAudit, 'head' | 'headAt'>,
  path: string,
): Promise<AuditHead | undefined> {
  const noted = (await readHeads(path)).at(-1)
  if (noted === undefined) return undefined
  const { lines } = audit.head
  if (lines < noted.lines) {
    throw new McbnError(
      'MCBN_AUDIT_BROKEN',
      `audit: expected at least ${noted.lines} lines, as ${path} has noted, got ${lines}: it was put back to an older state, and a withdrawal or leases may be missing in it`,
      { line: lines + 1 },
    )
  }
  if ((await audit.headAt(noted.lines))?.head === noted.head) return noted
  throw new McbnError(
    'MCBN_AUDIT_BROKEN',
    `audit: line ${noted.lines}: expected the hash that ${path} has noted, got another one or none`,
    { line: noted.lines },
  )
}

/** Notes heads until it is closed. */
export interface NotedHeads {
  /** Notes the last head and ends. */
  close(): Promise<void>
}

export interface NoteHeadsOptions {
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
  /** Told when a head could not be written; it is tried again. */
  readonly onError?: (error: Error) => void
}

/**
 * As {@link demandNoted}; then adds the audit's head now, once a minute when it has gone on, and at the end.
 *
 * @throws as `demandNoted`, and the system's error when the file cannot be written.
 */
export async function noteHeads(
  audit: StoreAudit,
  path: string,
  { clock = systemClock, onError = () => undefined }: NoteHeadsOptions = {},
): Promise<NotedHeads> {
  let last = await demandNoted(audit, path)
  /** Ends a line that was cut off, by a crash or a full disk: empty lines do no harm. */
  let begin = '\n'
  const note = async (): Promise<void> => {
    const { lines, head } = audit.head
    if (lines === last?.lines) return
    const file = await open(path, 'a', 0o600)
    try {
      const text = `${begin}${lines}:${head}\n`
      begin = '\n'
      await file.writeFile(text)
      await file.datasync()
      begin = ''
    } finally {
      await file.close()
    }
    last = { lines, head }
  }
  await note()
  let noting = Promise.resolve()
  let cancel: () => void = () => undefined
  const later = (): void => {
    cancel = clock.after(NOTE_MS, () => {
      noting = note().catch(onError)
      later()
    })
  }
  later()
  return {
    close: async () => {
      cancel()
      await noting
      await note()
    },
  }
}

function invalid(message: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_STORE_INVALID', message, cause === undefined ? {} : { cause })
}
