// A participant's row gets its seal: when it is made, or, where an earlier mcbn made it, once, by the owner of
// the secrets, who says which policy it has to have. From then on a row without a seal is refused, so nobody can
// take it off.

import { createHash } from 'node:crypto'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import type { AuditHead } from '../../audit/chain.js'
import { parseParticipant, parseState } from '../documents.js'
import { invalid } from '../files.js'
import type { StoreLock } from '../seal.js'
import type { Decision } from '../state.js'
import { type Connection, connect, failed, nameOf, transaction } from './connection.js'
import { opened } from './keys.js'
import { lockRow, onlyLabel, type Row, readDocuments } from './row.js'
import {
  type Digests,
  DOCUMENTS,
  type Documents,
  digestsOf,
  digestsText,
  RowSealer,
} from './row-seal.js'
import { migrated } from './schema.js'

/** What a row begins with. */
export interface NewParticipant {
  readonly label: string
  /** Of the database, for messages. */
  readonly name: string
  readonly sealer: RowSealer
  readonly head: AuditHead
  readonly documents: Documents
}

/** Adds a sealed row. @throws {McbnError} `MCBN_STORE_INVALID` where the label is there already. */
export async function insertParticipant(client: Connection, about: NewParticipant): Promise<void> {
  const { label, name, sealer, documents } = about
  const { participant, secrets, descriptor, policy, state } = documents
  const row: Row = {
    ...{ ...about.head, generation: 1, stateVersion: 1, checkpoint: 0 },
    digests: digestsOf(documents) as Digests,
  }
  const { rowCount } = await client.query(
    'INSERT INTO mcbn_participant (label, generation, lines, head, participant, secrets, descriptor, policy, state, state_version, digests, seal) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10) ON CONFLICT DO NOTHING',
    [
      ...[label, row.lines, row.head, participant, secrets, descriptor, policy, state],
      ...[digestsText(row.digests), sealer.seal(row)],
    ],
  )
  if (rowCount !== 1) throw invalid(`${name}: expected no participant ${label}, got one`)
}

export interface SealRowOptions {
  /** SHA-256 of the policy that the row has to have, hex, as `sha256sum` tells; absent where it has none. */
  readonly policyHash?: string
  /** Which participant of the database; absent: the only one. */
  readonly label?: string
}

const OPTIONS = {
  policyHash: undefined,
  label: undefined,
} as const satisfies OptionTable<SealRowOptions>

/** What was sealed, for its owner to look at. */
export interface SealedRow {
  readonly label: string
  readonly decisions: readonly Decision[]
  readonly withdrawn: boolean
  readonly lines: number
  readonly head: string
}

/**
 * Seals the row of a participant whom an earlier mcbn put into a database. Processes that still serve it are
 * refused from then on; start them anew.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` for another policy, a row that has a seal, a wrong lock.
 */
export async function sealPostgresRow(
  url: string,
  lock: StoreLock,
  options: SealRowOptions = {},
): Promise<SealedRow> {
  refuseUnknown('sealPostgresRow', options, OPTIONS)
  const { policyHash, label: given } = options
  const name = nameOf(url)
  const pool = await connect(url)
  try {
    await migrated(pool, name)
    const label = given ?? (await onlyLabel(pool, name))
    return await transaction(pool, name, async (client) => {
      await lockRow(client, label)
      const { row: found, documents } = await readDocuments(client, label, DOCUMENTS)
      if (found.sealed !== null) {
        throw invalid(`${name}: expected participant ${label} without a seal, got one that has it`)
      }
      const document = parseParticipant(Buffer.from(documents.participant))
      const { keys, stored } = await opened(documents.secrets, lock, document)
      stored?.share.fill(0)
      const { decisions, withdrawal } = parseState(Buffer.from(documents.state))
      demandPolicy(name, documents.policy, policyHash)
      const { sealed: _, ...row } = { ...found, digests: digestsOf(documents) as Digests }
      const next: Row = { ...row, generation: row.generation + 1 }
      const sealer = new RowSealer(label, name, keys)
      const seal = sealer.seal(next)
      sealer.close()
      await client.query(
        'UPDATE mcbn_participant SET generation = $2, digests = $3, seal = $4 WHERE label = $1',
        [label, next.generation, digestsText(next.digests), seal],
      )
      const { lines, head } = next
      return { label, decisions, withdrawn: withdrawal !== undefined, lines, head }
    })
  } catch (error) {
    throw failed(name, error)
  } finally {
    await pool.end()
  }
}

/** Anybody could have written it until now: which one it is has to come from elsewhere. */
function demandPolicy(name: string, policy: string | null, expected: string | undefined): void {
  const hash = policy === null ? undefined : createHash('sha256').update(policy).digest('hex')
  if (hash === expected) return
  throw invalid(
    `${name}: expected the policy with SHA-256 ${expected ?? '(none)'}, got ${hash ?? 'none'}; compare it with your own copy of the policy`,
  )
}
