// The operator starts the right image more often than the policy allows.

import { describe, expect, it } from 'vitest'
import {
  ask,
  challenged,
  factsOf,
  HeldVerifier,
  policyOf,
  refused,
  released,
  round,
  setup,
  workloadOf,
} from '../participant/fixture.js'

describe('attack 32: more instances of one role than the cap', () => {
  it('refuses the one too many, and says when to ask again', async () => {
    const alice = setup()
    released((await round(alice, 'client', workloadOf('client', { instance: '1' }))).answer)
    alice.clock.pass(100_000)
    const second = workloadOf('client', { instance: '2' })
    expect(refused((await round(alice, 'client', second)).answer)).toMatchObject({
      code: 'policy',
      retryAfter: 500,
    })
    expect(JSON.stringify(alice.audit.of('refused'))).toMatch(/instances: expected at most 1/)
    // The first one renews and is not disturbed; the server has its own count.
    released((await round(alice, 'client', workloadOf('client', { instance: '1' }))).answer)
    released((await round(alice, 'server', workloadOf('server', { instance: '2' }))).answer)
    alice.clock.pass(600_000)
    released((await round(alice, 'client', second)).answer)
    expect(alice.participant.leases()).toHaveLength(1)
  })

  it('also when all ask at the same moment', async () => {
    let next = 0
    const verifier = new HeldVerifier(() => {
      next += 1
      return factsOf('client', clock.wall(), { instance: `${next}` })
    })
    const policy = policyOf({}, { instances: 2 })
    const { participant, clock, audit } = setup({ verifiers: [verifier], policy })
    const answers = []
    for (let at = 0; at < 8; at += 1) {
      const { request } = await ask('client')
      const { c } = challenged(participant.request(request))
      answers.push(participant.evidence({ c, request, evidence: { kind: 'local', token: 'held' } }))
    }
    verifier.release()
    const given = (await Promise.all(answers)).filter((answer) => !('code' in answer))
    expect(given).toHaveLength(2)
    expect(audit.of('released')).toHaveLength(2)
    expect(participant.leases()).toHaveLength(2)
  })

  it('counts by what is attested, not by what the workload calls itself', async () => {
    const alice = setup()
    const workload = workloadOf('client', { instance: '1', instanceName: 'a' })
    released((await round(alice, 'client', workload)).answer)
    const renamed = workloadOf('client', { instance: '2', instanceName: 'a' })
    expect(refused((await round(alice, 'client', renamed)).answer).code).toBe('policy')
  })

  it('goes on counting after a restart', async () => {
    const before = setup()
    released((await round(before, 'client')).answer)
    const after = setup({ leases: before.participant.leases() })
    const other = workloadOf('client', { instance: '2' })
    expect(refused((await round(after, 'client', other)).answer).code).toBe('policy')
    released((await round(after, 'client')).answer)
  })

  it('gives nothing to an instance that the evidence does not name', async () => {
    const verifier = new HeldVerifier(() =>
      factsOf('client', clock.wall(), { instance: undefined }),
    )
    const { participant, clock } = setup({ verifiers: [verifier] })
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const answer = participant.evidence({ c, request, evidence: { kind: 'local', token: 'held' } })
    verifier.release()
    expect(refused(await answer).code).toBe('policy')
  })
})
