// A participant in a database: any replica answers any message, and all of them together are one participant.
// The server is a real one.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'
import pg from 'pg'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { verifyAudit } from '../../../src/consent/audit/log.js'
import { verifySignedDescriptor } from '../../../src/consent/descriptor/signed.js'
import { examplePolicy } from '../../../src/consent/policy/example.js'
import { createStore, openStore } from '../../../src/consent/store/open.js'
import { moveToPostgres } from '../../../src/consent/store/postgres/move.js'
import {
  createPostgresStore,
  openPostgresStore,
  type PostgresStore,
} from '../../../src/consent/store/postgres/postgres.js'
import { findAddon } from '../../../src/native/find.js'
import { postgresBinaries } from '../../support/postgres.js'
import { seeded } from '../../support/random.js'
import { bundleChild } from '../crash/matrix.js'
import { INSTANCES, makeWorld, worldOf } from '../crash/world.js'
import {
  ask,
  challenged,
  NOON,
  refused,
  released,
  round,
  tokenFor,
  workloadOf,
} from '../participant/fixture.js'
import { alice, keyFile, lock, shareOf, signed } from './fixture.js'
import { another, usePostgres, withoutPostgres } from './replicas.js'

if (postgresBinaries() === undefined) console.warn('store/postgres: NOT tested, no PostgreSQL here')
const { database, keep, replicas } = usePostgres()

const epoch = (number: number) => ({ descriptor: signed(number), share: shareOf('alice', number) })
const eventsOf = ({ audit }: PostgresStore) => audit.recent().map(({ event }) => event)

