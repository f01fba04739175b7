// A person who approves by commands sees what the approval is for: with an environment that the policy leaves to the
// operator, the same image on the same machine can be sent anywhere.

import { expect, it } from 'vitest'
import { described } from '../../../src/cli/consent/participant-told.js'
import { requestId } from '../../../src/consent/participant/approvals.js'
import { accounts } from '../../support/facts.js'
import { factsOf, NOON, network } from '../participant/fixture.js'

const changes = [
  { env: new Map([['TARGET', 'evil.example']]) },
  { overriddenArgs: ['node', '/app/other.js'] },
  { overriddenEnv: new Map([['TARGET', 'evil.example']]) },
  { platform: accounts('frank@operator.example') },
  { platform: { name: 'amd-sev-snp', claims: { vmpl: 0 } } },
  { issuer: 'https://other.test' },
  { kind: 'other' },
  { args: ['node', '/app/other.js'] },
  { instance: '2' },
  { project: 'operator' },
  { imageDigest: `sha256:${'00'.repeat(32)}` },
] as const

it.each(changes)('review/approval: tells a request from one with %o, as its id does', (change) => {
  const { hash } = network.verified
  const facts = factsOf('client', NOON)
  const other = factsOf('client', NOON, change)
  expect(requestId(hash, 'client', other)).not.toBe(requestId(hash, 'client', facts))
  expect(described({ facts: other })).not.toBe(described({ facts }))
})
