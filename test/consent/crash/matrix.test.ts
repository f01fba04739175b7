// Short runs of the matrix; `npm run crash` does hundreds.

import { describe, expect, it } from 'vitest'
import { postgresBinaries } from '../../support/postgres.js'
import { runMatrix, SCENARIOS, type StoreKind } from './matrix.js'

const stores: readonly StoreKind[] = ['folder', 'postgres']
/** Each kill is a few processes, one after the other: on a busy machine they take minutes. */
const PATIENCE_MS = 900_000
const hasPostgres = postgresBinaries() !== undefined
if (!hasPostgres) console.warn('consent/crash: PostgreSQL NOT tested, there is none here')

describe.each(stores)('consent/crash: %s', (store) => {
  it.skipIf(store === 'postgres' && !hasPostgres)(
    `loses and doubles nothing wherever a kill comes: ${SCENARIOS[store].join(', ')}`,
    async () => {
      const seed = 12
      const { kills, faults } = await runMatrix({ kills: 12, seed, store })
      expect(faults, `seed ${seed}`).toEqual([])
      for (const scenario of SCENARIOS[store]) expect(kills[scenario], scenario).toBeGreaterThan(0)
    },
    PATIENCE_MS,
  )
})
