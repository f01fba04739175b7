// The audit in the database, and the one way to change anything: a transaction that has locked the
// participant's row, has heard every line that others wrote before, and only then decides. The row's lock ends
// with its connection, however a process ends; a process whose generation has passed, or whose memory is ahead
// of the database, is refused (it is fenced off).

import { McbnError } from '../../../errors.js'
import {
  type AuditHead,
  type AuditLine,
  type ChainedLine,
  checkLine,
  claimedBefore,
  nextLine,
} from '../../audit/chain.js'
import {
  CHECKPOINT_LINES,
  type CheckpointSigner,
  checkpointAfter,
  checkpointLines,
} from '../../audit/checkpoint.js'
import type { AuditEntry } from '../../audit/events.js'
import { CHECKED_LINES } from '../../audit/log.js'
import { verifyAudit } from '../../audit/verify.js'
import type { Clock } from '../../base/clock.js'
import { publicKeyText } from '../../base/keys.js'
import type { StateDocument } from '../documents.js'
import { parseState } from '../documents.js'
import { invalid } from '../files.js'
import type { History } from '../history.js'
import type { ReplicaEars, StoreAudit } from '../replicas.js'
import { type Connection, type Database, failed, transaction } from './connection.js'
import { verifiedRows } from './lines.js'

/** Lines read at once while catching up. */
const PAGE = 500
/** Changes in one transaction: they share one wait for the disk. */
const MOST_AT_ONCE = 64

/** The row as far as it changes while a participant runs. */
export interface Row {
  readonly generation: number
  readonly lines: number
  readonly head: string
  readonly stateVersion: number
  /** The line that the last checkpoint begins with; 0: there is none. */
  readonly checkpoint: number
}

/** What a change finds, and what it leaves. */
export interface Step {
  readonly client: Connection
  /** The state as it is stored now. */
  readonly state: StateDocument
  /** Adds a line. */
  line(entry: AuditEntry): void
  /** Replaces the state. */
  save(text: string): void
}

interface Waiting {
  readonly change: (step: Step) => Promise<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

export interface LedgerOptions {
  readonly pool: Database
  readonly name: string
  readonly label: string
  readonly clock: Clock
  readonly row: Row
  readonly state: StateDocument
  /** The last lines, oldest first. */
  readonly recent: readonly AuditLine[]
  /** Has heard what there is; hears what comes. */
  readonly history: History
  /** Signs checkpoints. */
  readonly signer: CheckpointSigner
}

export class Ledger implements StoreAudit {
  readonly #pool: Database
  readonly #name: string
  readonly #label: string
  readonly #clock: Clock
  #row: Row
  #state: StateDocument
  readonly #recent: AuditLine[]
  readonly #history: History
  readonly #signer: CheckpointSigner
  /** Lines behind a checkpoint at which the next is due. */
  #due = CHECKPOINT_LINES
  #ears: ReplicaEars | undefined
  #waiting: Waiting[] = []
  #working: Promise<void> | undefined
  #closed = false

  constructor(options: LedgerOptions) {
    const { pool, name, label, clock, row, state, recent, history, signer } = options
    this.#pool = pool
    this.#name = name
    this.#label = label
    this.#clock = clock
    this.#row = row
    this.#state = state
    this.#recent = [...recent]
    this.#history = history
    this.#signer = signer
  }

  /** As it was stored when it was heard of last. */
  get state(): StateDocument {
    return this.#state
  }

