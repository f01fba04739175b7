// The row that a participant's replicas have in common.

import { invalid } from '../files.js'
import type { Connection } from './connection.js'
import type { Digests, Documents } from './row-seal.js'

/** The row as far as it changes while a participant runs. */
export interface Row {
  readonly generation: number
  readonly lines: number
  readonly head: string
  readonly stateVersion: number
  /** The line that the last checkpoint begins with; 0: there is none. */
  readonly checkpoint: number
  readonly digests: Digests
}

/** As it is in the database: nothing of it is known to be the participant's until its seal was checked. */
export interface FoundRow extends Omit<Row, 'digests'> {
  readonly digests: string | null
  readonly sealed: string | null
}

interface Columns extends Record<'generation' | 'lines' | 'state_version' | 'checkpoint', string> {
  readonly head: string
  readonly digests: string | null
  readonly seal: string | null
}

const COLUMNS = 'generation, lines, head, state_version, checkpoint, digests, seal'

/** Locks the participant's row for this transaction. */
export async function lockRow(client: Connection, label: string): Promise<FoundRow> {
  return await readRow(client, label, 'FOR UPDATE')
}

/** @param lock - of PostgreSQL's words for it. @defaultValue none */
export async function readRow(client: Connection, label: string, lock = ''): Promise<FoundRow> {
  return (await select<object>(client, label, '', lock)).row
}

/** The row and some of its documents, as they were at one moment. */
export async function readDocuments<Name extends keyof Documents>(
  client: Connection,
  label: string,
  names: readonly Name[],
): Promise<{ readonly row: FoundRow; readonly documents: Pick<Documents, Name> }> {
  const found = await select<Pick<Documents, Name>>(client, label, `, ${names.join(', ')}`, '')
  const documents = Object.fromEntries(names.map((name) => [name, found.others[name]]))
  return { row: found.row, documents: documents as unknown as Pick<Documents, Name> }
}

/** Of the last line in the audit, whatever the row says; 0 where there is none. */
export async function lastLine(client: Connection, label: string): Promise<number> {
  const { rows } = await client.query<{ last: string }>(
    'SELECT coalesce(max(seq), 0) AS last FROM mcbn_audit WHERE label = $1',
    [label],
  )
  return Number(rows[0]?.last)
}

/** @throws {McbnError} `MCBN_STORE_INVALID` unless there is exactly one participant. */
export async function onlyLabel(pool: Connection, name: string): Promise<string> {
  const { rows } = await pool.query<{ label: string }>('SELECT label FROM mcbn_participant LIMIT 2')
  const [first, second] = rows
  if (first !== undefined && second === undefined) return first.label
  throw invalid(
    `${name}: expected one participant, got ${first === undefined ? 'none' : 'several: name its label'}`,
  )
}

async function select<Others>(client: Connection, label: string, more: string, lock: string) {
  const { rows } = await client.query<Columns & Others>(
    `SELECT ${COLUMNS}${more} FROM mcbn_participant WHERE label = $1 ${lock}`,
    [label],
  )
  const [found] = rows
  if (found === undefined) throw invalid(`database: expected participant ${label}, got none`)
  const row: FoundRow = {
    generation: Number(found.generation),
    lines: Number(found.lines),
    head: found.head,
    stateVersion: Number(found.state_version),
    checkpoint: Number(found.checkpoint),
    digests: found.digests,
    sealed: found.seal,
  }
  return { row, others: found as Others }
}
