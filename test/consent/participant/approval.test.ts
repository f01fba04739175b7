import { describe, expect, it } from 'vitest'
import { memoryState } from '../../../src/consent/index.js'
import {
  IMAGES,
  network,
  policyOf,
  refused,
  released,
  round,
  setup,
  workloadOf,
} from './fixture.js'

describe('participant/approval', () => {
  const manual = () => setup({ policy: policyOf({}, { approval: 'manual' }) })

  it('lets a workload wait for a person, and gives its share once it is approved', async () => {
    const alice = manual()
    const { answer } = await round(alice, 'client')
    expect(refused(answer)).toMatchObject({ code: 'manual', retryAfter: 2 })
    alice.clock.pass(10_000)
    await round(alice, 'client')
    const [pending] = alice.participant.pending()
    expect(pending).toMatchObject({ role: 'client', times: 2, lastAskedAt: alice.clock.wall() })
    expect(pending?.facts.imageDigest).toBe(IMAGES.client)
    expect(alice.audit.of('pending')).toHaveLength(1)
    await alice.participant.approve(pending?.id ?? '')
    expect(alice.participant.pending()).toEqual([])
    released((await round(alice, 'client')).answer)
    expect(alice.audit.of('approved')).toMatchObject([{ id: pending?.id }])
  })

  it('has it ask again after half of what it has waited, within 2 to 10 s', async () => {
    const alice = manual()
    const waits: unknown[] = []
    for (const seconds of [0, 2, 4, 6, 60, 86_400]) {
      alice.clock.pass(seconds * 1_000)
      waits.push(refused((await round(alice, 'client')).answer).retryAfter)
    }
    expect(waits).toEqual([2, 2, 3, 6, 10, 10])
  })

  it.each<readonly [string, Parameters<typeof workloadOf>[1]]>([
    ['another instance', { instance: '2' }],
    ['another service account', { serviceAccounts: ['other@test'] }],
    ['another environment', { env: { MCBN_DESCRIPTOR_HASH: network.verified.hashHex, MODE: 'b' } }],
  ])('asks again for %s', async (_, changes) => {
    const policy = policyOf({}, { approval: 'manual', env: { MODE: null }, instances: 2 })
    const alice = setup({ policy })
    await round(alice, 'client')
    await alice.participant.approve(alice.participant.pending()[0]?.id ?? '')
    released((await round(alice, 'client')).answer)
    const { answer } = await round(alice, 'client', workloadOf('client', changes))
    expect(refused(answer).code).toBe('manual')
  })

  it('takes an approval back, and lets it run out', async () => {
    const alice = manual()
    await round(alice, 'client')
    const id = alice.participant.pending()[0]?.id ?? ''
    await alice.participant.approve(id, 30)
    released((await round(alice, 'client')).answer)
    expect(alice.participant.decisions()).toMatchObject([{ id, decision: 'approved' }])
    alice.clock.pass(30_000)
    expect(alice.participant.decisions()).toEqual([])
    expect(refused((await round(alice, 'client')).answer).code).toBe('manual')
    await alice.participant.approve(id)
    released((await round(alice, 'client')).answer)
    await alice.participant.refuse(id)
    const answer = refused((await round(alice, 'client')).answer)
    expect(answer).toMatchObject({ code: 'policy' })
    expect(answer.retryAfter).toBeUndefined()
    expect(alice.participant.pending()).toEqual([])
  })

  it('remembers decisions over a restart, and makes none that could not be stored', async () => {
    const state = memoryState()
    const policy = policyOf({}, { approval: 'manual' })
    const before = setup({ policy, state })
    await round(before, 'client')
    const id = before.participant.pending()[0]?.id ?? ''
    const save = state.save
    state.save = () => Promise.reject(new Error('disk full'))
    await expect(before.participant.approve(id)).rejects.toThrow('disk full')
    expect(refused((await round(before, 'client')).answer).code).toBe('manual')
    state.save = save
    await before.participant.approve(id)
    await before.participant.close()
    released((await round(setup({ policy, state }), 'client')).answer)
  })

  it('refuses to decide about what nobody asked for', async () => {
    await expect(manual().participant.approve('00'.repeat(32))).rejects.toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
    )
  })

  it('keeps at most so many waiting: the one that is silent for longest goes', async () => {
    const policy = policyOf({}, { approval: 'manual' })
    const alice = setup({ policy, limits: { pending: 2 } })
    const asked = (instance: string) => round(alice, 'client', workloadOf('client', { instance }))
    for (const instance of ['1', '2', '1', '3']) await asked(instance)
    expect(alice.participant.pending().map(({ facts }) => facts.instance)).toEqual(['3', '1'])
  })
})
