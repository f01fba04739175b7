// Somebody can write to a participant's database, and has no key: whatever decides about a release there, and is
// not as the participant's own processes left it, is refused. The server is a real one.

import { createHash } from 'node:crypto'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { nextLine } from '../../../src/consent/audit/chain.js'
import {
  createPostgresStore,
  openPostgresStore,
} from '../../../src/consent/store/postgres/postgres.js'
import { sealPostgresRow } from '../../../src/consent/store/postgres/seal-row.js'
import { policyOf, refused, released, round } from '../participant/fixture.js'
import { lock } from './fixture.js'
import { another, usePostgres, withoutPostgres } from './replicas.js'

const { database, keep, replicas } = usePostgres()

const ALTERED = { code: 'MCBN_STORE_ALTERED', kind: 'environment' }
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const OTHER_POLICY = `${JSON.stringify(policyOf({}, { instances: 99 }))}\n`
const COLUMNS =
  'label, generation, lines, head, participant, secrets, descriptor, policy, state, state_version, checkpoint, digests, seal'

/** A writer of the database; the row can be brought back as it was. */
async function writer(url: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  keep({ close: () => client.end() })
  const sql = async (text: string, values: unknown[] = []) =>
    (await client.query(text, values)).rows
  return {
    sql,
    note: async (name: string) => {
      await sql(`CREATE TABLE ${name} AS SELECT * FROM mcbn_participant`)
    },
    putBack: async (name: string) => {
      await sql(
        `UPDATE mcbn_participant SET (${COLUMNS}) = (SELECT ${COLUMNS} FROM ${name} LIMIT 1)`,
      )
    },
  }
}

/** What a column is given, and whether a process that runs reads it for each release. */
const COLUMN_BY_COLUMN: readonly [column: string, to: string, isHeard: boolean][] = [
  ['generation', 'generation + 1', true],
  ['lines', 'lines - 1', true],
  ['head', "repeat('0', 64)", true],
  ['checkpoint', '1', true],
  ['state_version', 'state_version + 1', true],
  ['digests', "replace(digests, '-', repeat('0', 64)) || ' '", true],
  ['digests', "overlay(digests placing 'beef' from 200)", true],
  ['seal', "repeat('0', 64)", true],
  ['seal', "''", true],
  ['participant', "participant || ' '", false],
  ['secrets', "secrets || ' '", false],
  ['descriptor', "descriptor || ' '", false],
  ['policy', `'${OTHER_POLICY}'`, false],
  ['policy', 'NULL', false],
  ['state', "replace(state, 'approved', 'refused')", false],
  ['state', "regexp_replace(state, '\\[.*\\]', '[]')", false],
]

