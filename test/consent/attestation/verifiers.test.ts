// Which verifiers a policy gets, and that the seam takes evidence that is nothing like a JWT.

import {
  checkLocalIssuers,
  createLocalIssuer,
  createLocalVerifier,
  createVerifiers,
  type EvidencePolicy,
  GCP_CS_ISSUER,
  type PolicyRole,
} from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import { IMAGE, ISSUER, rsaJwk, rsaKey } from '../../support/evidence.js'
import { createEnclave, createEnclaveVerifier } from './cose.js'

const key = rsaKey()
const localIssuers = [{ issuer: ISSUER, jwks: { keys: [rsaJwk(key, 'one')] } }]

function policy(
  attestation: readonly string[],
  more: Partial<EvidencePolicy> = {},
): EvidencePolicy {
  const client: PolicyRole = { images: [IMAGE], attestation, projects: ['p'], args: [] }
  return { roles: { client }, ...more }
}

describe('attestation/verifiers', () => {
  it('makes a verifier for each kind that a role names, and no other', () => {
    const kinds = (of: EvidencePolicy) => [...createVerifiers(of).keys()]
    expect(kinds(policy(['gcp-cs-oidc']))).toEqual(['gcp-cs-oidc'])
    expect(kinds(policy([]))).toEqual([])
    expect(kinds({ roles: {} })).toEqual([])
    expect(kinds(policy(['gcp-cs-oidc'], { localIssuers }))).toEqual(['gcp-cs-oidc'])
    expect(kinds(policy(['local', 'gcp-cs-oidc'], { localIssuers }))).toEqual([
      'local',
      'gcp-cs-oidc',
    ])
  })

  it('gives no verifier of local without issuers in the policy, even if one is given', () => {
    expect(() => createVerifiers(policy(['local']))).toThrow(/local needs issuers/)
    expect(() => createVerifiers(policy(['local'], { localIssuers: [] }))).toThrow(/localIssuers/)
    const brought = createLocalVerifier({ issuers: localIssuers })
    expect(() => createVerifiers(policy(['local']), { verifiers: [brought] })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' }),
    )
  })

  it('gives no verifier of PKI tokens without pinned roots', () => {
    expect(() => createVerifiers(policy(['gcp-cs-pki']))).toThrow(/pinned roots/)
    const roots = ['00'.repeat(32)]
    const verifiers = createVerifiers(policy(['gcp-cs-pki']), { gcpPki: { roots } })
    expect([...verifiers.keys()]).toEqual(['gcp-cs-pki'])
  })

  it('refuses a kind that nothing verifies', () => {
    expect(() => createVerifiers(policy(['nitro']))).toThrow(
      expect.objectContaining({ code: 'MCBN_POLICY_INVALID' }),
    )
  })
})

describe('attestation/local', () => {
  it("lets no local issuer have the platform's name, twice the same name, or none", () => {
    const jwks = { keys: [rsaJwk(key, 'one')] }
    const make = (...names: string[]) =>
      createLocalVerifier({ issuers: names.map((issuer) => ({ issuer, jwks })) })
    expect(() => make(GCP_CS_ISSUER)).toThrow(/other than/)
    expect(() => make(ISSUER, ISSUER)).toThrow(/once/)
    expect(() => make('no url')).toThrow(/URL/)
    expect(() => make()).toThrow(/at least one/)
  })

  it('finds a private key in a policy before a token does', async () => {
    const jwks = { keys: [{ ...rsaJwk(key, 'one'), d: 'AQAB' }] }
    const issuers = [{ issuer: ISSUER, jwks }]
    await expect(checkLocalIssuers({ issuers })).rejects.toThrow(/a private one/)
    await checkLocalIssuers({ issuers: localIssuers })
  })

  it('takes RSA private keys of 2048 bits and more only', async () => {
    for (const wrong of [[], [rsaKey(1024)]]) {
      await expect(createLocalIssuer({ issuer: ISSUER, keys: wrong })).rejects.toMatchObject({
        code: 'MCBN_OPTION_RANGE',
      })
    }
    await expect(createLocalIssuer({ issuer: 'x' })).rejects.toThrow(/URL/)
    const kept = await createLocalIssuer({ issuer: ISSUER, keys: [key] })
    expect(kept.jwks().keys.map(({ n }) => n)).toEqual([rsaJwk(key, 'one')['n']])
    expect(JSON.stringify(kept.jwks())).not.toContain('"d"')
  })
})

describe('attestation/seam', () => {
  // A platform whose evidence is a COSE_Sign1 with ES384, as AWS Nitro's is (RFC 9052, RFC 9053).
  const enclave = createEnclave()
  const verifiers = createVerifiers(policy(['enclave-cose']), {
    verifiers: [createEnclaveVerifier(enclave.publicKey)],
  })
  const verifier = verifiers.get('enclave-cose')
  const asked = { audience: 'mcbn://orchard/alice', nonce: 'n'.repeat(43) }
  const now = Date.UTC(2026, 8, 1)

  it('takes another platform: binary evidence, another algorithm, its own measurements', async () => {
    const evidence = await enclave.attester(now).evidence(asked)
    const facts = await verifier?.verify(evidence, { ...asked, now })
    expect(facts).toMatchObject({
      kind: 'enclave-cose',
      hardware: 'ENCLAVE',
      imageDigest: enclave.imageDigest,
      instance: 'i-0123456789',
    })
  })

  it('refuses there what is refused elsewhere, with the same code', async () => {
    const evidence = await enclave.attester(now).evidence(asked)
    const bytes = Buffer.from(evidence.token, 'base64url')
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    const altered = { ...evidence, token: bytes.toString('base64url') }
    const wrong = [
      verifier?.verify(altered, { ...asked, now }),
      verifier?.verify(evidence, { ...asked, now, audience: 'mcbn://orchard/bob' }),
      verifier?.verify(evidence, { ...asked, now, nonce: 'm'.repeat(43) }),
    ]
    for (const one of wrong) {
      await expect(one).rejects.toMatchObject({ code: 'MCBN_EVIDENCE_REFUSED' })
    }
  })
})