describe.skipIf(withoutPostgres)('store/postgres', () => {
  it('keeps what a folder keeps, the share sealed, and migrates once however many start', async () => {
    const url = await database()
    const store = keep(await createPostgresStore(url, lock, { label: 'alice', keys: alice }))
    expect([store.share(), store.descriptor]).toEqual([undefined, undefined])
    const policy = examplePolicy(verifySignedDescriptor(signed(1)))
    await store.installEpoch({ ...epoch(1), policy }, lock)
    // The one that installed knows the old epoch: it is fenced off like any other.
    await expect(store.audit.append({ type: 'started' })).rejects.toMatchObject({
      code: 'MCBN_STORE_INVALID',
      message: expect.stringContaining('got a later one; start it anew'),
    })
    const again = await Promise.all(
      [1, 2, 3].map(async () => keep(await openPostgresStore(url, lock))),
    )
    for (const each of again) {
      expect(each).toMatchObject({ label: 'alice', policy, publicKeys: store.publicKeys })
      expect(each.share()).toEqual(shareOf('alice', 1))
      expect(eventsOf(each)).toEqual(['created', 'epoch-installed'])
    }
    const [first] = again as [PostgresStore]
    await first.installEpoch({ ...epoch(1), policy }, lock)
    expect((await verifyAudit(first.audit.lines())).lines).toBe(2)
    const other = { keyFile: Buffer.from(keyFile).reverse() }
    await expect(openPostgresStore(url, other)).rejects.toMatchObject({
      message: expect.stringContaining('key file'),
    })
    await expect(createPostgresStore(url, lock, { label: 'alice' })).rejects.toThrow(
      'expected no participant alice',
    )
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const dump = inspect((await client.query('SELECT * FROM mcbn_participant')).rows, { depth: 9 })
    await client.query('UPDATE mcbn_schema SET version = 99')
    await client.end()
    for (const form of ['hex', 'base64url', 'latin1'] as const) {
      expect(dump).not.toContain(shareOf('alice', 1).toString(form))
      expect(inspect(again, { depth: 9, showHidden: true })).not.toContain(
        shareOf('alice', 1).toString(form),
      )
    }
    await expect(openPostgresStore(url, lock)).rejects.toThrow('it belongs to a later mcbn')
    await expect(openPostgresStore('postgres://me:secret@127.0.0.1:1/x', lock)).rejects.toSatisfy(
      (error) =>
        /ECONNREFUSED/.test(`${error}`) && !/secret/.test(inspect((error as Error).message)),
    )
  })

  it('answers at one replica what the other has asked, and no challenge twice', async () => {
    const { one, other } = await replicas({ instances: 2 })
    const asking = await ask('client')
    const { c } = challenged(one.participant.request(asking.request))
    const token = await tokenFor(other.participant, asking.request, c, NOON, workloadOf('client'))
    const message = { c, request: asking.request, evidence: { kind: 'local', token } }
    const answers = await Promise.allSettled(
      [one, other, one, other].map(({ participant }) => participant.evidence(message)),
    )
    const given = answers.filter(({ status }) => status === 'fulfilled')
    expect(given).toHaveLength(1)
    expect(
      answers.filter((each) => each.status === 'rejected').map(({ reason }) => reason.code),
    ).toEqual(Array(3).fill('MCBN_RELEASE_INVALID'))
    expect(
      eventsOf(other.store).filter((event) => event === 'released').length,
    ).toBeLessThanOrEqual(1)
    await expect(one.participant.evidence(message)).rejects.toThrow('expected an open challenge')
  })

  it('no challenge is good twice, though the machine of a replica has its clock an hour ahead', async () => {
    const { one, other, replica } = await replicas({ instances: 3 })
    const asking = await ask('client')
    const { c } = challenged(one.participant.request(asking.request))
    const token = await tokenFor(one.participant, asking.request, c, NOON, workloadOf('client'))
    const message = { c, request: asking.request, evidence: { kind: 'local', token } }
    released(await one.participant.evidence(message))
    vi.useFakeTimers({ toFake: ['Date'], now: NOON + 3_600_000 })
    onTestFinished(() => void vi.useRealTimers())
    // With a release, challenges that are over are forgotten.
    released((await round(other, 'client', another('8'))).answer)
    // A replica that has just begun remembers nothing by itself.
    const third = await replica()
    await expect(third.participant.evidence(message)).rejects.toThrow('expected an open challenge')
  })

  it('never has more instances than the policy allows, whichever replica they ask', async () => {
    const { one, other, replica } = await replicas({ instances: 2 })
    const rounds = Array.from({ length: 8 }, (_, at) =>
      round(at % 2 === 0 ? one : other, 'client', another(`${100 + at}`)),
    )
    const answers = (await Promise.all(rounds)).map(({ answer }) => answer)
    expect(answers.filter((answer) => !('code' in answer))).toHaveLength(2)
    for (const answer of answers) if ('code' in answer) expect(answer.code).toBe('policy')
    // Neither sees more of them, nor does one that starts now; a renewal may come to any.
    const third = await replica()
    await one.store.replicas.refresh()
    for (const each of [one, other, third]) {
      expect(each.participant.leases()).toHaveLength(2)
    }
    const [lease] = third.participant.leases()
    released((await round(third, 'client', another(`${lease?.instance}`))).answer)
    await other.store.replicas.refresh()
    expect(eventsOf(other.store).at(-1)).toBe('renewed')
  })

  it('gives a place back at one replica, and it is free at the other', async () => {
    const { one, other } = await replicas()
    const first = await round(one, 'client', another('7'))
    const { answer, receiver, token } = first
    expect(refused((await round(other, 'client', another('8'))).answer).code).toBe('policy')
    const sealed = released(answer)
    const proof = receiver.openLease({ ...sealed, token }).lease.giveBack.toString('base64url')
    const message = { v: 'mcbn/1', dh: sealed.dh, role: 'client', proofs: [proof] }
    expect(await other.participant.giveBack(message)).toEqual({ returned: 1 })
    expect(await one.participant.giveBack(message)).toEqual({ returned: 0 })
    released((await round(one, 'client', another('8'))).answer)
  })

  it('obeys at one replica what a person said at the other: yes, no, and never again', async () => {
    const { one, other, replica } = await replicas({ approval: 'manual', instances: 5 })
    expect(refused((await round(one, 'client')).answer).code).toBe('manual')
    const [pending] = one.participant.pending()
    // Its line is on its way; then the other can decide it too, though nobody has asked there.
    await one.store.replicas.refresh()
    await other.store.replicas.refresh()
    const id = `${pending?.id}`
    await other.participant.approve(id)
    released((await round(one, 'client')).answer)
    const ids = await Promise.all(
      ['21', '22', '23', '24'].map(async (instance, at) => {
        const asked = at % 2 === 0 ? one : other
        refused((await round(asked, 'client', another(instance))).answer)
        const waiting = asked.participant.pending().find(({ facts }) => facts.instance === instance)
        await asked.participant.approve(`${waiting?.id}`)
        return `${waiting?.id}`
      }),
    )
    await one.store.replicas.refresh()
    expect(
      one.participant
        .decisions()
        .map((each) => each.id)
        .sort(),
    ).toEqual([id, ...ids].sort())
    await one.participant.refuse(id)
    expect(refused((await round(other, 'client')).answer).code).toBe('policy')
    const [withdrawal] = await Promise.all(
      [one, other].map(({ participant }) => participant.withdraw()),
    )
    await one.store.replicas.refresh()
    const { request } = await ask('client')
    expect(refused(other.participant.request(request)).code).toBe('withdrawn')
    const third = await replica()
    expect(third.participant.withdrawal).toEqual(withdrawal)
    const events = eventsOf(third.store)
    expect(events.filter((event) => event === 'withdrawn')).toHaveLength(1)
    expect(events.filter((event) => event === 'approved')).toHaveLength(5)
    await verifyAudit(third.store.audit.lines())
  })

  it('is fenced off by a database that went back in time', async () => {
    const { url, one, other } = await replicas()
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query('CREATE TABLE before AS SELECT * FROM mcbn_participant')
    released((await round(one, 'client')).answer)
    await other.store.replicas.refresh()
    await client.query('DELETE FROM mcbn_audit WHERE seq > (SELECT lines FROM before)')
    await client.query(
      'UPDATE mcbn_participant SET (lines, head, state, state_version, digests, seal) = (SELECT lines, head, state, state_version, digests, seal FROM before)',
    )
    await client.end()
    const late = refused((await round(other, 'client')).answer)
    expect(late.code).toBe('busy')
    await expect(other.store.replicas.refresh()).rejects.toThrow('went back in time')
  })

  it('starts from its last signed checkpoint, without the lines before it, and from no forged one', async () => {
    const { url, one, other, replica } = await replicas()
    released((await round(one, 'client')).answer)
    const many = (store: PostgresStore, count: number) =>
      Promise.all(Array.from({ length: count }, () => store.audit.append({ type: 'stopped' })))
    await many(one.store, 700)
    await many(other.store, 700)
    await one.store.replicas.refresh()
    expect(await one.store.audit.check()).toEqual(one.store.audit.head)
    expect(await one.store.audit.verify()).toEqual(one.store.audit.head)
    expect(await one.store.audit.headAt(one.store.audit.head.lines)).toEqual(one.store.audit.head)
    const [lease] = one.participant.leases()
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const { rows } = await client.query('SELECT checkpoint, lines FROM mcbn_participant')
    const checkpoint = Number(rows[0].checkpoint)
    expect(checkpoint).toBeGreaterThan(1_024)
    expect(checkpoint).toBeLessThan(Number(rows[0].lines))
    await client.query('DELETE FROM mcbn_audit WHERE seq < $1', [checkpoint])
    const third = await replica()
    expect(third.participant.leases()).toEqual([lease])
    const late = await round(third, 'client', another('another'))
    expect(refused(late.answer).code).toBe('policy')
    await client.query('UPDATE mcbn_participant SET checkpoint = checkpoint + 5')
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject({ code: 'MCBN_STORE_ALTERED' })
    await client.query('UPDATE mcbn_participant SET checkpoint = $1', [checkpoint])
    await client.query("UPDATE mcbn_audit SET line = replace(line, 'i-', 'j-') WHERE seq = $1", [
      checkpoint,
    ])
    await client.query(
      'UPDATE mcbn_audit SET line = replace(line, \'"withdrawn":false\', \'"withdrawn":true\') WHERE seq = $1',
      [checkpoint + 1],
    )
    await expect(openPostgresStore(url, lock)).rejects.toMatchObject({ code: 'MCBN_AUDIT_BROKEN' })
    await client.end()
  })

  it('takes a participant out of its folder, whole, once, and wherever that was interrupted', async () => {
    const url = await database()
    const parent = mkdtempSync(join(tmpdir(), 'mcbn-move-'))
    const dir = join(parent, 'alice')
    const folder = await createStore(dir, lock, { label: 'alice', keys: alice })
    const policy = examplePolicy(verifySignedDescriptor(signed(1)))
    await folder.installEpoch({ ...epoch(1), policy }, lock)
    await expect(moveToPostgres(dir, url, lock)).rejects.toThrow(
      'expected nobody to use this folder',
    )
    await folder.close()
    // As a kill before the database has anything leaves it: the folder is marked already.
    writeFileSync(join(dir, 'moved'), 'postgres://somewhere\n', { mode: 0o600 })
    await expect(openStore(dir, lock)).rejects.toThrow('moved to postgres://somewhere')
    expect(await moveToPostgres(dir, url, lock)).toBe('alice')
    expect(existsSync(join(dir, 'secrets.json'))).toBe(false)
    await expect(openStore(dir, lock)).rejects.toThrow('got one that was moved to')
    expect(await moveToPostgres(dir, url, lock)).toBe('alice')
    const store = keep(await openPostgresStore(url, lock))
    expect(store).toMatchObject({ label: 'alice', policy, policyHash: folder.policyHash })
    expect(store.share()).toEqual(shareOf('alice', 1))
    await store.audit.append({ type: 'started' })
    expect((await verifyAudit(store.audit.lines())).lines).toBe(3)
    const other = join(parent, 'other')
    await (await createStore(other, lock, { label: 'alice' })).close()
    await expect(moveToPostgres(other, url, lock)).rejects.toThrow('got one with other keys')
    await (await openStore(other, lock)).close()
    rmSync(parent, { recursive: true })
  })

  it('loses and doubles nothing when replicas are killed with -9 at any moment', async () => {
    const url = await database()
    const folder = mkdtempSync(join(tmpdir(), 'mcbn-pg-child-'))
    const program = bundleChild(folder)
    const file = await makeWorld(randomBytes(32).toString('hex'))
    writeFileSync(join(folder, 'world.json'), JSON.stringify(file), { mode: 0o600 })
    const world = await worldOf(file)
    const made = await createPostgresStore(url, world.lock, { label: 'alice', keys: world.keys })
    await made.installEpoch(world.epochs[0] as never, world.lock)
    await made.close()
    const random = seeded(15)
    const said: string[] = []
    /** Lives for so many confirmations, and is killed in the middle of whatever it does then. */
    const life = async (confirmations: number): Promise<void> => {
      const child = spawn(
        process.execPath,
        [program, 'replica', folder, join(folder, 'world.json'), '0', 'after', url],
        {
          env: { ...process.env, MCBN_ADDON: `${findAddon()}` },
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      let left = confirmations
      for await (const line of createInterface({ input: child.stdout })) {
        said.push(line)
        left -= 1
        if (left === 0) child.kill('SIGKILL')
      }
    }
    const lives = async (): Promise<void> => {
      for (let at = 0; at < 3; at += 1) await life(1 + Math.floor(random() * 12))
    }
    await Promise.all([lives(), lives()])
    rmSync(folder, { recursive: true })
    const store = keep(await openPostgresStore(url, world.lock))
    await verifyAudit(store.audit.lines())
    const lines: Record<string, unknown>[] = []
    for await (const line of store.audit.lines())
      lines.push(JSON.parse(Buffer.from(line).toString()))
    const ids = lines.flatMap(({ event, releaseId }) =>
      event === 'released' || event === 'renewed' ? [`${releaseId}`] : [],
    )
    expect(new Set(ids).size).toBe(ids.length)
    const confirmed = (word: string) =>
      said.filter((line) => line.startsWith(word)).map((line) => line.slice(word.length + 1))
    expect(confirmed('released').filter((id) => !ids.includes(id))).toEqual([])
    expect(confirmed('released').length).toBeGreaterThan(0)
    const decided = lines
      .filter(({ event }) => event === 'approved')
      .map(({ id, decidedAt }) => `${id} ${decidedAt}`)
    expect(confirmed('decided').filter((each) => !decided.includes(each))).toEqual([])
    expect(store.leases.length).toBeLessThanOrEqual(INSTANCES)
  })
})
