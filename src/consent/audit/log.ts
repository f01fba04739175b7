// A participant's audit: append-only JSON lines, chained by hashes. A release waits for its line, so what
// has left is never missing here.

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { integerOption } from '../../options.js'
import type { Clock } from '../base/clock.js'
import { systemClock } from '../base/clock.js'
import { publicKeyText } from '../base/keys.js'
import {
  type AuditHead,
  type AuditLine,
  type ChainedLine,
  chained,
  checkLine,
  claimedBefore,
  EMPTY_CHAIN,
  lineAfter,
  type PreparedEntry,
  prepareEntry,
} from './chain.js'
import {
  type Carried,
  CHECKPOINT_LINES,
  type CheckpointKey,
  type CheckpointSigner,
  checkpointAfter,
  checkpointLines,
} from './checkpoint.js'
import { AUDIT_EVENTS, type AuditEntry } from './events.js'
import { type AuditSink, openAuditFile } from './file.js'
import { walk } from './read.js'
import { verified } from './verify.js'

export type { AuditHead, AuditLine } from './chain.js'
export type { Carried, CheckpointKey, CheckpointSigner } from './checkpoint.js'
export type { AuditEntry, AuditEventType } from './events.js'
export type { AuditSource } from './read.js'
export type { AuditReading, ReadAuditOptions, VerifyAuditOptions } from './verify.js'
export { readAudit, verifyAudit } from './verify.js'

export interface AuditLogOptions {
  /**
   * Whether each line waits for the disk (fdatasync); lines that come together share one wait. Without it a
   * power failure can lose the last lines, which the chain does not show. @defaultValue true
   */
  readonly fsync?: boolean
  /** Tells the lines' times. @defaultValue the machine's clock */
  readonly clock?: Clock
  /** Hears each line once it is kept, oldest first: those that were read when it was opened, then each new one. */
  readonly onLine?: (line: AuditLine) => void
  /** Makes the audit begin a new file now and then. @defaultValue none: one file, all of it read when it is opened */
  readonly checkpoints?: AuditCheckpoints
}

/** How an audit is cut into segments, of which only the last is read when it is opened. */
export interface AuditCheckpoints extends CheckpointSigner {
  /** What of all lines so far still counts; asked when a segment begins. @defaultValue nothing */
  readonly carry?: (now: number) => Carried
  /**
   * Lines of a segment, at the least; four times as many as are carried where that is more.
   * @defaultValue 1_024
   */
  readonly lines?: number
}

const OPTIONS = {
  fsync: undefined,
  clock: undefined,
  onLine: undefined,
  checkpoints: undefined,
} as const satisfies OptionTable<AuditLogOptions>

/** Lines that {@link AuditLog.check} looks at, and {@link AuditLog.recent} remembers. */
export const CHECKED_LINES = 256
/** Lines an audit without a file keeps; older ones are forgotten, and it verifies from where it begins. */
const KEEP_IN_MEMORY = 10_000

interface Segmenting {
  /** Until the audit is closed: OpenSSL wipes a key once nobody has its object. */
  signer: CheckpointSigner | undefined
  readonly carry: (now: number) => Carried
  readonly least: number
  /** Lines behind the last checkpoint, and at how many the next is due. */
  since: number
  due: number
}

interface Opened {
  readonly sink: AuditSink
  readonly clock: Clock
  readonly head: AuditHead
  readonly onLine: ((line: AuditLine) => void) | undefined
  readonly signedBy: CheckpointKey | undefined
  readonly segmenting: Segmenting | undefined
}

/** An audit that is being written; one process at a time. */
export class AuditLog {
  readonly #opened: Opened
  #recent: AuditLine[] = []
  /** As far as the disk has it. */
  #kept: AuditHead
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #closed = false

  private constructor(opened: Opened) {
    this.#opened = opened
    this.#kept = opened.head
  }

