// What a failure line advises, where that depends on more than the code.

import { describe, expect, it } from 'vitest'
import { errorFields, errorText } from '../../src/cli/exit.js'
import { type Consent, InsufficientConsentError } from '../../src/consent/workload/insufficient.js'
import { McbnError } from '../../src/errors.js'

const nobody: Consent = {
  ...{ need: 2, have: 0, refused: [], silent: [], unattested: [], blamed: [] },
}
const failed = new McbnError('MCBN_ATTESTER_FAILED', 'local attester: the socket a.sock failed')

describe('cli/exit, without enough consent', () => {
  it('names the attester that failed, and sends nobody to the participants', () => {
    const error = new InsufficientConsentError({ ...nobody, unattested: ['alice', 'bob'] }, [
      failed,
      failed,
    ])
    expect(errorText(error)).toMatch(
      /no evidence could be made for alice, bob \(local attester: the socket a\.sock failed\) \(MCBN_CONSENT_INSUFFICIENT\); check --attester/,
    )
    expect(errorFields(error)).toMatchObject({ advice: expect.stringMatching(/--attester/) })
  })

  it('sends to the participants where one of them said no as well', () => {
    const refused = [{ label: 'bob', code: 'withdrawn' }] as unknown as Consent['refused']
    const error = new InsufficientConsentError({ ...nobody, refused, unattested: ['alice'] }, [
      failed,
    ])
    expect(errorText(error)).toMatch(/bob refused .*a\.sock failed.*; ask those that are named/)
  })
})
