// What every JWT has to pass, tried on the local kind, which shares the code with Google's.

import { createLocalVerifier } from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import {
  type Claims,
  EXPECTED,
  expectRefused,
  goodClaims,
  IMAGE,
  ISSUER,
  jwt,
  NOW,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'
import { space } from '../../support/facts.js'

const key = rsaKey()
const header = { alg: 'RS256', kid: 'one', typ: 'JWT' }
const verifier = createLocalVerifier({
  issuers: [{ issuer: ISSUER, jwks: { keys: [rsaJwk(key, 'one')] } }],
})
const seconds = NOW / 1000

const token = (changed: Claims = {}): string => jwt(header, goodClaims(changed), key)

describe('attestation/jwt', () => {
  it('turns a good token into facts', async () => {
    expect(await verify(verifier, token())).toEqual({
      kind: 'local',
      issuer: ISSUER,
      attestedAt: NOW,
      expiresAt: NOW + 3_600_000,
      hardware: 'GCP_INTEL_TDX',
      debug: 'disabled-since-boot',
      imageDigest: IMAGE,
      imageReference: `registry.local/workload@${IMAGE}`,
      args: ['serve'],
      env: new Map([['MODE', 'test']]),
      overriddenArgs: [],
      overriddenEnv: new Map(),
      project: 'local-project',
      zone: 'local-zone',
      instance: '1000000000000000001',
      platform: space({
        attester_tcb: ['INTEL'],
        'monitoring_enabled.memory': false,
        google_service_accounts: ['workload@local-project.iam.gserviceaccount.com'],
      }),
    })
  })

  it('takes the one nonce as a string or as an array of one, as the platform writes it', async () => {
    const facts = await verify(verifier, token({ eat_nonce: [EXPECTED.nonce] }))
    expect(facts.imageDigest).toBe(IMAGE)
  })

  it('refuses evidence of another kind', async () => {
    const wrong = verifier.verify({ kind: 'gcp-cs-oidc', token: token() }, EXPECTED)
    await expect(wrong).rejects.toMatchObject({ code: 'MCBN_EVIDENCE_REFUSED' })
  })

  const times: readonly [string, Claims, RegExp | undefined][] = [
    ['issued 60 s ahead', { iat: seconds + 60, nbf: seconds }, undefined],
    ['issued 61 s ahead', { iat: seconds + 61 }, /iat: issued in the future/],
    ['valid from 60 s ahead', { nbf: seconds + 60 }, undefined],
    ['valid from 61 s ahead', { nbf: seconds + 61 }, /nbf: not valid yet/],
    ['expired 59 s ago', { iat: seconds - 99, exp: seconds - 59 }, undefined],
    ['expired 60 s ago', { iat: seconds - 99, exp: seconds - 60 }, /exp: expired/],
    [
      'expired before it was issued',
      { exp: seconds, iat: seconds + 1 },
      /exp: expected a time after/,
    ],
    ['without iat', { iat: undefined }, /iat: expected whole seconds/],
    ['without nbf', { nbf: undefined }, /nbf: expected whole seconds/],
    ['without exp', { exp: undefined }, /exp: expected whole seconds/],
    ['with iat as text', { iat: `${seconds}` }, /iat: expected whole seconds/],
    ['with a fraction', { iat: seconds + 0.5 }, /iat: expected whole seconds/],
    ['with a time before 1970', { nbf: -1 }, /nbf: expected whole seconds/],
    ['with a time beyond 2^53', { exp: 1e300 }, /exp: expected whole seconds/],
    ['with null', { exp: null }, /exp: expected whole seconds/],
  ]
  for (const [name, changed, message] of times) {
    it(`${message === undefined ? 'accepts' : 'refuses'} a token ${name}`, async () => {
      if (message === undefined) await verify(verifier, token(changed))
      else await expectRefused(verifier, token(changed), message)
    })
  }

  it('accepts nothing when the clock is not a number', async () => {
    await expectRefused(verifier, token(), /iat/, { now: Number.NaN })
  })

  it('refuses a token for another participant, naming who was expected', async () => {
    await expectRefused(verifier, token(), /aud: expected the string mcbn:\/\/orchard\/bob/, {
      audience: 'mcbn://orchard/bob',
    })
  })

  it('refuses the nonce of another challenge', async () => {
    await expectRefused(verifier, token(), /eat_nonce/, { nonce: 'm'.repeat(43) })
  })

  it('refuses a signature of one altered bit, and a payload of one altered claim', async () => {
    const [head, body, signature] = token().split('.')
    const bytes = Buffer.from(`${signature}`, 'base64url')
    bytes[7] = (bytes[7] ?? 0) ^ 1
    await expectRefused(verifier, `${head}.${body}.${bytes.toString('base64url')}`, /signature/)
    const other = token({ hwmodel: 'GCP_AMD_SEV' }).split('.')[1]
    await expectRefused(verifier, `${head}.${other}.${signature}`, /signature/)
  })

  it('refuses a second spelling of the same signature (RFC 4648 section 3.5)', async () => {
    // 256 bytes leave four unused bits in the last character.
    const good = token()
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(good.slice(-1))
    const twin = `${good.slice(0, -1)}${alphabet[last ^ 1]}`
    await verify(verifier, good)
    await expectRefused(verifier, twin, /signature: expected base64url/)
  })

  it('reads two issuers by their own keys only', async () => {
    const other = rsaKey()
    const both = createLocalVerifier({
      issuers: [
        { issuer: ISSUER, jwks: { keys: [rsaJwk(key, 'one')] } },
        { issuer: 'https://other.test', jwks: { keys: [rsaJwk(other, 'two')] } },
      ],
    })
    const claims = goodClaims({ iss: 'https://other.test' })
    await verify(both, jwt({ ...header, kid: 'two' }, claims, other))
    await expectRefused(both, jwt({ ...header, kid: 'two' }, goodClaims(), other), /kid/)
    await expectRefused(both, jwt({ ...header, kid: 'one' }, claims, key), /kid/)
  })
})
