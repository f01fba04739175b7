// Alice's folder for a test, and the stores in it.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { verifySignedDescriptor } from '../../../src/consent/descriptor/signed.js'
import { createStore, openStore } from '../../../src/consent/store/open.js'
import type { Store } from '../../../src/consent/store/store.js'
import { alice, lock, shareOf, signed } from './fixture.js'

/** Of the test that runs. */
export let parent: string
export let dir: string
const open: Store[] = []

/** A new folder for each test of the file, removed behind it; the stores it opened are closed. */
export function useFolders(): void {
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'mcbn-store-'))
    dir = join(parent, 'alice')
  })
  afterEach(async () => {
    for (const store of open.splice(0)) await store.close()
    rmSync(parent, { recursive: true })
  })
}

export const file = (name: string) => join(dir, name)
export const create = async () =>
  keep(await createStore(dir, lock, { label: 'alice', keys: alice }))
export const reopen = async () => keep(await openStore(dir, lock))
export const epoch = (number: number) => ({
  descriptor: signed(number),
  share: shareOf('alice', number),
})
export function keep(store: Store): Store {
  open.push(store)
  return store
}
export async function installed(): Promise<Store> {
  const store = await create()
  await store.installEpoch(epoch(1), lock)
  return store
}
export const invalid = (text: string) => ({
  code: 'MCBN_STORE_INVALID',
  message: expect.stringContaining(text),
})
export const verified = (number: number) => verifySignedDescriptor(signed(number))
export const decision = {
  id: 'ab'.repeat(32),
  decision: 'approved',
  role: 'client',
  instance: '42',
  imageDigest: 'sha256:x',
  decidedAt: 5,
} as const
