// The server's image asks for the client's share, and the other way round.

import { describe, expect, it } from 'vitest'
import {
  IMAGES,
  policyOf,
  refused,
  round,
  rulesFor,
  setup,
  workloadOf,
} from '../participant/fixture.js'

describe("attack 9: the server's image asks as client", () => {
  it.each([
    ['client', 'server'],
    ['server', 'client'],
  ] as const)('as %s, the image of the %s is refused', async (role, image) => {
    const alice = setup()
    const workload = workloadOf(role, { imageDigest: IMAGES[image] })
    expect(refused((await round(alice, role, workload)).answer).code).toBe('policy')
    expect(JSON.stringify(alice.audit.of('refused'))).toMatch(/image/)
    expect(alice.participant.leases()).toEqual([])
  })

  it('also with the arguments that are right for that image', async () => {
    const alice = setup()
    const { answer } = await round(alice, 'client', workloadOf('server'))
    expect(refused(answer).code).toBe('policy')
  })

  it('and a policy cannot allow it: an image has to be of that role in the descriptor too', () => {
    const images = [IMAGES.server]
    const roles = { client: rulesFor('client', { images }) }
    expect(() => setup({ policy: policyOf({ roles }) })).toThrow(
      expect.objectContaining({ code: 'MCBN_POLICY_INVALID' }),
    )
  })
})
