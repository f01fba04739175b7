// A participant gives the client one share and the server another, so that they cannot talk and nobody
// knows why.

import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { InvalidShareError } from '../../../src/consent/shares/problem.js'
import { join, type Progress } from '../../../src/consent/workload/index.js'
import type { McbnError } from '../../../src/errors.js'
import { waitFor } from '../../support/wait.js'
import { rejection } from '../workload/connections.js'
import { FakeClock } from '../workload/fake-clock.js'
import { frankBefore } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'
import { turnTraitor } from '../workload/traitor.js'

describe('attack 14: different shares for client and server', () => {
  it('names the participant, at the workload that got the wrong one', async () => {
    const rig = await consentRig()
    const frank = await frankBefore(`${rig.urls['bob']}`)
    turnTraitor(frank, rig.network, 'bob', { share: randomBytes(32), role: 'server' })
    const participants = { ...rig.urls, bob: frank.url }
    expect((await rig.join('client', { participants })).leases).toHaveLength(3)
    const error = await rejection<InvalidShareError>(join(rig.options('server', { participants })))
    expect(error).toBeInstanceOf(InvalidShareError)
    expect(error).toMatchObject({
      code: 'MCBN_SHARE_INVALID',
      participant: 'bob',
      problem: 'commitment-mismatch',
    })
    expect(error.message).toBe(
      'share of bob: commitment-mismatch: expected the share that the descriptor commits to, got another one',
    )
  })

  it('goes on with others where t of n are enough, and reports', async () => {
    const rig = await consentRig({ t: 2 })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    // A scalar of the group, so that it is wrong in no other way.
    const share = Buffer.concat([randomBytes(31), Buffer.of(1)])
    turnTraitor(frank, rig.network, 'bob', { share })
    const steps: Progress[] = []
    const network = await rig.join('client', {
      participants: { ...rig.urls, bob: frank.url },
      onProgress: (step) => steps.push(step),
    })
    await waitFor('the report', () => steps.some(({ state }) => state === 'blamed'))
    expect(steps.find(({ state }) => state === 'blamed')).toMatchObject({
      label: 'bob',
      code: 'MCBN_SHARE_INVALID',
    })
    const server = await rig.join('server')
    expect(network.kcv).toBe(server.kcv)
    expect(network.leases.map(({ label }) => label).sort()).toEqual(['alice', 'carol'])
  })

  it('is noticed at a renewal as well: a share is never exchanged silently', async () => {
    const clock = new FakeClock()
    const rig = await consentRig({ clock })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    const network = await rig.join('client', { participants: { ...rig.urls, bob: frank.url } })
    const blamed: McbnError[] = []
    network.on('blamed', (error) => blamed.push(error))
    turnTraitor(frank, rig.network, 'bob', { share: randomBytes(32) })
    clock.advance(600_000 * 0.61)
    expect(await network.ended).toEqual({ code: 'unrenewed', epoch: 1, labels: ['bob'] })
    expect(blamed).toMatchObject([{ code: 'MCBN_SHARE_INVALID', participant: 'bob' }])
  })
})
