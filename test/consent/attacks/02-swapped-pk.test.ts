// The operator replaces the workload's key by its own, and hopes for a share sealed to that.

import { describe, expect, it } from 'vitest'
import { generateReceiver } from '../../../src/consent/release/seal.js'
import { ask, challenged, refused, setup, tokenFor, workloadOf } from '../participant/fixture.js'

describe('attack 2: swaps pk', () => {
  it('gets a challenge for its own key, but no evidence for it', async () => {
    const { participant, clock, audit } = setup()
    const { request } = await ask('client')
    const frank = await generateReceiver()
    const swapped = { ...request, pk: frank.publicKey.toString('base64url') }
    const { c } = challenged(participant.request(swapped))
    // The workload answers for the key that it has sent itself.
    const token = await tokenFor(participant, request, c, clock.wall(), workloadOf('client'))
    const evidence = { kind: 'local', token }
    // Frank has to show the request that the challenge is for.
    await expect(participant.evidence({ c, request, evidence })).rejects.toThrow(/open challenge/)
    const answer = await participant.evidence({ c, request: swapped, evidence })
    expect(refused(answer).code).toBe('policy')
    expect(JSON.stringify(audit.of('refused'))).toMatch(/nonce/)
    expect(audit.of('released')).toEqual([])
    expect(participant.leases()).toEqual([])
  })

  it.each(['r', 'instance', 'role'] as const)(
    'nor does a request with another %s pass for it',
    async (field) => {
      const { participant, clock } = setup()
      const { request } = await ask('client')
      const other = (await ask('server')).request
      const changed = { ...request, [field]: other[field] }
      const { c } = challenged(participant.request(changed))
      const token = await tokenFor(participant, request, c, clock.wall(), workloadOf('client'))
      const evidence = { kind: 'local', token }
      const answer = await participant.evidence({ c, request: changed, evidence })
      // `instance` is for display: nothing is decided by it, so nothing is gained by changing it.
      if (field === 'instance') expect('code' in answer).toBe(false)
      else expect(refused(answer).code).toBe('policy')
    },
  )
})
