// The operator shows Alice what was made for Bob.

import { describe, expect, it } from 'vitest'
import {
  ask,
  challenged,
  refused,
  released,
  setup,
  tokenFor,
  workloadOf,
} from '../participant/fixture.js'

describe("attack 4: shows Bob's token to Alice", () => {
  it('which is for another audience and another nonce', async () => {
    const alice = setup({ label: 'alice' })
    const bob = setup({ label: 'bob' })
    const { request } = await ask('client')
    const workload = workloadOf('client')
    const now = alice.clock.wall()
    const toAlice = challenged(alice.participant.request(request))
    const toBob = challenged(bob.participant.request(request))
    const token = await tokenFor(bob.participant, request, toBob.c, now, workload)
    const evidence = { kind: 'local', token }
    const answer = await alice.participant.evidence({ c: toAlice.c, request, evidence })
    expect(refused(answer).code).toBe('policy')
    expect(JSON.stringify(alice.audit.of('refused'))).toMatch(/aud/)
    // And it is good where it belongs: what was refused is the mix-up, nothing else.
    released(await bob.participant.evidence({ c: toBob.c, request, evidence }))
  })

  it("nor does Alice's challenge, passed on as Bob's, get anything", async () => {
    const alice = setup({ label: 'alice' })
    const bob = setup({ label: 'bob' })
    const { request } = await ask('client')
    const { c } = challenged(alice.participant.request(request))
    // The workload believes that Bob has sent it.
    const token = await tokenFor(
      bob.participant,
      request,
      c,
      alice.clock.wall(),
      workloadOf('client'),
    )
    const evidence = { kind: 'local', token }
    expect(refused(await alice.participant.evidence({ c, request, evidence })).code).toBe('policy')
    await expect(bob.participant.evidence({ c, request, evidence })).rejects.toThrow(
      /open challenge/,
    )
  })
})
