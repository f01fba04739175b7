// The audit's lines in the database, as far as a process that starts has to read them.

import { type AuditHead, type AuditLine, claimedBefore } from '../../audit/chain.js'
import type { CheckpointKey } from '../../audit/checkpoint.js'
import { CHECKED_LINES } from '../../audit/log.js'
import { verified } from '../../audit/verify.js'
import type { UnixMilliseconds } from '../../base/time.js'
import { LEASE_MAX_SECONDS } from '../../release/parse.js'
import type { Database } from './connection.js'
import type { Row } from './row.js'

/**
 * The lines that tell how things stand, each verified; and enough of those before them.
 *
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`.
 */
export async function linesToHear(
  pool: Database,
  row: Row,
  signedBy: CheckpointKey,
  now: UnixMilliseconds,
): Promise<{ readonly heard: AuditLine[]; readonly before: AuditLine[] }> {
  const { label } = signedBy
  const select = async (condition: string, value: number) =>
    await pool.query<{ line: string }>(
      `SELECT line FROM mcbn_audit WHERE label = $1 AND seq <= $2 AND ${condition} ORDER BY seq`,
      [label, row.lines, value],
    )
  const noted = { lines: row.lines, head: row.head }
  // Before the first checkpoint: whatever is older than this can be no lease any more.
  const since = now - 2 * LEASE_MAX_SECONDS * 1000
  const { rows } =
    row.checkpoint > 0
      ? await select('seq >= $3', row.checkpoint)
      : await select(
          `seq >= coalesce((SELECT min(seq) FROM mcbn_audit WHERE label = $1 AND at >= $3), $2)`,
          since,
        )
  const heard = await verifiedRows(rows, noted, row.checkpoint > 0 ? signedBy : undefined)
  const [first] = heard
  if (first === undefined || heard.length >= CHECKED_LINES) return { heard, before: [] }
  const end = { lines: first.seq - 1, head: first.prev }
  const older = await pool.query<{ line: string }>(
    'SELECT line FROM mcbn_audit WHERE label = $1 AND seq < $2 AND seq >= $3 ORDER BY seq',
    [label, first.seq, first.seq - (CHECKED_LINES - heard.length)],
  )
  return { heard, before: await verifiedRows(older.rows, end) }
}

/**
 * Checks rows of the audit that lead to a head.
 *
 * @throws {McbnError} `MCBN_AUDIT_BROKEN` with `line`.
 */
export async function verifiedRows(
  rows: readonly { readonly line: string }[],
  noted: AuditHead,
  signedBy?: CheckpointKey,
): Promise<AuditLine[]> {
  const source = rows.map(({ line }) => Buffer.from(`${line}\n`))
  const from = signedBy === undefined ? claimedBefore(source[0] ?? Buffer.alloc(0)) : 'claimed'
  const lines: AuditLine[] = []
  const demands = { noted, ...(signedBy && { signedBy }) }
  for await (const { line } of verified(source, demands, from)) lines.push(line)
  return lines
}