  get head(): AuditHead {
    return { lines: this.#row.lines, head: this.#row.head }
  }

  listen(ears: ReplicaEars): void {
    this.#ears = ears
  }

  recent(most = CHECKED_LINES): readonly AuditLine[] {
    return this.#recent.slice(-Math.max(1, most))
  }

  async verify(): Promise<AuditHead> {
    const { label, privateKey } = this.#signer
    const signedBy = { label, ed25519: publicKeyText(privateKey) }
    return await verifyAudit(this.lines(), { noted: this.head, signedBy })
  }

  async headAt(lines: number): Promise<AuditHead | undefined> {
    const { rows } = await this.#pool.query<{ line: string }>(
      'SELECT line FROM mcbn_audit WHERE label = $1 AND seq = $2',
      [this.#label, lines],
    )
    const [row] = rows
    if (row === undefined) return undefined
    const json = Buffer.from(row.line)
    return checkLine(claimedBefore(json), json).head
  }

  /** Reads and checks the last 256 lines. */
  async check(): Promise<AuditHead> {
    const noted = this.head
    const { rows } = await this.#pool.query<{ line: string }>(
      'SELECT line FROM mcbn_audit WHERE label = $1 AND seq > $2 AND seq <= $3 ORDER BY seq',
      [this.#label, noted.lines - CHECKED_LINES, noted.lines],
    )
    await verifiedRows(rows, noted)
    return noted
  }

  async append(entry: AuditEntry): Promise<void> {
    // Read now: a mistake of the program must not fail those that it shares a transaction with.
    nextLine(this.head, entry, this.#clock.wall())
    await this.change(async (step) => step.line(entry))
  }

  /**
   * Makes a change in its turn. Those that come meanwhile share one transaction: one that throws takes its own
   * lines and state back, and no other's.
   */
  async change<Result>(change: (step: Step) => Promise<Result>): Promise<Result> {
    if (this.#closed) throw new McbnError('MCBN_SOCKET_CLOSED', 'the store is closed')
    return await new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ change, resolve: resolve as (value: unknown) => void, reject })
      this.#working ??= this.#work()
    })
  }

  /** Hears what others have done. */
  async refresh(): Promise<void> {
    await this.change(async () => undefined)
  }

