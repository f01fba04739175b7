// A participant's audit: append-only JSON lines, chained by hashes. A release waits for its line, so what
// has left is never missing here.

import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import type { Clock } from '../base/clock.js'
import { systemClock } from '../base/clock.js'
import {
  type AuditHead,
  type AuditLine,
  broken,
  checkLine,
  EMPTY_CHAIN,
  nextLine,
} from './chain.js'
import type { AuditEntry } from './events.js'
import { type AuditSink, openAuditFile } from './file.js'
import { type AuditSource, walk } from './read.js'

export type { AuditHead, AuditLine } from './chain.js'
export type { AuditEntry, AuditEventType } from './events.js'
export type { AuditSource } from './read.js'

export interface AuditLogOptions {
  /**
   * Whether each line waits for the disk (fdatasync); lines that come together share one wait. Without it a
   * power failure can lose the last lines, which the chain does not show. @defaultValue true
   */
  readonly fsync?: boolean
  /** Tells the lines' times. @defaultValue the machine's clock */
  readonly clock?: Clock
  /** Hears each line that the file has already, oldest first, once it is verified. */
  readonly onLine?: (line: AuditLine) => void
}

const OPTIONS = {
  fsync: undefined,
  clock: undefined,
  onLine: undefined,
} as const satisfies OptionTable<AuditLogOptions>

/** Lines kept in memory for {@link AuditLog.recent}. */
const KEEP_RECENT = 256
/** Lines an audit without a file keeps; older ones are forgotten, and it verifies from where it begins. */
const KEEP_IN_MEMORY = 10_000

/** An audit that is being written; one process at a time. */
export class AuditLog {
  readonly #sink: AuditSink
  readonly #clock: Clock
  readonly #recent: AuditLine[]
  readonly #verifyFrom: () => AuditHead
  /** As far as the disk has it. */
  #kept: AuditHead
  /** With the lines that are on their way. */
  #head: AuditHead
  #waiting: Waiting[] = []
  #flushing: Promise<void> | undefined
  #closed = false

  private constructor(
    sink: AuditSink,
    clock: Clock,
    head: AuditHead,
    recent: readonly AuditLine[],
    verifyFrom: () => AuditHead,
  ) {
    this.#sink = sink
    this.#clock = clock
    this.#kept = head
    this.#head = head
    this.#recent = [...recent]
    this.#verifyFrom = verifyFrom
  }

  /**
   * Opens an audit's file, or creates it (mode 0600), and verifies every line in it before going on.
   *
   * A last line that a crash left without its end was never confirmed to anybody. It is moved to a
   * file beside it (`audit.jsonl.torn-<line>`), and a line `repaired` says so.
   *
   * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line` for any other damage; nothing is changed then.
   */
  static async open(path: string, options: AuditLogOptions = {}): Promise<AuditLog> {
    refuseUnknown('AuditLog.open', options, OPTIONS)
    const { fsync = true, clock = systemClock, onLine } = options
    const hear = { keepRecent: KEEP_RECENT, onLine }
    const { sink, head, recent, setAside } = await openAuditFile(path, fsync, hear)
    const log = new AuditLog(sink, clock, head, recent, () => EMPTY_CHAIN)
    if (setAside !== undefined) {
      try {
        await log.append({ type: 'repaired', line: head.lines + 1, ...setAside })
      } catch (error) {
        await log.close()
        throw error
      }
    }
    return log
  }

