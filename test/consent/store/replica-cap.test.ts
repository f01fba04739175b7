// Replicas of one participant never release beyond the policy's cap together, also where each keeps many releases
// in one transaction, leases are renewed in between and processes die by SIGKILL. The database is a real one.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import type {
  AttestedFacts,
  Evidence,
  VerifyRequest,
} from '../../../src/consent/attestation/types.js'
import { createVerifiers } from '../../../src/consent/attestation/verifiers.js'
import { type AuditLine, verifyAudit } from '../../../src/consent/audit/log.js'
import {
  createPostgresStore,
  openPostgresStore,
  type PostgresStore,
} from '../../../src/consent/store/postgres/postgres.js'
import { Deferred } from '../../../src/deferred.js'
import { findAddon } from '../../../src/native/find.js'
import { postgresBinaries } from '../../support/postgres.js'
import { seeded } from '../../support/random.js'
import { waitFor } from '../../support/wait.js'
import { mostLeases } from '../crash/judge.js'
import { bundleChild } from '../crash/matrix.js'
import { makeWorld, worldOf } from '../crash/world.js'
import { policyOf, released, round } from '../participant/fixture.js'
import { another, usePostgres, withoutPostgres } from './replicas.js'

if (postgresBinaries() === undefined)
  console.warn('store/replica-cap: NOT tested, no PostgreSQL here')
const { database, keep, replicas } = usePostgres()

/** Verifies each token when it comes. What it says is told at once, or, while it holds, to all in one moment. */
class Turnstile {
  readonly kind = 'local'
  readonly #verifier = createVerifiers(policyOf()).get('local')
  #open: Deferred | undefined
  held = 0

  async verify(evidence: Evidence, expected: VerifyRequest): Promise<AttestedFacts> {
    const facts = await this.#verifier?.verify(evidence, expected)
    if (facts === undefined) throw new Error('expected a verifier of local evidence, got none')
    this.held += 1
    await this.#open?.promise
    this.held -= 1
    return facts
  }

  hold(): void {
    this.#open = new Deferred()
  }

  letGo(): void {
    this.#open?.resolve()
    this.#open = undefined
  }
}

async function linesOf(store: PostgresStore): Promise<AuditLine[]> {
  await verifyAudit(store.audit.lines())
  const lines: AuditLine[] = []
  for await (const line of store.audit.lines()) {
    lines.push(JSON.parse(Buffer.from(line).toString()) as AuditLine)
  }
  return lines
}

/** Two replicas, one place taken by a workload of each, and nothing that either has not heard of the other. */
async function busyReplicas(instances: number) {
  const turnstiles = [new Turnstile(), new Turnstile()] as const
  const made = await replicas(
    { instances },
    turnstiles.map((each) => ({ verifiers: [each] })),
  )
  const { one, other } = made
  released((await round(one, 'client', another('of one'))).answer)
  released((await round(other, 'client', another('of other'))).answer)
  for (const { store } of [one, other]) await store.replicas.refresh()
  return {
    ...made,
    sides: [one, other].map((side, at) => ({ ...side, turnstile: turnstiles[at] as Turnstile })),
  }
}

