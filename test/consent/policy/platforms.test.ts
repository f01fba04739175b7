// Sections of a policy: one for each platform. What was written before there were sections means what it
// meant, byte for byte; a truthful machine of another platform fails no check that is not its own.

import { describe, expect, it } from 'vitest'
import type { AttestedFacts, ClaimValue } from '../../../src/consent/attestation/types.js'
import { evaluatePolicy } from '../../../src/consent/policy/evaluate.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import type { Policy, PolicyRole } from '../../../src/consent/policy/types.js'
import { space } from '../../support/facts.js'
import { CLIENT_IMAGE, clientRules, descriptor, factsWith, NOON, policyWith } from './fixture.js'

const { images, attestation, ...spaceFields } = clientRules
const OTHER = { name: 'enclave', claims: { vmpl: 0, svn: 7, keys: ['a', 'b'], tcb: 'ok' } } as const

/** What a whole measured machine shows: no container, no cloud's project. */
function machine(
  claims: Readonly<Record<string, ClaimValue>> = OTHER.claims,
  changes: Partial<AttestedFacts> = {},
): AttestedFacts {
  return factsWith({
    kind: 'enclave-cose',
    issuer: 'enclave',
    hardware: 'ENCLAVE',
    args: [],
    env: new Map(),
    overriddenEnv: new Map(),
    project: undefined,
    zone: undefined,
    platform: { name: 'enclave', claims },
    ...changes,
  })
}

function sections(platforms: PolicyRole['platforms'], kinds = ['enclave-cose']): Policy {
  return parsePolicy({
    version: 'mcbn/1',
    network: 'example',
    descriptorHash: descriptor.hashHex,
    roles: { client: { images, attestation: kinds, platforms } },
  })
}

function details(policy: Policy, facts: AttestedFacts): readonly string[] {
  const verdict = evaluatePolicy(policy, { role: 'client', facts, now: NOON, descriptor })
  return verdict.allowed ? [] : verdict.details
}

