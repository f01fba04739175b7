// Types of claims are strict: what is absent is absent, what is there has its documented type.

import { createLocalVerifier } from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import {
  type Claims,
  expectRefused,
  goodClaims,
  ISSUER,
  jwt,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'

const key = rsaKey()
const verifier = createLocalVerifier({
  issuers: [{ issuer: ISSUER, jwks: { keys: [rsaJwk(key, 'one')] } }],
})
const sign = (claims: Claims): string => jwt({ alg: 'RS256', kid: 'one' }, claims, key)

/** Good claims with the one at a path replaced; the path's parents exist. */
function withClaim(path: string, value: unknown): Claims {
  const claims = goodClaims()
  const names = path.split('.')
  let at = claims
  for (const name of names.slice(0, -1)) at = at[name] as Claims
  at[`${names.at(-1)}`] = value
  return claims
}

const WRONG: readonly [string, readonly unknown[]][] = [
  ['hwmodel', [1, null, ['GCP_INTEL_TDX'], {}]],
  ['swname', [true, null, ['CONFIDENTIAL_SPACE']]],
  ['swversion', ['250800', [250800], {}]],
  ['dbgstat', [false, null, {}]],
  ['secboot', ['true', 1, null, [true]]],
  ['google_service_accounts', ['a@b', [1], {}]],
  ['submods', ['x', [], 1]],
  ['submods.confidential_space', [[], 'x']],
  ['submods.confidential_space.support_attributes', ['STABLE', [['STABLE']], { 0: 'STABLE' }]],
  ['submods.container', [[], 'x']],
  ['submods.container.image_reference', [1, null]],
  ['submods.container.args', ['serve', [1], { 0: 'serve' }]],
  ['submods.container.env', [['MODE=test'], { MODE: 1 }, { MODE: null }, 'MODE=test']],
  ['submods.container.cmd_override', ['x', [null], {}]],
  ['submods.container.env_override', [[], { A: false }]],
  ['submods.gce', ['x', []]],
  ['submods.gce.project_id', [1, null]],
  ['submods.gce.zone', [1]],
  ['submods.gce.instance_id', [1, null]],
]

describe('attestation/claims', () => {
  for (const [path, values] of WRONG) {
    it(`refuses ${path} of a wrong type, naming it`, async () => {
      const named = new RegExp(`^evidence: ${path.replaceAll('.', '\\.')}: expected`)
      for (const value of values) {
        await expectRefused(verifier, sign(withClaim(path, value)), named)
      }
    })
  }

  it('says absent where a claim is absent, and guesses nothing', async () => {
    const { aud, eat_nonce, exp, iat, iss, nbf } = goodClaims()
    const facts = await verify(verifier, sign({ aud, eat_nonce, exp, iat, iss, nbf }))
    expect(facts).toEqual({
      kind: 'local',
      issuer: ISSUER,
      attestedAt: Number(iat) * 1000,
      expiresAt: Number(exp) * 1000,
      hardware: undefined,
      debug: undefined,
      imageDigest: undefined,
      imageReference: undefined,
      args: [],
      env: new Map(),
      overriddenArgs: [],
      overriddenEnv: new Map(),
      project: undefined,
      zone: undefined,
      instance: undefined,
      platform: { name: 'confidential-space', claims: {} },
    })
  })

  it('takes null for an empty list or map, as the platform writes overrides', async () => {
    const claims = withClaim('submods.container.cmd_override', null)
    const container = (claims['submods'] as Claims)['container'] as Claims
    container['env_override'] = null
    container['args'] = null
    const facts = await verify(verifier, sign(claims))
    expect(facts).toMatchObject({ args: [], overriddenArgs: [] })
    expect(facts.overriddenEnv.size).toBe(0)
  })

  it('reports what the operator changed', async () => {
    const claims = withClaim('submods.container.cmd_override', ['--loud'])
    const container = (claims['submods'] as Claims)['container'] as Claims
    container['env_override'] = { NODE_OPTIONS: '--inspect' }
    const facts = await verify(verifier, sign(claims))
    expect(facts.overriddenArgs).toEqual(['--loud'])
    expect([...facts.overriddenEnv]).toEqual([['NODE_OPTIONS', '--inspect']])
  })

  it('ignores claims it does not know, as other tokens of the platform carry them', async () => {
    const facts = await verify(verifier, sign(withClaim('tdx', { gcp_attester_tcb_status: 'x' })))
    expect(facts.platform.claims).toMatchObject({
      secboot: true,
      'tdx.gcp_attester_tcb_status': 'x',
    })
  })
})
