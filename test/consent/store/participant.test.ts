// A participant that lives in its folder: what it decided and gave out holds over a restart.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createVerifiers } from '../../../src/consent/attestation/verifiers.js'
import { verifyAudit } from '../../../src/consent/audit/log.js'
import { createParticipant } from '../../../src/consent/participant/participant.js'
import { participantOfStore, reloadStoredPolicy } from '../../../src/consent/participant/stored.js'
import { createStore, openStore } from '../../../src/consent/store/open.js'
import type { Store } from '../../../src/consent/store/store.js'
import { need } from '../network.js'
import {
  network,
  policyOf,
  refused,
  released,
  round,
  TestClock,
  workloadOf,
} from '../participant/fixture.js'
import { lock } from './fixture.js'

let parent: string
let dir: string
let clock: TestClock
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'mcbn-store-'))
  dir = join(parent, 'alice')
  clock = new TestClock()
})
afterEach(() => rmSync(parent, { recursive: true }))

/** As a command would: everything that a participant needs is in its store. */
async function serve(store: Store) {
  const { descriptor, label, keys, policy, audit, state, leases } = store
  const share = store.share()
  if (!descriptor || !policy || !share) throw new Error('expected a complete store')
  const verifiers = createVerifiers(policy)
  const options = { descriptor, label, keys, share, policy, verifiers, audit, state, leases, clock }
  const participant = createParticipant(options)
  share.fill(0)
  return { participant, clock }
}

async function filled(approval: 'automatic' | 'manual'): Promise<Store> {
  const keys = need(network.keys, 'alice')
  const store = await createStore(dir, lock, { label: 'alice', keys, clock })
  const share = need(network.shares, 'alice')
  const policy = policyOf({}, { approval })
  await store.installEpoch({ descriptor: network.signed, share, policy }, lock)
  return store
}

async function restart(store: Store, alice: Awaited<ReturnType<typeof serve>>) {
  await alice.participant.close()
  await store.close()
  const again = await openStore(dir, lock, { clock })
  return { store: again, alice: await serve(again) }
}

/** Lines until the audit has begun another segment. */
async function nextSegment(store: Store): Promise<void> {
  const lines = Array.from({ length: 1_030 }, () => store.audit.append({ type: 'stopped' }))
  await Promise.all(lines)
  await store.audit.append({ type: 'stopped' })
}

describe('store of a participant with an audit of several segments', () => {
  it('knows leases and decisions when the segment that tells of them is gone', async () => {
    const store = await filled('manual')
    let alice = await serve(store)
    const first = await round(alice, 'client', workloadOf('client'))
    const { id } = alice.participant.pending()[0] ?? { id: '' }
    await alice.participant.approve(id)
    released((await round(alice, 'client', workloadOf('client'))).answer)
    refused(first.answer)
    await nextSegment(store)
    const [lease] = alice.participant.leases()
    const again = await restart(store, alice)
    alice = again.alice
    rmSync(join(dir, 'audit.jsonl'))
    expect(alice.participant.leases()).toEqual([lease])
    expect(alice.participant.decisions()).toHaveLength(1)
    expect(again.store.audit.recent().filter(({ event }) => event === 'approved')).toEqual([])
    await nextSegment(again.store)
    const third = await restart(again.store, alice)
    expect(third.alice.participant.leases()).toEqual([lease])
    clock.pass(3_600_000)
    await nextSegment(third.store)
    await third.alice.participant.close()
    await third.store.close()
    const last = await openStore(dir, lock, { clock })
    expect(last.leases).toEqual([])
    await last.close()
  })

  it('refuses a state without the withdrawal that a checkpoint tells of', async () => {
    const store = await filled('automatic')
    const before = readFileSync(join(dir, 'state.json'))
    const alice = await serve(store)
    await alice.participant.withdraw()
    await nextSegment(store)
    await alice.participant.close()
    await store.close()
    writeFileSync(join(dir, 'state.json'), before)
    rmSync(join(dir, 'audit.jsonl'))
    await expect(openStore(dir, lock, { clock })).rejects.toMatchObject({
      message: expect.stringContaining('expected the withdrawal that the audit tells of'),
    })
  })
})