describe.skipIf(withoutPostgres)('store/postgres: rows that a stranger wrote', () => {
  it('refuses each column that was altered, and goes on once it is as it was', async () => {
    const { url, one } = await replicas({ approval: 'manual', instances: 5 })
    refused((await round(one, 'client')).answer)
    await one.participant.approve(`${one.participant.pending()[0]?.id}`)
    released((await round(one, 'client')).answer)
    const { sql, note, putBack } = await writer(url)
    await note('good')
    for (const [column, to, isHeard] of COLUMN_BY_COLUMN) {
      await sql(`UPDATE mcbn_participant SET ${column} = ${to}`)
      await expect(openPostgresStore(url, lock), column).rejects.toMatchObject(ALTERED)
      if (isHeard) {
        expect(refused((await round(one, 'client')).answer).code).toBe('busy')
        await expect(one.store.replicas.refresh(), column).rejects.toMatchObject(ALTERED)
      }
      if (column === 'policy') {
        await expect(one.store.reloadPolicy()).rejects.toMatchObject(ALTERED)
      }
      await putBack('good')
    }
    // A process that runs has read its policy, and seals what it read, not what it finds.
    await sql('UPDATE mcbn_participant SET policy = $1', [OTHER_POLICY])
    released((await round(one, 'client')).answer)
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject(ALTERED)
    await sql('UPDATE mcbn_participant SET policy = (SELECT policy FROM good)')
    expect(keep(await openPostgresStore(url, lock)).policy).toEqual(one.store.policy)
  })

  it('refuses another policy with its right hash, and an end of the audit with its right chain', async () => {
    const { url, one } = await replicas()
    released((await round(one, 'client')).answer)
    const { sql, note, putBack } = await writer(url)
    await note('good')
    await sql('UPDATE mcbn_participant SET policy = $1, digests = replace(digests, $2, $3)', [
      OTHER_POLICY,
      one.store.policyHash,
      sha256(OTHER_POLICY),
    ])
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject(ALTERED)
    await putBack('good')
    // The place of the lease that is out, given back by a line that nobody of the participant wrote.
    const [lease] = one.participant.leases()
    const { role, issuer, project, instance, releases } = lease as NonNullable<typeof lease>
    const entry = {
      ...{ type: 'lease-ended' as const, reason: 'returned', role, issuer, project, instance },
      returnHash: `${releases?.[0]?.returnHash}`,
    }
    const { bytes, line, head } = nextLine(one.store.audit.head, entry, Date.now())
    await sql('INSERT INTO mcbn_audit (label, seq, at, line) VALUES ($1, $2, $3, $4)', [
      ...['alice', line.seq, Date.now(), bytes.toString().trim()],
    ])
    await sql('UPDATE mcbn_participant SET lines = $1, head = $2', [head.lines, head.head])
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject(ALTERED)
    expect(refused((await round(one, 'client', another('2'))).answer).code).toBe('busy')
    await expect(one.store.replicas.refresh()).rejects.toMatchObject(ALTERED)
  })

  it('refuses the row of another participant, whole or in part', async () => {
    const url = await database()
    for (const label of ['alice', 'bob']) {
      await (await createPostgresStore(url, lock, { label })).close()
    }
    const { sql, note } = await writer(url)
    await note('good')
    const swap = async (columns: string) =>
      await sql(
        `UPDATE mcbn_participant AS mine SET (${columns}) =
           (SELECT ${columns} FROM good AS theirs WHERE theirs.label <> mine.label)`,
      )
    const open = (label: string) => openPostgresStore(url, lock, { label })
    await swap('state, digests, seal')
    for (const label of ['alice', 'bob']) {
      await expect(open(label)).rejects.toMatchObject(ALTERED)
    }
    // All of it, keys included: a row is its label's.
    await swap(COLUMNS.replace('label, ', ''))
    for (const label of ['alice', 'bob']) {
      await expect(open(label)).rejects.toMatchObject({ code: /MCBN_STORE_(ALTERED|INVALID)/ })
    }
  })

  it('refuses an older document or row put back alone, and what it cannot see is a whole older database', async () => {
    const { url, one } = await replicas({ approval: 'manual', instances: 5 })
    refused((await round(one, 'client')).answer)
    const id = `${one.participant.pending()[0]?.id}`
    await one.participant.approve(id)
    const { sql, note, putBack } = await writer(url)
    await note('approved')
    await one.participant.refuse(id)
    await note('refused')
    // The approval alone; with its hashes and seal; the row of then, beside the audit of now.
    for (const columns of ['state', 'state, digests, seal']) {
      await sql(`UPDATE mcbn_participant SET (${columns}) = (SELECT ${columns} FROM approved)`)
      await expect(openPostgresStore(url, lock), columns).rejects.toMatchObject(ALTERED)
      await putBack('refused')
    }
    await putBack('approved')
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject({
      ...ALTERED,
      message: expect.stringContaining('lines of the audit'),
    })
    await sql('DELETE FROM mcbn_audit WHERE seq > (SELECT lines FROM approved)')
    // A process that runs knows better; one that starts needs heads that were noted elsewhere.
    await expect(one.store.replicas.refresh()).rejects.toThrow('went back in time')
    expect(keep(await openPostgresStore(url, lock)).state.current.decisions).toMatchObject([
      { id, decision: 'approved' },
    ])
  })

  it('seals the row of an earlier mcbn once, when its owner says which policy it has', async () => {
    const { url, one } = await replicas()
    const { policyHash, policy } = one.store
    const { sql } = await writer(url)
    await sql('ALTER TABLE mcbn_participant DROP COLUMN digests, DROP COLUMN seal')
    await sql('DELETE FROM mcbn_schema WHERE version > 2')
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
      message: expect.stringContaining('type mcbn participant seal'),
    })
    await sql('UPDATE mcbn_participant SET policy = $1', [OTHER_POLICY])
    await expect(sealPostgresRow(url, lock, { policyHash: `${policyHash}` })).rejects.toThrow(
      `got ${sha256(OTHER_POLICY)}; compare it`,
    )
    await sql('UPDATE mcbn_participant SET policy = $1', [`${JSON.stringify(policy, null, 2)}\n`])
    const other = { keyFile: Buffer.alloc(32, 7).fill(8, 16) }
    await expect(sealPostgresRow(url, other, { policyHash: `${policyHash}` })).rejects.toThrow(
      'key file',
    )
    expect(await sealPostgresRow(url, lock, { policyHash: `${policyHash}` })).toMatchObject({
      ...{ label: 'alice', decisions: [], withdrawn: false },
    })
    // Those that served it before are refused, and nobody takes the seal off again.
    await expect(one.store.replicas.refresh()).rejects.toThrow('start it anew')
    await (await openPostgresStore(url, lock)).close()
    await expect(sealPostgresRow(url, lock, { policyHash: `${policyHash}` })).rejects.toThrow(
      'got one that has it',
    )
    await sql('UPDATE mcbn_participant SET seal = NULL')
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
    })
  })
})