describe.skipIf(withoutPostgres)('store/replica-cap', () => {
  it('holds where each replica keeps many releases and a renewal in one transaction, at the same time', async () => {
    const most = 6
    const { url, one, other, sides } = await busyReplicas(most)
    const rounds = []
    for (const [at, side] of sides.entries()) {
      side.turnstile.hold()
      const asked = Array.from({ length: most }, (_, number) => another(`${at}-${number}`))
      rounds.push(...asked.map((workload) => round(side, 'client', workload)))
      await waitFor('all tokens verified', () => side.turnstile.held === most)
      // Renewed at the replica that did not give it.
      rounds.push(round(side, 'client', another(at === 0 ? 'of other' : 'of one')))
      await waitFor('the last token verified', () => side.turnstile.held === most + 1)
    }
    // While a client has the row, the first release of each replica waits for it, and the others behind the first.
    const [client, watcher] = [0, 1].map(() => new pg.Client({ connectionString: url }))
    await Promise.all([client?.connect(), watcher?.connect()])
    await client?.query('BEGIN')
    await client?.query('SELECT label FROM mcbn_participant FOR UPDATE')
    for (const { turnstile } of sides) turnstile.letGo()
    const waiting =
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    await waitFor('both wait', async () => (await watcher?.query(waiting))?.rowCount === 2)
    await client?.query('COMMIT')
    await Promise.all([client?.end(), watcher?.end()])
    const answers = (await Promise.all(rounds)).map(({ answer }) => answer)
    // The renewals, and the places that were free.
    expect(answers.filter((answer) => !('code' in answer))).toHaveLength(2 + most - 2)
    for (const answer of answers) if ('code' in answer) expect(answer.code).toBe('policy')
    for (const { store, participant } of [one, other]) {
      await store.replicas.refresh()
      expect(participant.leases()).toHaveLength(most)
    }
    const lines = await linesOf(one.store)
    expect(mostLeases(lines)).toBe(most)
    expect(lines.filter(({ event }) => event === 'renewed')).toHaveLength(2)
  })

  it('holds where processes with many releases at once are killed by SIGKILL in the middle of them', async () => {
    const [most, seed] = [6, 21]
    const url = await database()
    const folder = mkdtempSync(join(tmpdir(), 'mcbn-crowd-'))
    const program = bundleChild(folder)
    const file = await makeWorld(randomBytes(32).toString('hex'))
    writeFileSync(join(folder, 'world.json'), JSON.stringify(file), { mode: 0o600 })
    const world = await worldOf(file)
    const [first] = file.epochs
    if (first === undefined) throw new Error('expected a world with an epoch, got none')
    const { roles, ...rules } = first.policy as { readonly roles: { readonly client: object } }
    const client = { ...roles.client, instances: most, approval: 'automatic' }
    // Places of workloads that died with their process are free again soon.
    const policy = { ...rules, leaseSeconds: 5, roles: { client } }
    const made = await createPostgresStore(url, world.lock, { label: 'alice', keys: world.keys })
    const share = Buffer.from(first.share, 'hex')
    await made.installEpoch({ descriptor: first.signed, share, policy }, world.lock)
    await made.close()
    const said: string[] = []
    /** One life of a process, which ends itself at its n-th operation that asks the database. */
    const life = async (name: string, operation: number, moment: string): Promise<void> => {
      const child = spawn(
        process.execPath,
        [program, 'crowd', folder, join(folder, 'world.json'), `${operation}`, moment, url, name],
        {
          env: { ...process.env, MCBN_ADDON: `${findAddon()}` },
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      const closed = once(child, 'close')
      for await (const line of createInterface({ input: child.stdout })) said.push(line)
      await closed
      expect(child.signalCode).toBe('SIGKILL')
    }
    const lives = async (name: string): Promise<void> => {
      const random = seeded(seed + name.length)
      for (const moment of ['before', 'middle', 'after'] as const) {
        await life(name, 150 + Math.floor(random() * 150), moment)
      }
    }
    await Promise.all([lives('one'), lives('other')])
    rmSync(folder, { recursive: true })
    const store = keep(await openPostgresStore(url, world.lock))
    const lines = await linesOf(store)
    expect(mostLeases(lines), `seed ${seed}`).toBe(most)
    const ids = lines.flatMap(({ event, releaseId }) =>
      event === 'released' || event === 'renewed' ? [`${releaseId}`] : [],
    )
    expect(new Set(ids).size).toBe(ids.length)
    const confirmed = said.flatMap((line) => /^released (.+)$/.exec(line)?.slice(1) ?? [])
    expect(confirmed.filter((id) => !ids.includes(id))).toEqual([])
    for (const event of ['released', 'renewed', 'lease-ended']) {
      expect(
        lines.some((line) => line.event === event),
        event,
      ).toBe(true)
    }
    expect(said).toContain('refused policy')
  })
})
