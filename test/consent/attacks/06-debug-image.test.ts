// Frank starts the right image where he can look into it: a debug image of the platform, hardware without
// encrypted memory, an experimental platform, a machine without secure boot. All of it attested truly.

import { describe, expect, it } from 'vitest'
import type { LocalWorkload } from '../../../src/consent/attestation/local/claims.js'
import { policyOf, refused, released, round, setup, workloadOf } from '../participant/fixture.js'

/** What is refused, what the participant's own log says of it, and the words that Frank must not get. */
async function refusal(changes: Partial<LocalWorkload>, policy = policyOf()): Promise<string> {
  const alice = setup({ policy })
  const { answer } = await round(alice, 'client', workloadOf('client', changes))
  expect(refused(answer)).toMatchObject({ label: 'alice', code: 'policy' })
  expect(Object.keys(answer).sort()).toEqual(['code', 'label', 'signature'])
  expect(alice.participant.leases()).toEqual([])
  const [line] = alice.audit.of('refused')
  return (line?.details ?? []).join('\n')
}

describe('attack 6: the right image on a platform that the operator sees into', () => {
  it('while the same image on the right platform gets the share', async () => {
    const alice = setup()
    released((await round(alice, 'client')).answer)
  })

  it.each([
    ['a debug image', { debug: 'enabled' }, 'dbgstat: expected disabled-since-boot, got "enabled"'],
    [
      'a debug image that says it was disabled later',
      { debug: 'disabled' },
      'dbgstat: expected disabled-since-boot, got "disabled"',
    ],
    [
      'GCP_SHIELDED_VM, whose memory is not encrypted',
      { hardware: 'GCP_SHIELDED_VM' },
      'hwmodel: expected GCP_INTEL_TDX or GCP_AMD_SEV or GCP_AMD_SEV_ES, got "GCP_SHIELDED_VM"',
    ],
    ['hardware of another name', { hardware: 'gcp_intel_tdx' }, 'hwmodel: expected GCP_INTEL_TDX'],
    [
      'an experimental platform',
      { support: ['EXPERIMENTAL'] },
      'support_attributes: expected STABLE without EXPERIMENTAL, got "EXPERIMENTAL"',
    ],
    [
      'an experimental platform that calls itself stable too',
      { support: ['STABLE', 'EXPERIMENTAL'] },
      'support_attributes: expected STABLE without EXPERIMENTAL',
    ],
    ['a platform without any support', { support: [] }, 'support_attributes: expected STABLE'],
    ['a machine without secure boot', { secureBoot: false }, 'secboot: expected true, got false'],
    [
      'another software than Confidential Space',
      { software: 'GCE' },
      'swname: expected CONFIDENTIAL_SPACE, got "GCE"',
    ],
  ] as const)('%s is refused', async (_name, changes, detail) => {
    expect(await refusal(changes)).toContain(detail)
  })

  it('all at once is refused with all of them in the log', async () => {
    const details = await refusal({
      debug: 'enabled',
      hardware: 'GCP_SHIELDED_VM',
      support: ['EXPERIMENTAL'],
      secureBoot: false,
    })
    expect(details.split('\n').map((line) => line.split(':')[0])).toEqual([
      'dbgstat',
      'secboot',
      'hwmodel',
      'support_attributes',
    ])
  })

  it('and a policy can neither allow that hardware nor speak of debugging at all', () => {
    expect(() => policyOf({}, { hardware: ['GCP_SHIELDED_VM'] })).toThrow(
      'hardware[0]: expected hardware with encrypted memory; on this one the operator could read the share',
    )
    expect(() => policyOf({}, { debug: 'enabled' } as never)).toThrow('there is no such field')
  })
})
