// Everybody can run the public image on the right platform: Frank does so in his own project, where
// its network, its logs and its service account are his.

import { describe, expect, it } from 'vitest'
import type { LocalWorkload } from '../../../src/consent/attestation/local/claims.js'
import type { PolicyRole } from '../../../src/consent/policy/types.js'
import { policyOf, refused, released, round, setup, workloadOf } from '../participant/fixture.js'

async function refusal(
  changes: Partial<LocalWorkload>,
  rules: Partial<PolicyRole> = {},
): Promise<string> {
  const alice = setup({ policy: policyOf({}, rules) })
  const { answer } = await round(alice, 'client', workloadOf('client', changes))
  expect(refused(answer).code).toBe('policy')
  expect(alice.participant.leases()).toEqual([])
  return (alice.audit.of('refused')[0]?.details ?? []).join('\n')
}

describe('attack 12: the same image in another project', () => {
  it('is refused, and only for that', async () => {
    expect(await refusal({ project: 'franks-project' })).toBe(
      'project_id: expected local-project, got "franks-project"',
    )
  })

  it.each(['LOCAL-PROJECT', 'local-project ', 'local-projec', 'xlocal-project', ''])(
    'is refused as %j: names are compared whole',
    async (project) => {
      expect(await refusal({ project })).toContain('project_id: expected local-project')
    },
  )

  it("is refused with another service account than the policy's, or with one more", async () => {
    const account = 'workload@local-project.iam.gserviceaccount.com'
    const franks = 'frank@franks-project.iam.gserviceaccount.com'
    const rules = { serviceAccounts: [account] }
    const detail = `service accounts: expected ${account}, got "${franks}"`
    expect(await refusal({ serviceAccounts: [franks] }, rules)).toBe(detail)
    expect(await refusal({ serviceAccounts: [account, franks] }, rules)).toBe(detail)
    expect(await refusal({ serviceAccounts: [] }, rules)).toContain('expected one, got nothing')
    const alice = setup({ policy: policyOf({}, rules) })
    const workload = workloadOf('client', { serviceAccounts: [account] })
    released((await round(alice, 'client', workload)).answer)
  })

  it('and a policy cannot leave the project open', () => {
    expect(() => policyOf({}, { projects: [] })).toThrow('projects: expected a list of 1 to 64')
    expect(() => policyOf({}, { projects: undefined } as never)).toThrow(
      'projects: expected a value',
    )
  })
})
