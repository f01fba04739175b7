// A short run of the matrix; `npm run crash` does hundreds.

import { describe, expect, it } from 'vitest'
import { runMatrix, SCENARIOS } from './matrix.js'

describe('consent/crash', () => {
  it('loses and doubles nothing wherever a kill comes, in init, install, serve, withdraw and a ceremony', async () => {
    const seed = 12
    const { kills, faults } = await runMatrix({ kills: 12, seed })
    expect(faults, `seed ${seed}`).toEqual([])
    for (const scenario of SCENARIOS) expect(kills[scenario], scenario).toBeGreaterThan(0)
  })
})
