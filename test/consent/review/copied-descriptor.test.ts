// What an installation that was interrupted leaves is finished when the store is opened. A copy of the
// descriptor under that name is not one, and must not empty the state.

import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { withdrawStored } from '../../../src/consent/participant/stored.js'
import { createStore, openStore } from '../../../src/consent/store/open.js'
import { temporaryFolder } from '../../support/paths.js'
import { alice, lock, shareOf, signed } from '../store/fixture.js'

it('review/store: stays withdrawn beside a copy of its descriptor', async () => {
  const dir = join(temporaryFolder(), 'alice')
  const store = await createStore(dir, lock, { label: 'alice', keys: alice })
  await store.installEpoch({ descriptor: signed(1), share: shareOf('alice', 1) }, lock)
  const withdrawal = await withdrawStored(store)
  await store.close()
  const next = join(dir, 'descriptor.next.json')
  copyFileSync(join(dir, 'descriptor.json'), next)
  const again = await openStore(dir, lock)
  expect(again.state.current.withdrawal).toEqual(withdrawal)
  expect(existsSync(next)).toBe(false)
  await again.close()
})
