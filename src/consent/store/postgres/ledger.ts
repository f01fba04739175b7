// The audit in the database, and the one way to change anything: a transaction that has locked the
// participant's row, has heard every line that others wrote before, and only then decides. The row's lock ends
// with its connection, however a process ends; a process whose generation has passed, or whose memory is ahead
// of the database, is refused (it is fenced off).

import { McbnError } from '../../../errors.js'
import {
  type AuditHead,
  type AuditLine,
  type ChainedLine,
  chained,
  checkLine,
  claimedBefore,
  lineAfter,
  nextLine,
  type PreparedEntry,
  prepareEntry,
} from '../../audit/chain.js'
import {
  CHECKPOINT_LINES,
  type CheckpointKey,
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
import { lockRow, type Row, readDocuments, readRow } from './row.js'
import { type Digests, type Documents, digestsOf, digestsText, type RowSealer } from './row-seal.js'

/** Lines read at once while catching up. */
const PAGE = 500
/** Changes in one transaction: they share one wait for the disk. */
const MOST_AT_ONCE = 64

/** What a change finds, and what it leaves. */
export interface Step {
  readonly client: Connection
  /** The state as it is stored now. */
  readonly state: StateDocument
  /** Adds a line. */
  line(entry: AuditEntry): void
  /** Reads a line before anything is changed: a mistake in it is thrown now. @returns adds it. */
  prepare(entry: AuditEntry): () => void
  /** Replaces the state. */
  save(text: string): void
  /** Replaces other documents. */
  replace(documents: Partial<Pick<Documents, 'secrets' | 'descriptor' | 'policy'>>): void
  /** Begins another generation: processes of this one, this included, are refused from then on. */
  begin(): void
}

interface Waiting {
  /** Absent: only hears what others have done. */
  readonly change?: (step: Step) => Promise<unknown>
  readonly savepoint: boolean
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
  /** The ledger's from now on: closed with it. */
  readonly sealer: RowSealer
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
  /** Until it is closed. */
  #signer: CheckpointSigner | undefined
  readonly #signedBy: CheckpointKey
  readonly #sealer: RowSealer
  /** Lines behind a checkpoint at which the next is due. */
  #due = CHECKPOINT_LINES
  #ears: ReplicaEars | undefined
  #waiting: Waiting[] = []
  #working: Promise<void> | undefined
  #closed = false

  constructor(options: LedgerOptions) {
    const { pool, name, label, clock, row, state, recent, history, signer, sealer } = options
    this.#pool = pool
    this.#name = name
    this.#label = label
    this.#clock = clock
    this.#row = row
    this.#state = state
    this.#recent = [...recent]
    this.#history = history
    this.#signer = signer
    this.#sealer = sealer
    this.#signedBy = { label: signer.label, ed25519: publicKeyText(signer.privateKey) }
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
    return await verifyAudit(this.lines(), { noted: this.head, signedBy: this.#signedBy })
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

  /** Writes the first line, where no process has. */
  async begin(): Promise<void> {
    if (this.#row.lines > 0) return
    await this.change(async ({ line }) => {
      if (this.#row.lines === 0) line({ type: 'created', label: this.#label })
    })
  }

  async append(entry: AuditEntry): Promise<void> {
    // Read now: a mistake of the program must not fail those that it shares a transaction with.
    nextLine(this.head, entry, this.#clock.wall())
    await this.change(async (step) => step.line(entry))
  }

  /**
   * Makes a change in its turn. Those that come meanwhile share one transaction: one that throws takes its own
   * lines and state back, and no other's.
   *
   * @param savepoint - false for a change that throws before its first statement or not at all, unless the database
   * does: it spares a question.
   */
  async change<Result>(change: (step: Step) => Promise<Result>, savepoint = true): Promise<Result> {
    return (await this.#inTurn({ change, savepoint })) as Result
  }

  /** Hears what others have done. */
  async refresh(): Promise<void> {
    await this.#inTurn({ savepoint: false })
  }

  async #inTurn(what: Pick<Waiting, 'change' | 'savepoint'>): Promise<unknown> {
    if (this.#closed) throw new McbnError('MCBN_SOCKET_CLOSED', 'the store is closed')
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ ...what, resolve, reject })
      this.#working ??= this.#work()
    })
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

  /**
   * A document as it is stored now.
   *
   * @throws {McbnError} `MCBN_STORE_ALTERED` where a stranger wrote it, `MCBN_STORE_INVALID` where this process is
   * fenced off.
   */
  async document<Name extends keyof Documents>(name: Name): Promise<Documents[Name]> {
    const found = await readDocuments(this.#pool, this.#label, [name])
    const row = this.#sealer.checked(found.row)
    this.#demandStanding(row)
    this.#sealer.demand(row, found.documents)
    return found.documents[name]
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#working
    this.#signer = undefined
    this.#sealer.close()
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MOST_AT_ONCE)
      const settle: (() => void)[] = []
      try {
        const isHearing = batch.every(({ change }) => change === undefined)
        if (isHearing && (await this.#isCurrent())) {
          for (const { resolve } of batch) resolve(undefined)
          continue
        }
        await transaction(this.#pool, this.#name, (client) => this.#run(client, batch, settle))
        for (const each of settle) each()
      } catch (error) {
        for (const { reject } of batch) reject(failed(this.#name, error))
      }
    }
    this.#working = undefined
  }

  async #run(client: Connection, batch: readonly Waiting[], settle: (() => void)[]): Promise<void> {
    await this.#catchUp(client, this.#sealer.checked(await lockRow(client, this.#label)))
    const now = this.#clock.wall()
    const added: ChainedLine[] = [...this.#checkpoint(now)]
    const checkpoint = added[0]?.line.seq ?? this.#row.checkpoint
    let head: AuditHead = added.at(-1)?.head ?? this.head
    let state = this.#state
    let documents: Partial<Documents> = {}
    let { generation } = this.#row
    for (const { change, savepoint, resolve, reject } of batch) {
      if (change === undefined) {
        settle.push(() => resolve(undefined))
        continue
      }
      const lines: PreparedEntry[] = []
      let saved: Partial<Documents> = {}
      let begun = 0
      const prepare = (entry: AuditEntry) => {
        const prepared = prepareEntry(entry, now)
        return () => void lines.push(prepared)
      }
      const step: Step = {
        client,
        state,
        prepare,
        line: (entry) => prepare(entry)(),
        save: (text) => {
          saved = { ...saved, state: text }
        },
        replace: (others) => {
          saved = { ...saved, ...others }
        },
        begin: () => {
          begun += 1
        },
      }
      if (savepoint) await client.query('SAVEPOINT change')
      try {
        const result = await change(step)
        const { state: text } = saved
        const next = text === undefined ? state : parseState(Buffer.from(text))
        const mine: ChainedLine[] = []
        for (const entry of lines) {
          mine.push(chained(lineAfter(mine.at(-1)?.head ?? head, entry)))
        }
        head = mine.at(-1)?.head ?? head
        added.push(...mine)
        state = next
        documents = { ...documents, ...saved }
        generation += begun
        settle.push(() => resolve(result))
      } catch (error) {
        if (savepoint) await client.query('ROLLBACK TO SAVEPOINT change')
        settle.push(() => reject(error))
      }
    }
    if (added.length === 0 && Object.keys(documents).length === 0) return
    const row: Row = {
      generation,
      lines: head.lines,
      head: head.head,
      stateVersion: this.#row.stateVersion + (documents.state === undefined ? 0 : 1),
      checkpoint,
      digests: { ...this.#row.digests, ...digestsOf(documents) } as Digests,
    }
    await this.#write(client, row, documents, added, now)
    // In force only with the commit: before it, everything here may still be taken back.
    settle.unshift(() => {
      this.#row = { ...row, generation: this.#row.generation }
      this.#state = state
      for (const { line } of added) this.#remember(line)
    })
  }

  async #write(
    client: Connection,
    row: Row,
    documents: Partial<Documents>,
    added: readonly ChainedLine[],
    now: number,
  ): Promise<void> {
    const { state = null, policy = null, descriptor = null, secrets = null } = documents
    await client.query(
      `WITH added AS (
         INSERT INTO mcbn_audit (label, seq, at, line)
         SELECT $1::text, seq, $7, line FROM unnest($8::bigint[], $9::text[]) AS given (seq, line)
       )
       UPDATE mcbn_participant
       SET lines = $2, head = $3, state = coalesce($4, state), state_version = $5, checkpoint = $6,
         policy = coalesce($10, policy), descriptor = coalesce($11, descriptor),
         secrets = coalesce($12, secrets), generation = $13, digests = $14, seal = $15
       WHERE label = $1::text`,
      [
        ...[this.#label, row.lines, row.head, state, row.stateVersion, row.checkpoint],
        ...[now, added.map(({ line }) => line.seq), added.map(({ bytes }) => jsonOf(bytes))],
        ...[policy, descriptor, secrets, row.generation],
        ...[digestsText(row.digests), this.#sealer.seal(row)],
      ],
    )
  }

  /** The lines of a checkpoint where one is due: before all others, of what was so until now. */
  #checkpoint(now: number): readonly ChainedLine[] {
    const { lines, checkpoint } = this.#row
    if (this.#signer === undefined || lines - checkpoint < this.#due) return []
    const carried = this.#history.carry(now)
    this.#due = checkpointAfter(carried.lines.length)
    if (lines - checkpoint < this.#due) return []
    return checkpointLines(this.head, carried, this.#signer, now)
  }

  /** Whether nobody else has written anything: one question, and no lock that others would wait for. */
  async #isCurrent(): Promise<boolean> {
    const found = this.#sealer.checked(await readRow(this.#pool, this.#label))
    this.#demandStanding(found)
    const { lines, head, stateVersion } = this.#row
    return found.lines === lines && found.head === head && found.stateVersion === stateVersion
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
    this.#row = { ...this.#row, checkpoint: found.checkpoint, digests: found.digests }
    if (found.stateVersion === this.#row.stateVersion) return
    const { documents } = await readDocuments(client, this.#label, ['state'])
    this.#sealer.demand(found, documents)
    this.#state = parseState(Buffer.from(documents.state))
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

function jsonOf(bytes: Buffer): string {
  return bytes.subarray(0, -1).toString('utf8')
}
