// Shares and releases of an old epoch, or of another network, in place of the right ones.

import { describe, expect, it } from 'vitest'
import type { InvalidShareError } from '../../../src/consent/shares/problem.js'
import { join, type Progress } from '../../../src/consent/workload/index.js'
import { need, testNetwork } from '../network.js'
import { rejection } from '../workload/connections.js'
import { frankBefore, type Json } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'
import { turnTraitor } from '../workload/traitor.js'

describe('attack 16: a share of an old epoch or another network', () => {
  it('is not a share of this one, no matter who signs for it', async () => {
    const old = testNetwork()
    const rig = await consentRig({ keys: old.keys, fields: { epoch: 2 } })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    turnTraitor(frank, rig.network, 'bob', { share: need(old.shares, 'bob') })
    const options = rig.options('client', { participants: { ...rig.urls, bob: frank.url } })
    expect(await rejection<InvalidShareError>(join(options))).toMatchObject({
      code: 'MCBN_SHARE_INVALID',
      participant: 'bob',
      problem: 'commitment-mismatch',
    })
  })

  it('nor is the right share, signed for another epoch', async () => {
    const rig = await consentRig({ fields: { epoch: 2 } })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    turnTraitor(frank, rig.network, 'bob', { header: { epoch: 1 } })
    const options = rig.options('client', { participants: { ...rig.urls, bob: frank.url } })
    const error = await rejection<InvalidShareError>(join(options))
    expect(error).toMatchObject({ participant: 'bob', problem: 'wrong-epoch' })
    expect(error.message).toBe('share of bob: wrong-epoch: expected epoch 2, got 1')
  })

  it('a release of the epoch before, recorded and played again, blames nobody', async () => {
    const first = await consentRig()
    const recorder = await frankBefore(`${first.urls['bob']}`)
    await first.join('client', { participants: { ...first.urls, bob: recorder.url } })
    const recorded: Json = recorder.seen.find(({ path }) => path === '/v1/evidence')?.got
    expect(recorded.label).toBe('bob')

    const rig = await consentRig({ keys: first.network.keys, fields: { epoch: 2 } })
    const frank = await frankBefore(`${rig.urls['bob']}`)
    frank.onAnswer = (path, answer) => (path === '/v1/evidence' ? recorded : answer)
    const enough = new AbortController()
    const steps: Progress[] = []
    const joining = join(
      rig.options('client', {
        participants: { ...rig.urls, bob: frank.url },
        signal: enough.signal,
        onProgress: (step) => {
          steps.push(step)
          if (step.label === 'bob' && step.state === 'silent') enough.abort(new Error('noticed'))
        },
      }),
    )
    await rejection<Error>(joining)
    expect(steps.find(({ state }) => state === 'silent')).toMatchObject({
      code: 'MCBN_RELEASE_INVALID',
      message: expect.stringContaining("expected the descriptor's hash"),
    })
    expect(steps.filter(({ state }) => state === 'blamed')).toEqual([])
  })
})