describe('store of a participant', () => {
  it('puts a changed policy.json in force, and keeps the one before if it is invalid', async () => {
    const store = await filled('automatic')
    const alice = { participant: participantOfStore(store, { clock }), clock }
    const file = (policy: object | string) =>
      writeFileSync(
        join(dir, 'policy.json'),
        typeof policy === 'string' ? policy : JSON.stringify(policy),
      )
    const { policyHash } = alice.participant.status()
    expect(policyHash).toBe(store.policyHash)
    expect(await reloadStoredPolicy(store, alice.participant)).toBe(false)
    for (const wrong of ['{', { ...policyOf(), descriptorHash: '0'.repeat(64) }]) {
      file(wrong)
      await expect(reloadStoredPolicy(store, alice.participant)).rejects.toThrow(
        expect.objectContaining({ code: 'MCBN_POLICY_INVALID' }),
      )
    }
    expect(alice.participant.status().policyHash).toBe(policyHash)
    released((await round(alice, 'client')).answer)
    file(policyOf({}, { approval: 'manual' }))
    expect(await reloadStoredPolicy(store, alice.participant)).toBe(true)
    expect(alice.participant.status().policyHash).not.toBe(policyHash)
    expect(refused((await round(alice, 'client')).answer).code).toBe('manual')
    // What is out runs on as it was given.
    expect(alice.participant.leases()).toHaveLength(1)
    expect(store.audit.recent().filter(({ event }) => event === 'policy-replaced')).toHaveLength(1)
    await alice.participant.close()
    await store.close()
  })

  it('knows over a restart who may give a lease back, and that it was given back', async () => {
    const first = await filled('automatic')
    const before = await serve(first)
    const { receiver, token, answer } = await round(before, 'client')
    const sealed = released(answer)
    const proof = receiver.openLease({ ...sealed, token }).lease.giveBack.toString('base64url')
    const { store, alice } = await restart(first, before)
    expect(alice.participant.leases()).toHaveLength(1)
    const message = { v: 'mcbn/1', dh: sealed.dh, role: 'client', proofs: [proof] }
    expect(await alice.participant.giveBack(message)).toEqual({ returned: 1 })
    const again = await restart(store, alice)
    expect(again.alice.participant.leases()).toEqual([])
    await again.alice.participant.close()
    await again.store.close()
  })

  it('counts the shares that were out before a restart', async () => {
    const first = await filled('automatic')
    const before = await serve(first)
    released((await round(before, 'client')).answer)
    const { store, alice } = await restart(first, before)
    expect(alice.participant.leases()).toHaveLength(1)
    const another = workloadOf('client', { instance: '2000000000000000002' })
    const { answer } = await round(alice, 'client', another)
    expect(refused(answer)).toMatchObject({ code: 'policy', retryAfter: 600 })
    // The same machine renews, and the audit says so.
    released((await round(alice, 'client')).answer)
    expect(store.audit.recent().map(({ event }) => event)).toContain('renewed')
    await alice.participant.close()
    await store.close()
    expect((await verifyAudit(join(dir, 'audit.jsonl'))).lines).toBeGreaterThan(5)
  })

  it('remembers an approval, and then a withdrawal', async () => {
    const first = await filled('manual')
    const before = await serve(first)
    expect(refused((await round(before, 'client')).answer).code).toBe('manual')
    const [pending] = before.participant.pending()
    await before.participant.approve(`${pending?.id}`)
    const { store, alice } = await restart(first, before)
    released((await round(alice, 'client')).answer)
    const withdrawal = await alice.participant.withdraw()
    const last = await restart(store, alice)
    expect(last.alice.participant.withdrawal).toEqual(withdrawal)
    await last.alice.participant.close()
    await last.store.close()
  })
})