  /**
   * Opens an audit, or creates it (file mode 0600), and verifies it before going on: every line, or with
   * `checkpoints` those from the last signed one on.
   *
   * A last line that a crash left without its end was never confirmed to anybody. It is moved to a
   * file beside it (`audit.jsonl.torn-<line>`), and a line `repaired` says so.
   *
   * @param path - of its first file; those that follow are beside it, see CONSENT.md, section 10.
   * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line` for any other damage; nothing is changed then.
   */
  static async open(path: string, options: AuditLogOptions = {}): Promise<AuditLog> {
    refuseUnknown('AuditLog.open', options, OPTIONS)
    const { fsync = true, clock = systemClock, onLine, checkpoints } = options
    const signedBy = checkpoints && {
      label: checkpoints.label,
      ed25519: publicKeyText(checkpoints.privateKey),
    }
    const found = await openAuditFile(path, fsync, { onLine, signedBy })
    const { sink, head, setAside } = found
    const segmenting = checkpoints && segmentingOf(checkpoints, found)
    const log = new AuditLog({ sink, clock, head, onLine, signedBy, segmenting })
    try {
      log.#recent = await log.#tail(head)
      if (setAside !== undefined) {
        await log.append({ type: 'repaired', line: head.lines + 1, ...setAside })
      }
    } catch (error) {
      await log.close()
      throw error
    }
    return log
  }

  /** An audit without a file, for tests and embedding: keeps the last 10,000 lines. */
  static inMemory(options: Pick<AuditLogOptions, 'clock'> = {}): AuditLog {
    refuseUnknown('AuditLog.inMemory', options, { clock: undefined })
    const { clock = systemClock } = options
    return new AuditLog({
      ...{ sink: new MemorySink(), clock, head: EMPTY_CHAIN },
      ...{ onLine: undefined, signedBy: undefined, segmenting: undefined },
    })
  }

  /** Of the lines that are kept. */
  get head(): AuditHead {
    return this.#kept
  }

