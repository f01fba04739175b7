// What people decide holds: also when they decide twice at once, and while a release is on its way.

import { describe, expect, it } from 'vitest'
import type { ParticipantAudit } from '../../../src/consent/participant/options.js'
import { memoryState } from '../../../src/consent/store/state.js'
import { Deferred } from '../../../src/deferred.js'
import { need } from '../network.js'
import { policyOf, refused, released, round, setup, workloadOf } from '../participant/fixture.js'

const manual = () => policyOf({}, { approval: 'manual', instances: 4 })

describe('review/decisions', () => {
  it('keeps both of two decisions that are made at the same time', async () => {
    const state = memoryState()
    const alice = setup({ policy: manual(), state })
    refused((await round(alice, 'client', workloadOf('client', { instance: '1' }))).answer)
    refused((await round(alice, 'client', workloadOf('client', { instance: '2' }))).answer)
    const [second, first] = alice.participant.pending()
    const one = need(new Map([['id', first?.id ?? '']]), 'id')
    const other = need(new Map([['id', second?.id ?? '']]), 'id')
    await alice.participant.approve(one)
    // The machine that was approved is taken back while another one is approved.
    await Promise.all([alice.participant.refuse(one), alice.participant.approve(other)])
    const decided = new Map(alice.participant.decisions().map(({ id, decision }) => [id, decision]))
    expect(decided).toEqual(
      new Map([
        [one, 'refused'],
        [other, 'approved'],
      ]),
    )
    expect(state.current.decisions).toHaveLength(2)
    const { answer } = await round(alice, 'client', workloadOf('client', { instance: '1' }))
    expect(refused(answer).code).toBe('policy')
  })

  it('gives nothing to a workload that a person refuses while its release is made', async () => {
    const writing = new Deferred<void>()
    const reached = new Deferred<void>()
    let hold = false
    const audit: ParticipantAudit = {
      async append(entry) {
        if (!hold || entry.type !== 'released') return
        reached.resolve()
        await writing.promise
      },
    }
    const alice = setup({ policy: manual(), audit })
    refused((await round(alice, 'client')).answer)
    const id = alice.participant.pending()[0]?.id ?? ''
    await alice.participant.approve(id)
    hold = true
    const playing = round(alice, 'client')
    await reached.promise
    await alice.participant.refuse(id)
    writing.resolve()
    expect(refused((await playing).answer).code).toBe('policy')
    expect(alice.participant.leases()).toEqual([])
    hold = false
    await alice.participant.approve(id)
    released((await round(alice, 'client')).answer)
  })
})