  /** An audit without a file, for tests and embedding: keeps the last 10,000 lines. */
  static inMemory(options: Pick<AuditLogOptions, 'clock'> = {}): AuditLog {
    refuseUnknown('AuditLog.inMemory', options, { clock: undefined })
    const sink = new MemorySink()
    return new AuditLog(sink, options.clock ?? systemClock, EMPTY_CHAIN, [], () => sink.from)
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
    const { bytes, line, head } = nextLine(this.#head, entry, this.#clock.wall())
    this.#head = head
    return await new Promise<AuditLine>((resolve, reject) => {
      this.#waiting.push({ bytes, line, head, resolve, reject })
      this.#flushing ??= this.#flush()
    })
  }

  /** The last lines, oldest first; at most 256. */
  recent(most = KEEP_RECENT): readonly AuditLine[] {
    return this.#recent.slice(-Math.max(1, most))
  }

  /** Reads and checks all that is kept. @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`. */
  async verify(): Promise<AuditHead> {
    const kept = this.#kept
    const found = await verifyChain(this.#sink.read(), this.#verifyFrom(), kept)
    return found
  }

  /** All that is kept, as it is in the file. */
  bytes(): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
    return this.#sink.read()
  }

  /** Waits for the lines on their way and closes. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#flushing
    await this.#sink.close()
  }

  /** One write and one wait for the disk for all lines that have come meanwhile. */
  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      try {
        await this.#sink.add(Buffer.concat(batch.map(({ bytes }) => bytes)))
      } catch (error) {
        // The lines since then carry hashes of lines that do not exist: they fail with them.
        const lost = [...batch, ...this.#waiting]
        this.#waiting = []
        this.#head = this.#kept
        for (const { reject } of lost) reject(error)
        continue
      }
      for (const { line, head, resolve } of batch) {
        this.#kept = head
        this.#recent.push(line)
        resolve(line)
      }
      this.#recent.splice(0, Math.max(0, this.#recent.length - KEEP_RECENT))
    }
    this.#flushing = undefined
  }
}

interface Waiting {
  readonly bytes: Buffer
  readonly line: AuditLine
  readonly head: AuditHead
  readonly resolve: (line: AuditLine) => void
  readonly reject: (error: unknown) => void
}

class MemorySink implements AuditSink {
  readonly #lines: Buffer[] = []
  /** What comes before the first line that is still kept. */
  from = EMPTY_CHAIN

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

  read(): Iterable<Uint8Array> {
    return [...this.#lines]
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

export interface VerifyAuditOptions {
  /** A head noted earlier, elsewhere: the audit has to go on from exactly there, so its end is not cut off. */
  readonly noted?: AuditHead
}

const VERIFY_OPTIONS = {
  noted: undefined,
} as const satisfies OptionTable<VerifyAuditOptions>

/**
 * Verifies an audit from its first line to its last.
 *
 * @param source - a path, or the bytes in any pieces.
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`: the first that was altered, removed, added or torn.
 */
export async function verifyAudit(
  source: AuditSource,
  options: VerifyAuditOptions = {},
): Promise<AuditHead> {
  refuseUnknown('verifyAudit', options, VERIFY_OPTIONS)
  return await verifyChain(source, EMPTY_CHAIN, options.noted)
}

/** An audit as far as it holds. */
export interface AuditReading extends AuditHead {
  /** The last lines, oldest first. */
  readonly last: readonly AuditLine[]
  /** What ended the reading early; its `line` says where. */
  readonly broken?: McbnError
}

/** Verifies an audit and returns its last lines; where it is broken, those before. Throws nothing for that. */
export async function readAudit(source: AuditSource, most = KEEP_RECENT): Promise<AuditReading> {
  let head = EMPTY_CHAIN
  const last: AuditLine[] = []
  try {
    for await (const step of walk(source)) {
      if ('torn' in step) throw torn(step.head)
      head = step.head
      last.push(step.line)
      if (last.length > most) last.shift()
    }
  } catch (error) {
    if (!(error instanceof McbnError)) throw error
    return { ...head, last, broken: error }
  }
  return { ...head, last }
}

async function verifyChain(
  source: AuditSource,
  from: AuditHead,
  noted: AuditHead | undefined,
): Promise<AuditHead> {
  let head = from
  const compare = () => {
    if (noted?.lines !== head.lines || noted.head === head.head) return
    throw broken(head.lines, 'expected the hash that was noted earlier, got another one')
  }
  compare()
  for await (const step of walk(source, from)) {
    if ('torn' in step) throw torn(step.head)
    head = step.head
    compare()
  }
  if (noted !== undefined && noted.lines > head.lines) {
    throw broken(
      head.lines + 1,
      `expected ${noted.lines} lines, as noted earlier, got ${head.lines}`,
    )
  }
  return head
}

function torn(head: AuditHead): McbnError {
  return broken(
    head.lines + 1,
    'expected a line with its end, got a torn one; a crash leaves this, and the next start repairs it',
  )
}