  /** All lines, from the first; for `verifyAudit` and `readAudit`. */
  async *lines(): AsyncGenerator<Uint8Array> {
    for (let after = 0; ; ) {
      const { rows } = await this.#pool.query<{ seq: string; line: string }>(
        'SELECT seq, line FROM mcbn_audit WHERE label = $1 AND seq > $2 ORDER BY seq LIMIT $3',
        [this.#label, after, PAGE],
      )
      if (rows.length === 0) return
      for (const { line } of rows) yield Buffer.from(`${line}\n`)
      after = Number(rows.at(-1)?.seq)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#working
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MOST_AT_ONCE)
      const settle: (() => void)[] = []
      try {
        await transaction(this.#pool, this.#name, (client) => this.#run(client, batch, settle))
        for (const each of settle) each()
      } catch (error) {
        for (const { reject } of batch) reject(failed(this.#name, error))
      }
    }
    this.#working = undefined
  }

  async #run(client: Connection, batch: readonly Waiting[], settle: (() => void)[]): Promise<void> {
    await this.#catchUp(client, await lockRow(client, this.#label))
    const now = this.#clock.wall()
    const added: ChainedLine[] = [...this.#checkpoint(now)]
    const checkpoint = added[0]?.line.seq ?? this.#row.checkpoint
    let head: AuditHead = added.at(-1)?.head ?? this.head
    let state = this.#state
    let stateText: string | undefined
    for (const { change, resolve, reject } of batch) {
      const lines: AuditEntry[] = []
      let saved: string | undefined
      const step: Step = {
        client,
        state,
        line: (entry) => void lines.push(entry),
        save: (text) => {
          saved = text
        },
      }
      await client.query('SAVEPOINT change')
      try {
        const result = await change(step)
        const next = saved === undefined ? state : parseState(Buffer.from(saved))
        const mine: ChainedLine[] = []
        for (const entry of lines) mine.push(nextLine(mine.at(-1)?.head ?? head, entry, now))
        head = mine.at(-1)?.head ?? head
        added.push(...mine)
        state = next
        stateText = saved ?? stateText
        settle.push(() => resolve(result))
      } catch (error) {
        await client.query('ROLLBACK TO SAVEPOINT change')
        settle.push(() => reject(error))
      }
    }
    if (added.length === 0 && stateText === undefined) return
    const row: Row = {
      ...this.#row,
      lines: head.lines,
      head: head.head,
      stateVersion: this.#row.stateVersion + (stateText === undefined ? 0 : 1),
      checkpoint,
    }
    await client.query(
      'INSERT INTO mcbn_audit (label, seq, at, line) SELECT $1, seq, $2, line FROM unnest($3::bigint[], $4::text[]) AS added (seq, line)',
      [
        this.#label,
        now,
        added.map(({ line }) => line.seq),
        added.map(({ bytes }) => jsonOf(bytes)),
      ],
    )
    await client.query(
      'UPDATE mcbn_participant SET lines = $2, head = $3, state = coalesce($4, state), state_version = $5, checkpoint = $6 WHERE label = $1',
      [this.#label, row.lines, row.head, stateText ?? null, row.stateVersion, row.checkpoint],
    )
    // In force only with the commit: before it, everything here may still be taken back.
    settle.unshift(() => {
      this.#row = row
      this.#state = state
      for (const { line } of added) this.#remember(line)
    })
  }

  /** The lines of a checkpoint where one is due: before all others, of what was so until now. */
  #checkpoint(now: number): readonly ChainedLine[] {
    const { lines, checkpoint } = this.#row
    if (lines - checkpoint < this.#due) return []
    const carried = this.#history.carry(now)
    this.#due = checkpointAfter(carried.lines.length)
    if (lines - checkpoint < this.#due) return []
    return checkpointLines(this.head, carried, this.#signer, now)
  }

  /** Hears the lines that others wrote, each checked against the chain. */
  async #catchUp(client: Connection, found: Row): Promise<void> {
    this.#demandStanding(found)
    while (this.#row.lines < found.lines) {
      const { rows } = await client.query<{ line: string }>(
        'SELECT line FROM mcbn_audit WHERE label = $1 AND seq > $2 ORDER BY seq LIMIT $3',
        [this.#label, this.#row.lines, PAGE],
      )
      if (rows.length === 0)
        throw invalid(`${this.#name}: expected ${found.lines} lines of the audit, got fewer`)
      for (const { line: json } of rows) {
        const { line, head } = checkLine(this.head, Buffer.from(json))
        this.#row = { ...this.#row, ...head }
        this.#remember(line)
        this.#ears?.line(line)
      }
    }
    if (found.head !== this.#row.head) {
      throw invalid(`${this.#name}: expected the audit that this process knows, got another one`)
    }
    this.#row = { ...this.#row, checkpoint: found.checkpoint }
    if (found.stateVersion === this.#row.stateVersion) return
    this.#state = await readState(client, this.#label)
    this.#row = { ...this.#row, stateVersion: found.stateVersion }
    this.#ears?.state(this.#state)
  }

  #demandStanding(found: Row): void {
    if (found.generation !== this.#row.generation) {
      throw invalid(
        `${this.#name}: expected the epoch that this process serves, got a later one; start it anew`,
      )
    }
    if (found.lines >= this.#row.lines && found.stateVersion >= this.#row.stateVersion) return
    throw invalid(
      `${this.#name}: expected at least ${this.#row.lines} lines of the audit, got ${found.lines}: the database went back in time; nothing is released any more`,
    )
  }

  #remember(line: AuditLine): void {
    this.#history.hear(line)
    this.#recent.push(line)
    if (this.#recent.length > CHECKED_LINES) this.#recent.shift()
  }
}

/** Locks the participant's row for this transaction. */
export async function lockRow(client: Connection, label: string): Promise<Row> {
  const { rows } = await client.query<
    Record<'generation' | 'lines' | 'head' | 'state_version' | 'checkpoint', string>
  >(
    'SELECT generation, lines, head, state_version, checkpoint FROM mcbn_participant WHERE label = $1 FOR UPDATE',
    [label],
  )
  const [row] = rows
  if (row === undefined) throw invalid(`database: expected participant ${label}, got none`)
  const { generation, lines, head, state_version, checkpoint } = row
  return {
    generation: Number(generation),
    lines: Number(lines),
    head,
    stateVersion: Number(state_version),
    checkpoint: Number(checkpoint),
  }
}

async function readState(client: Connection, label: string): Promise<StateDocument> {
  const { rows } = await client.query<{ state: string }>(
    'SELECT state FROM mcbn_participant WHERE label = $1',
    [label],
  )
  return parseState(Buffer.from(`${rows[0]?.state}`))
}

function jsonOf(bytes: Buffer): string {
  return bytes.subarray(0, -1).toString('utf8')
}
