// The tables, made and changed by migrations that run when a store is opened. A migration that has run is
// never edited: the next one changes what it made.

import { invalid } from '../files.js'
import { type Connection, type Database, failed } from './connection.js'

/** Any number, the same for every mcbn: two processes that start at once migrate one after the other. */
const MIGRATION_LOCK = 0x6d63_626e

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE mcbn_participant (
     label text PRIMARY KEY,
     -- Counts epochs and other changes after which a process that runs has to start anew.
     generation bigint NOT NULL,
     -- The audit's end; who changes anything locks this row first.
     lines bigint NOT NULL,
     head text NOT NULL,
     participant text NOT NULL,
     secrets text NOT NULL,
     descriptor text,
     policy text,
     state text NOT NULL,
     state_version bigint NOT NULL
   );
   CREATE TABLE mcbn_audit (
     label text NOT NULL REFERENCES mcbn_participant (label),
     seq bigint NOT NULL,
     -- Milliseconds since 1970.
     at bigint NOT NULL,
     -- Canonical JSON as it was hashed, hence not jsonb.
     line text NOT NULL,
     PRIMARY KEY (label, seq)
   );
   CREATE INDEX mcbn_audit_at ON mcbn_audit (label, at);
   CREATE TABLE mcbn_spent (
     label text NOT NULL,
     challenge text NOT NULL,
     until bigint NOT NULL,
     PRIMARY KEY (label, challenge)
   );
   CREATE INDEX mcbn_spent_until ON mcbn_spent (until);`,
  // The line from which a process that starts has to read: where the last checkpoint begins. 0: none yet.
  'ALTER TABLE mcbn_participant ADD COLUMN checkpoint bigint NOT NULL DEFAULT 0',
  // See row-seal.ts. Absent in rows of before: only the owner of the secrets can seal one, see seal-row.ts.
  'ALTER TABLE mcbn_participant ADD COLUMN digests text, ADD COLUMN seal text',
]

/** As {@link migrate}, over a connection of a pool. */
export async function migrated(pool: Database, name: string): Promise<void> {
  try {
    const client = await pool.connect()
    try {
      await migrate(client)
    } finally {
      client.release()
    }
  } catch (error) {
    throw failed(name, error)
  }
}

/** Brings the tables to what this mcbn knows. @throws {McbnError} `MCBN_STORE_INVALID` for a later schema. */
async function migrate(client: Connection): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    await client.query(
      'CREATE TABLE IF NOT EXISTS mcbn_schema (version integer NOT NULL, migrated_at timestamptz NOT NULL DEFAULT now())',
    )
    const { rows } = await client.query<{ version: number }>(
      'SELECT coalesce(max(version), 0) AS version FROM mcbn_schema',
    )
    const version = rows[0]?.version ?? 0
    if (version > MIGRATIONS.length) {
      throw invalid(
        `database: expected a schema of at most version ${MIGRATIONS.length}, got ${version}; it belongs to a later mcbn`,
      )
    }
    for (const [at, migration] of MIGRATIONS.entries()) {
      if (at < version) continue
      await client.query(migration)
      await client.query('INSERT INTO mcbn_schema (version) VALUES ($1)', [at + 1])
    }
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}
