// The row that a participant's replicas have in common.

import { parseState, type StateDocument } from '../documents.js'
import { invalid } from '../files.js'
import type { Connection } from './connection.js'

/** The row as far as it changes while a participant runs. */
export interface Row {
  readonly generation: number
  readonly lines: number
  readonly head: string
  readonly stateVersion: number
  /** The line that the last checkpoint begins with; 0: there is none. */
  readonly checkpoint: number
}

/** Locks the participant's row for this transaction. */
export async function lockRow(client: Connection, label: string): Promise<Row> {
  return await readRow(client, label, 'FOR UPDATE')
}

/** @param lock - of PostgreSQL's words for it. @defaultValue none */
export async function readRow(client: Connection, label: string, lock = ''): Promise<Row> {
  const { rows } = await client.query<
    Record<'generation' | 'lines' | 'head' | 'state_version' | 'checkpoint', string>
  >(
    `SELECT generation, lines, head, state_version, checkpoint FROM mcbn_participant WHERE label = $1 ${lock}`,
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

export async function readState(client: Connection, label: string): Promise<StateDocument> {
  const { rows } = await client.query<{ state: string }>(
    'SELECT state FROM mcbn_participant WHERE label = $1',
    [label],
  )
  return parseState(Buffer.from(`${rows[0]?.state}`))
}
