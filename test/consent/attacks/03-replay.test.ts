// The operator plays tokens and challenges again, its own and others', at once and later.

import { describe, expect, it } from 'vitest'
import {
  ask,
  challenged,
  refused,
  released,
  round,
  setup,
  tokenFor,
  workloadOf,
} from '../participant/fixture.js'

const unknown = expect.objectContaining({
  code: 'MCBN_RELEASE_INVALID',
  message: expect.stringContaining('expected an open challenge'),
})

describe('attack 3: replays', () => {
  it('a challenge that was answered already', async () => {
    const alice = setup()
    const { c, request, token, answer } = await round(alice, 'client')
    released(answer)
    const again = { c, request, evidence: { kind: 'local', token } }
    await expect(alice.participant.evidence(again)).rejects.toThrow(unknown)
    expect(alice.audit.of('released')).toHaveLength(1)
  })

  it('a challenge that was answered badly: it is spent before its evidence is looked at', async () => {
    const { participant, clock } = setup()
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const bad = { kind: 'local', token: 'not.a.token' }
    expect(refused(await participant.evidence({ c, request, evidence: bad })).code).toBe('policy')
    const token = await tokenFor(participant, request, c, clock.wall(), workloadOf('client'))
    const good = { c, request, evidence: { kind: 'local', token } }
    await expect(participant.evidence(good)).rejects.toThrow(unknown)
  })

  it('one answer many times at the same moment', async () => {
    const { participant, clock, audit } = setup()
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const token = await tokenFor(participant, request, c, clock.wall(), workloadOf('client'))
    const message = { c, request, evidence: { kind: 'local', token } }
    const answers = await Promise.allSettled(
      Array.from({ length: 20 }, () => participant.evidence(message)),
    )
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(audit.of('released')).toHaveLength(1)
  })

  it('a token under a fresh challenge, also for the same request', async () => {
    const alice = setup()
    const { request, token } = await round(alice, 'client')
    const { c } = challenged(alice.participant.request(request))
    const answer = await alice.participant.evidence({
      c,
      request,
      evidence: { kind: 'local', token },
    })
    expect(refused(answer).code).toBe('policy')
    expect(JSON.stringify(alice.audit.of('refused'))).toMatch(/nonce/)
  })

  it('a challenge after its time, and one of before a restart', async () => {
    const { participant, clock } = setup({ limits: { challengeSeconds: 60 } })
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const token = await tokenFor(participant, request, c, clock.wall(), workloadOf('client'))
    const message = { c, request, evidence: { kind: 'local', token } }
    await expect(setup().participant.evidence(message)).rejects.toThrow(unknown)
    clock.pass(60_000)
    await expect(participant.evidence(message)).rejects.toThrow(unknown)
  })

  it('a token that is older than the policy allows, under its own challenge', async () => {
    const { participant, clock } = setup({ limits: { challengeSeconds: 120 } })
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const early = clock.wall() - 3_600_000
    const token = await tokenFor(participant, request, c, early, workloadOf('client'))
    const answer = await participant.evidence({ c, request, evidence: { kind: 'local', token } })
    expect(refused(answer).code).toBe('policy')
  })
})
