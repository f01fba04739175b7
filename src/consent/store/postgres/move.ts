// From a folder into a database, once and for all. The folder is marked before the database has anything:
// whenever this is interrupted, at most one of the two can be opened, and doing it again ends it.

import { readFile } from 'node:fs/promises'
import { parseParticipant } from '../documents.js'
import { checkFolder, invalid, shredStoreFile, writeStoreFile } from '../files.js'
import { openToMove } from '../open.js'
import { storePaths } from '../reading.js'
import type { StoreLock } from '../seal.js'
import type { Store } from '../store.js'
import { connect, type Database, nameOf, transaction } from './connection.js'
import { RowSealer } from './row-seal.js'
import { migrated } from './schema.js'
import { insertParticipant } from './seal-row.js'

/** Lines of the audit in one statement. */
const LINES_AT_ONCE = 500

/**
 * Moves a participant from its folder into a database: keys, share (sealed as they are), descriptor, policy,
 * decisions and the whole audit. The folder keeps its audit, and its sealed secrets are overwritten.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` while the folder is in use, or where the database has another
 * participant of this label.
 */
export async function moveToPostgres(dir: string, url: string, lock: StoreLock): Promise<string> {
  await checkFolder(dir)
  const name = nameOf(url)
  const paths = storePaths(dir)
  const pool = await connect(url)
  try {
    await migrated(pool, name)
    const { label } = parseParticipant(await readFile(paths.participant))
    const before = await participantIn(pool, label)
    const here = await readFile(paths.participant, 'utf8')
    if (before === undefined) await copy(dir, lock, pool, name)
    else if (before !== here) {
      throw invalid(`${name}: expected no participant ${label}, got one with other keys`)
    } else if ((await readFile(paths.moved).catch(() => undefined)) === undefined) {
      throw invalid(
        `${name}: expected no participant ${label}, got one that was not moved from here`,
      )
    }
    await shredStoreFile(paths.secrets)
    return label
  } finally {
    await pool.end()
  }
}

async function copy(dir: string, lock: StoreLock, pool: Database, name: string): Promise<void> {
  const store = await openToMove(dir, lock)
  const sealer = new RowSealer(store.label, name, store.keys)
  try {
    // Opening it read the last segment only; what is taken along is verified from its first line.
    await store.audit.verify()
    await writeStoreFile(storePaths(dir).moved, `${name}\n`)
    await transaction(pool, name, async (client) => {
      const paths = storePaths(dir)
      const optional = async (path: string) => await readFile(path, 'utf8').catch(() => null)
      const documents = {
        participant: await readFile(paths.participant, 'utf8'),
        secrets: await readFile(paths.secrets, 'utf8'),
        descriptor: await optional(paths.descriptor),
        policy: await optional(paths.policy),
        state: await readFile(paths.state, 'utf8'),
      }
      const { label } = store
      await insertParticipant(client, { label, name, sealer, head: store.audit.head, documents })
      for await (const page of pagesOf(store)) {
        const parsed = page.map((line) => JSON.parse(line) as { seq: number; time: string })
        await client.query(
          'INSERT INTO mcbn_audit (label, seq, at, line) SELECT $1, seq, at, line FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS added (seq, at, line)',
          [
            store.label,
            parsed.map(({ seq }) => seq),
            parsed.map(({ time }) => Date.parse(time)),
            page,
          ],
        )
      }
    })
  } finally {
    sealer.close()
    await store.close()
  }
}

async function participantIn(pool: Database, label: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ participant: string }>(
    'SELECT participant FROM mcbn_participant WHERE label = $1',
    [label],
  )
  return rows[0]?.participant
}

/** The audit's lines. */
async function* pagesOf(store: Store): AsyncGenerator<string[]> {
  let rest = ''
  let page: string[] = []
  for await (const chunk of store.audit.bytes()) {
    const pieces = (rest + Buffer.from(chunk).toString('latin1')).split('\n')
    rest = pieces.pop() ?? ''
    // Cut at newlines, which no character of UTF-8 has within it.
    page.push(...pieces.map((line) => Buffer.from(line, 'latin1').toString('utf8')))
    if (page.length >= LINES_AT_ONCE) {
      yield page
      page = []
    }
  }
  if (page.length > 0) yield page
}