  /**
   * Adds a line. Lines stand in the order of the calls.
   *
   * @returns the line, when it is kept.
   * @throws {McbnError} `MCBN_OPTION_TYPE` for an event or field that no audit has; `MCBN_AUDIT_BROKEN`
   * when it cannot be written: then nothing of it is kept, and what it tells must not happen.
   */
  async append(entry: AuditEntry): Promise<AuditLine> {
    if (this.#closed) throw new McbnError('MCBN_SOCKET_CLOSED', 'the audit is closed')
    if (!AUDIT_EVENTS.includes(entry.type)) {
      throw new McbnError(
        'MCBN_OPTION_TYPE',
        `audit: type: expected one of ${AUDIT_EVENTS.join(', ')}`,
      )
    }
    const prepared = prepareEntry(entry, this.#opened.clock.wall())
    return await new Promise<AuditLine>((resolve, reject) => {
      this.#waiting.push({ prepared, resolve, reject })
      this.#flushing ??= this.#flush()
    })
  }

  /** The last lines, oldest first; at most 256. */
  recent(most = CHECKED_LINES): readonly AuditLine[] {
    return this.#recent.slice(-Math.max(1, most))
  }

  /** Reads and checks all that is kept. @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`. */
  async verify(): Promise<AuditHead> {
    const { sink, signedBy } = this.#opened
    const demands = { noted: this.#kept, ...(signedBy && { signedBy }) }
    let head = EMPTY_CHAIN
    for await (const step of verified(sink.read(), demands, sink.from)) head = step.head
    return head
  }

  /**
   * Reads and checks the last 256 lines, which takes as long however many there are.
   * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`.
   */
  async check(): Promise<AuditHead> {
    const noted = this.#kept
    await this.#tail(noted)
    return noted
  }

  /**
   * The head as it was after so many lines: of the one segment that has the last of them, which alone is read.
   *
   * @returns `undefined` where that line is not, or not any more.
   */
  async headAt(lines: number): Promise<AuditHead | undefined> {
    for await (const step of walk(this.#opened.sink.around(lines), 'claimed')) {
      if (step.head.lines === lines) return step.head
    }
    return undefined
  }

  /** All that is kept, as it is in the files. */
  bytes(): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
    return this.#opened.sink.read()
  }

  /** Waits for the lines on their way and closes. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#flushing
    if (this.#opened.segmenting !== undefined) this.#opened.segmenting.signer = undefined
    await this.#opened.sink.close()
  }

  /** The last lines as they are kept now, which have to lead to `noted`. */
  async #tail(noted: AuditHead): Promise<AuditLine[]> {
    const lines = await this.#opened.sink.last(CHECKED_LINES)
    const [first] = lines
    const from = first === undefined ? EMPTY_CHAIN : claimedBefore(first)
    const source = lines.map((line) => Buffer.concat([line, NEWLINE]))
    const found: AuditLine[] = []
    for await (const { line } of verified(source, { noted }, from)) found.push(line)
    return found
  }

  /** One write and one wait for the disk for all lines that have come meanwhile. */
  async #flush(): Promise<void> {
    const { sink } = this.#opened
    while (this.#waiting.length > 0) {
      await this.#beginSegment()
      const batch = this.#waiting
      this.#waiting = []
      const made: ChainedLine[] = []
      for (const { prepared } of batch) {
        made.push(chained(lineAfter(made.at(-1)?.head ?? this.#kept, prepared)))
      }
      try {
        await sink.add(Buffer.concat(made.map(({ bytes }) => bytes)))
      } catch (error) {
        for (const { reject } of batch) reject(error)
        continue
      }
      this.#keep(made)
      for (const [at, { resolve }] of batch.entries()) resolve((made[at] as ChainedLine).line)
    }
    this.#flushing = undefined
  }

  #keep(made: readonly ChainedLine[]): void {
    const { segmenting, onLine } = this.#opened
    for (const { line, head } of made) {
      this.#kept = head
      this.#recent.push(line)
      onLine?.(line)
    }
    if (segmenting !== undefined) segmenting.since += made.length
    this.#recent.splice(0, Math.max(0, this.#recent.length - CHECKED_LINES))
  }

  /** Where one is due. An audit that cannot begin a segment, the disk being full, goes on in the one it has. */
  async #beginSegment(): Promise<void> {
    const { segmenting, sink, clock } = this.#opened
    if (segmenting?.signer === undefined || segmenting.since < segmenting.due) return
    const { signer, carry, least } = segmenting
    const now = clock.wall()
    let carried: Carried
    let made: readonly ChainedLine[]
    try {
      carried = carry(now)
      made = checkpointLines(this.#kept, carried, signer, now)
      await sink.begin(Buffer.concat(made.map(({ bytes }) => bytes)), this.#kept.lines + 1)
    } catch {
      segmenting.due = segmenting.since + least
      return
    }
    this.#keep(made)
    segmenting.since = 0
    segmenting.due = checkpointAfter(carried.lines.length, least)
  }
}

const NEWLINE = Buffer.from('\n')
const NOTHING: Carried = { lines: [], standing: {} }

interface Waiting {
  readonly prepared: PreparedEntry
  readonly resolve: (line: AuditLine) => void
  readonly reject: (error: unknown) => void
}

function segmentingOf(
  { label, privateKey, carry = () => NOTHING, lines }: AuditCheckpoints,
  { sinceCheckpoint, carried }: { readonly sinceCheckpoint: number; readonly carried: number },
): Segmenting {
  const range = { min: 1, max: 1_000_000 }
  const least = integerOption('checkpoints.lines', lines, range, CHECKPOINT_LINES)
  const due = checkpointAfter(carried, least)
  return { signer: { label, privateKey }, carry, least, since: sinceCheckpoint, due }
}

class MemorySink implements AuditSink {
  readonly #lines: Buffer[] = []
  from: AuditHead = EMPTY_CHAIN

  add(bytes: Buffer): Promise<void> {
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(0x0a, start) + 1
      this.#lines.push(bytes.subarray(start, end))
      start = end
    }
    while (this.#lines.length > KEEP_IN_MEMORY) {
      const oldest = this.#lines.shift()
      if (oldest !== undefined) this.from = checkLine(this.from, oldest.subarray(0, -1)).head
    }
    return Promise.resolve()
  }

  begin(): Promise<void> {
    throw new McbnError('MCBN_INTERNAL', 'an audit in memory has one segment')
  }

  last(most: number): Promise<Buffer[]> {
    return Promise.resolve(this.#lines.slice(-most).map((line) => line.subarray(0, -1)))
  }

  around(): Iterable<Uint8Array> {
    return this.read()
  }

  read(): Iterable<Uint8Array> {
    return [...this.#lines]
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
