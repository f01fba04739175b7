// How long a ceremony computes, up to 15 participants. The figures are printed: people decide by them
// whether they wait or go for a coffee. The limit is far above, and catches only another order of growth.

import { describe, expect, it } from 'vitest'
import { everybody, exchange, one, perform, table } from '../../test/consent/ceremony/rehearsal.js'

/** Milliseconds that one of 15 may compute. */
const MOST = 8_000

describe('timing/ceremony', () => {
  it.each([
    ['n-of-n', 15, 15],
    ['t-of-n', 2, 3],
    ['t-of-n', 3, 5],
    ['t-of-n', 8, 15],
    ['t-of-n', 15, 15],
  ] as const)('%s: %i of %i', async (mode, t, n) => {
    const all = everybody(table(mode, n, t))
    const began = performance.now()
    for (let round = 0; round < 5; round += 1) await exchange(all)
    const results = await perform(all)
    const each = (performance.now() - began) / n
    process.stdout.write(
      `ceremony ${mode}, ${t} of ${n}: ${each.toFixed(0)} ms of computing each\n`,
    )
    expect(one(results, 'alice').descriptor.descriptor.participants).toHaveLength(n)
    expect(each).toBeLessThan(MOST)
  })
})