describe('policy/platforms', () => {
  it('judges another platform by its own section, and by no claim of Confidential Space', () => {
    const policy = sections({ enclave: { hardware: ['ENCLAVE'], claims: { vmpl: 0 } } })
    expect(details(policy, machine())).toEqual([])
  })

  it('takes two platforms in one role, each by its section', () => {
    const policy = sections(
      { 'confidential-space': spaceFields, enclave: { hardware: ['ENCLAVE'] } },
      [...attestation, 'enclave-cose'],
    )
    expect(details(policy, machine())).toEqual([])
    expect(details(policy, factsWith())).toEqual([])
    // The right claims under the wrong name are another platform's.
    expect(details(policy, factsWith({ platform: { ...space(), name: 'enclave' } }))).toEqual([
      'hwmodel: expected ENCLAVE, got "GCP_INTEL_TDX"',
      'args: expected 0 of them, got 2',
      'args[0]: expected no such argument, got "node"',
      'args[1]: expected no such argument, got "/app/client.js"',
      'env "HOSTNAME": not named by the policy',
      'env "PATH": not named by the policy',
    ])
  })

  it('means by the fields of old what the section confidential-space means', () => {
    const old = policyWith({ hardware: ['GCP_AMD_SEV'], serviceAccounts: ['a@x'] })
    const fields = { ...spaceFields, hardware: ['GCP_AMD_SEV'], serviceAccounts: ['a@x'] }
    const now = sections({ 'confidential-space': fields }, [...attestation])
    const shown = [factsWith(), factsWith({ args: ['sh'] }), factsWith({ hardware: 'GCP_AMD_SEV' })]
    for (const facts of [...shown, machine()]) {
      expect(details(now, facts)).toEqual(details(old, facts))
    }
  })

  it('refuses a platform that no section speaks of, by name', () => {
    expect(details(policyWith({ attestation: ['enclave-cose'] }), machine())).toContain(
      'platform: expected confidential-space, got "enclave"',
    )
  })

  it.each<[string, unknown, string | undefined]>([
    ['a value', { svn: 7 }, undefined],
    ['another value', { svn: 8 }, 'svn: expected 8, got 7'],
    ['text for a number', { svn: '7' }, 'svn: expected 7, got 7'],
    ['one of a list', { tcb: ['ok', 'fine'] }, undefined],
    ['none of a list', { tcb: ['fine'] }, 'tcb: expected fine, got "ok"'],
    ['a list within a list', { keys: ['a', 'b', 'c'] }, undefined],
    ['a list with one beside', { keys: ['a'] }, 'keys: expected a, got ["a","b"]'],
    ['at least', { svn: { atLeast: 7 } }, undefined],
    ['too little', { svn: { atLeast: 8 } }, 'svn: expected at least 8, got 7'],
    ['a number from text', { tcb: { atLeast: 0 } }, 'tcb: expected at least 0, got "ok"'],
    ['included', { keys: { includes: ['b'] } }, undefined],
    [
      'not included',
      { keys: { includes: ['b', 'z'] } },
      'keys: expected a list with b and z, got ["a","b"]',
    ],
    ['absent', { none: false }, 'none: expected false, got nothing'],
    ['a name of Object', { constructor: 'x' }, 'constructor: expected x, got nothing'],
  ])('judges a claim: %s', (_name, claims, detail) => {
    const policy = sections({ enclave: { hardware: ['ENCLAVE'], claims: claims as never } })
    expect(details(policy, machine())).toEqual(detail === undefined ? [] : [detail])
  })

  it('wants debugging off and an instance on every platform, and hardware that it names', () => {
    const policy = sections({ enclave: {} })
    const facts = machine(OTHER.claims, { debug: 'enabled', instance: undefined })
    expect(details(policy, facts).map((line) => line.split(':')[0])).toEqual([
      'dbgstat',
      'hwmodel',
      'instance_id',
    ])
  })

  it("judges Confidential Space's newer claims where a policy names them", () => {
    const claims = {
      'tdx.gcp_attester_tcb_status': ['UpToDate'],
      'monitoring_enabled.memory': false,
      image_signatures: { includes: ['5e'.repeat(32)] },
    }
    const policy = sections({ 'confidential-space': { ...spaceFields, claims } }, [...attestation])
    const good = {
      'tdx.gcp_attester_tcb_status': 'UpToDate',
      'monitoring_enabled.memory': false,
      image_signatures: ['aa'.repeat(32), '5e'.repeat(32)],
    }
    expect(details(policy, factsWith({ platform: space(good) }))).toEqual([])
    expect(details(policy, factsWith())).toHaveLength(3)
    const changes: Record<string, ClaimValue> = {
      'tdx.gcp_attester_tcb_status': 'OutOfDate',
      'monitoring_enabled.memory': true,
      image_signatures: ['aa'.repeat(32)],
    }
    for (const [name, value] of Object.entries(changes)) {
      const [line, ...more] = details(
        policy,
        factsWith({ platform: space({ ...good, [name]: value }) }),
      )
      expect(line).toMatch(new RegExp(`^${name}: expected`))
      expect(more).toEqual([])
    }
  })

  it.each<[string, object, string]>([
    [
      'a rule in two places',
      { ...clientRules, platforms: { 'confidential-space': spaceFields } },
      'roles.client.projects: expected it in roles.client.platforms.confidential-space alone, since that is there, got it twice',
    ],
    [
      'a kind without rules',
      { images, attestation, platforms: { enclave: {} } },
      'roles.client.platforms.confidential-space: expected rules, since gcp-cs-oidc is accepted, got none',
    ],
    [
      'a name that is never allowed, in a section',
      { images, attestation: ['x'], platforms: { x: { env: { LD_PRELOAD: null } } } },
      'roles.client.platforms.x.env: expected none of the variables',
    ],
    [
      'hardware without encryption, in a section',
      { images, attestation: ['x'], platforms: { x: { hardware: ['GCP_SHIELDED_VM'] } } },
      'roles.client.platforms.x.hardware[0]: expected hardware with encrypted memory',
    ],
    [
      'a rule of another form',
      { images, attestation: ['x'], platforms: { x: { claims: { svn: { atLeast: 'a' } } } } },
      'roles.client.platforms.x.claims.svn',
    ],
    [
      'half of the fields of old',
      { images, attestation, args: [] },
      'roles.client.projects: expected a value, got none',
    ],
  ])('refuses %s', (_name, client, message) => {
    const policy = { ...policyWith(), roles: { client } }
    expect(() => parsePolicy(policy)).toThrow(message)
  })

  it('keeps the image in every case', () => {
    const policy = sections({ enclave: { hardware: ['ENCLAVE'] } })
    expect(policy.roles.client?.images).toEqual([CLIENT_IMAGE])
    expect(
      details(policy, machine(OTHER.claims, { imageDigest: `sha256:${'00'.repeat(32)}` })),
    ).toHaveLength(1)
  })
})
