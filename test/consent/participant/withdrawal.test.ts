import { describe, expect, it } from 'vitest'
import type { ParticipantState } from '../../../src/consent/index.js'
import { parseWithdrawal } from '../../../src/consent/release/parse.js'
import { refusedHash, verifyRefusal, verifyWithdrawal } from '../../../src/consent/release/sign.js'
import {
  ask,
  challenged,
  factsOf,
  HeldVerifier,
  network,
  refused,
  released,
  round,
  setup,
} from './fixture.js'

describe('participant/withdrawal', () => {
  it('is stored before it is answered, signed, and in force for good', async () => {
    const saved: ParticipantState[] = []
    const state = {
      current: { decisions: [] },
      save: async (next: ParticipantState) => void saved.push(next),
    }
    const alice = setup({ state })
    released((await round(alice, 'client')).answer)
    const withdrawal = await alice.participant.withdraw()
    expect(saved).toEqual([{ decisions: [], withdrawal }])
    expect(verifyWithdrawal(parseWithdrawal({ ...withdrawal }), network.verified)).toBe(true)
    expect(await alice.participant.withdraw()).toEqual(withdrawal)
    expect(alice.participant.withdrawal).toEqual(withdrawal)
    const { request } = await ask('client')
    const answer = refused(alice.participant.request(request))
    expect(answer.code).toBe('withdrawn')
    expect(answer.retryAfter).toBeUndefined()
    expect(verifyRefusal(answer, network.verified, { refused: refusedHash(request) })).toBe(true)
    expect(alice.audit.of('withdrawn')).toHaveLength(1)
    expect(alice.participant.status().withdrawnSince).toBe(alice.clock.wall())
    const again = setup({ state: { current: { decisions: [], withdrawal }, save: state.save } })
    expect(refused(again.participant.request(request)).code).toBe('withdrawn')
  })

  it('is in force from the first moment, also where it cannot be stored', async () => {
    const state = { current: { decisions: [] }, save: () => Promise.reject(new Error('disk full')) }
    const alice = setup({ state })
    const { request } = await ask('client')
    const withdrawing = expect(alice.participant.withdraw()).rejects.toThrow('disk full')
    expect(refused(alice.participant.request(request)).code).toBe('withdrawn')
    await withdrawing
    expect(refused(alice.participant.request(request)).code).toBe('withdrawn')
  })

  it('holds back a release that is being made', async () => {
    const verifier = new HeldVerifier(() => factsOf('client', clock.wall()))
    const { participant, clock } = setup({ verifiers: [verifier] })
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const answer = participant.evidence({ c, request, evidence: { kind: 'local', token: 'held' } })
    await participant.withdraw()
    verifier.release()
    expect(refused(await answer).code).toBe('withdrawn')
  })

  it('holds back a release whose line of the audit is being written', async () => {
    const written: (() => void)[] = []
    const audit = {
      append: ({ type }: { readonly type: string }) =>
        type === 'released'
          ? new Promise<void>((resolve) => written.push(resolve))
          : Promise.resolve(),
    }
    const alice = setup({ audit })
    const answer = round(alice, 'client')
    while (written.length === 0) await new Promise(setImmediate)
    await alice.participant.withdraw()
    written[0]?.()
    expect(refused((await answer).answer).code).toBe('withdrawn')
    expect(alice.participant.leases()).toEqual([])
  })
})
