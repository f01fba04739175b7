// A stranger without a key tries identities on a server of a network, and looks at the clock: an identity of the
// network with a wrong key and an identity that nobody has must take the same time.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestNetwork, testNetwork } from '../../test/consent/network.js'
import { echoTls, rejection } from '../../test/consent/workload/connections.js'
import { consentRig } from '../../test/consent/workload/rig.js'
import { dial, serve } from '../../test/tls/support.js'

let network: TestNetwork
beforeAll(() => {
  network = testNetwork()
})

/** An identity as this version makes them, of no network at all. */
const nobody = () => `mcbn1.${randomBytes(17).toString('base64url').slice(0, 22)}`
const known = () => network.verified.identity

const median = (times: readonly number[]): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] as number

describe('timing/tls', () => {
  it.each(['TLSv1.3', 'TLSv1.2'] as const)(
    'takes the same time over %s, by medians',
    async (version) => {
      const rig = await consentRig({ network })
      const { port } = await echoTls(await rig.join('server'))
      expect(await tellsApart(port, version)).toBe(false)
    },
  )

  it('would show in those medians if a lookup took 30 ms longer for a known identity', async () => {
    const { port } = await serve({
      psk: async ({ identityText }) => {
        if (identityText !== known()) return null
        await sleep(30)
        return randomBytes(32)
      },
    })
    expect(await tellsApart(port, 'TLSv1.3')).toBe(true)
  })
})

/**
 * Whether a prober can tell known from unknown identities by time. A difference that is there is there each
 * time; noise of a machine whose cores are shared is not: so it takes three batches in a row.
 */
async function tellsApart(port: number, version: 'TLSv1.3' | 'TLSv1.2'): Promise<boolean> {
  const probe = async (identity: string): Promise<number> => {
    const psk = { identity, key: randomBytes(32) }
    const began = performance.now()
    await rejection(dial({ port, minVersion: version, maxVersion: version, psk }).opened)
    return performance.now() - began
  }
  const signs: number[] = []
  for (let batch = 0; batch < 3; batch += 1) {
    const times = { known: [] as number[], nobody: [] as number[] }
    // In turns, each first as often as the other: what is slow for a moment is slow for both.
    for (let turn = 0; turn < 40; turn += 1) {
      const order = turn % 2 ? (['known', 'nobody'] as const) : (['nobody', 'known'] as const)
      for (const who of order) times[who].push(await probe(who === 'known' ? known() : nobody()))
    }
    const difference = median(times.known) - median(times.nobody)
    const bound = Math.max(1, 0.3 * Math.min(median(times.known), median(times.nobody)))
    if (Math.abs(difference) < bound) return false
    signs.push(Math.sign(difference))
  }
  return new Set(signs).size === 1
}
