import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { examplePolicy } from '../../../src/consent/policy/example.js'
import { signWithdrawal } from '../../../src/consent/release/sign.js'
import type { Store } from '../../../src/consent/store/store.js'
import { alice, lock, shareOf } from './fixture.js'
import {
  create,
  decision,
  dir,
  epoch,
  file,
  installed,
  parent,
  reopen,
  useFolders,
  verified,
} from './folders.js'

useFolders()

describe('store/what a kill interrupts', () => {
  const events = (store: Store) => store.audit.recent().map(({ event }) => event)

  it('installs the policy with its epoch: both are the old ones, or both the next', async () => {
    const policy = { ...epoch(1), policy: examplePolicy(verified(1)) }
    const store = await create()
    await store.installEpoch(policy, lock)
    const copy = (name: string) => readFileSync(file(name))
    const old = [copy('state.json'), copy('descriptor.json'), copy('policy.json')] as const
    await store.installEpoch({ ...epoch(2), policy: examplePolicy(verified(2)) }, lock)
    const next = [copy('descriptor.json'), copy('policy.json')] as const
    await store.close()
    const back = (name: string, bytes: Uint8Array) =>
      writeFileSync(file(name), bytes, { mode: 0o600 })
    // Once the secrets are those of epoch 2, whichever of the others a kill has kept from being replaced.
    for (const renamed of [0, 1]) {
      back('state.json', old[0])
      back('descriptor.json', old[1])
      back('descriptor.next.json', next[0])
      if (renamed === 0) back('policy.json', old[2])
      if (renamed === 0) back('policy.next.json', next[1])
      const again = await reopen()
      expect(again.policy).toEqual(examplePolicy(verified(2)))
      expect(again.descriptor?.descriptor.epoch).toBe(2)
      // Its line was there already, and is not doubled.
      expect(events(again)).toEqual(['created', 'epoch-installed', 'epoch-installed'])
      expect(readdirSync(dir).filter((name) => name.includes('next'))).toEqual([])
      await again.close()
    }
    // A policy of an attempt that came to nothing stays nowhere.
    back('policy.next.json', old[2])
    expect((await reopen()).policy).toEqual(examplePolicy(verified(2)))
    expect(readdirSync(dir)).not.toContain('policy.next.json')
  })

  it('may be installed again, and is as it was: an edited policy, decisions, audit', async () => {
    const store = await installed()
    await store.setPolicy(`${JSON.stringify(examplePolicy(verified(1)))}   `)
    await store.state.save({ decisions: [decision] })
    const before = events(store)
    await store.installEpoch({ ...epoch(1), policy: examplePolicy(verified(1)) }, lock)
    expect(readFileSync(file('policy.json'), 'utf8')).toMatch(/ {3}$/)
    expect(store.state.current.decisions).toEqual([decision])
    expect(events(store)).toEqual(before)
    const wrong = { ...epoch(1), share: shareOf('alice', 2) }
    await expect(store.installEpoch(wrong, lock)).rejects.toMatchObject({
      code: 'MCBN_SHARE_INVALID',
    })
  })

  it('writes the line of a decision and of a withdrawal that it had no time for', async () => {
    const store = await installed()
    const dh = verified(1).hash.toString('base64url')
    const withdrawal = signWithdrawal({ label: 'alice', dh, withdrawnAt: 9 }, alice.ed25519)
    const renewed = { ...decision, decision: 'refused', decidedAt: 7 } as const
    await store.state.save({ decisions: [decision] })
    await store.audit.append({ type: 'approved', ...decision })
    await store.state.save({ decisions: [renewed], withdrawal })
    await store.close()
    for (let start = 0; start < 2; start += 1) {
      const again = await reopen()
      expect(again.audit.recent().slice(-3)).toMatchObject([
        { event: 'approved', decidedAt: 5 },
        { event: 'refused', id: decision.id, decidedAt: 7 },
        { event: 'withdrawn', withdrawnAt: 9 },
      ])
      await again.close()
    }
  })

  it('overwrites secrets that were replaced and not yet overwritten, and none that are in use', async () => {
    const { linkSync } = await import('node:fs')
    const store = await installed()
    await store.close()
    const aside = file('.secrets.json.0123456789abcdef.old')
    linkSync(file('secrets.json'), aside)
    const again = await reopen()
    expect(again.share()).toEqual(shareOf('alice', 1))
    await again.close()
    writeFileSync(aside, 'the sealed secrets of before', { mode: 0o600 })
    linkSync(aside, join(parent, 'inode'))
    await reopen()
    expect(readFileSync(join(parent, 'inode'))).not.toContain('sealed')
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('removes what a kill left of any file that was being written, whatever its name is like', async () => {
    await (await installed()).close()
    const files = ['moved', 'state.json', 'secrets.json', 'descriptor.next.json', 'audit.next']
    for (const name of files) {
      writeFileSync(file(`.${name}.0123456789abcdef.tmp`), '{', { mode: 0o600 })
      writeFileSync(file(`.${name}.0123456789abcdef.old`), '{', { mode: 0o600 })
    }
    await reopen()
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('makes a folder again that was half made', async () => {
    await (await create()).close()
    for (const name of ['participant.json', 'audit.jsonl']) rmSync(file(name))
    writeFileSync(file('.participant.json.0123456789abcdef.tmp'), '{')
    expect(events(await create())).toEqual(['created'])
  })

  it('makes a folder again whose second attempt ended while it replaced the secrets of the first', async () => {
    const { linkSync } = await import('node:fs')
    await (await create()).close()
    for (const name of ['participant.json', 'audit.jsonl']) rmSync(file(name))
    linkSync(file('secrets.json'), file('.secrets.json.0123456789abcdef.old'))
    linkSync(file('secrets.json'), join(parent, 'inode'))
    expect(events(await create())).toEqual(['created'])
    expect(readFileSync(join(parent, 'inode'), 'utf8')).not.toContain('aes-256-gcm')
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([])
  })
})
