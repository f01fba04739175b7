import { describe, expect, it } from 'vitest'
import type { AttestedFacts } from '../../../src/consent/attestation/types.js'
import { evaluatePolicy, type PolicyDecision } from '../../../src/consent/policy/evaluate.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import type { Policy, PolicyRole, PolicyWindow } from '../../../src/consent/policy/types.js'
import { accounts, space } from '../../support/facts.js'
import {
  CLIENT_IMAGE,
  clientRules,
  descriptor,
  factsWith,
  NOON,
  policyWith,
  verifiedDescriptor,
} from './fixture.js'

function decide(
  facts: Partial<AttestedFacts> = {},
  policy: Policy = policyWith(),
  now = NOON,
): PolicyDecision {
  return evaluatePolicy(policy, { role: 'client', facts: factsWith(facts), now, descriptor })
}

function detailsOf(decision: PolicyDecision): readonly string[] {
  expect(decision).toMatchObject({ allowed: false, code: 'policy' })
  return decision.allowed ? [] : decision.details
}

describe('policy/evaluate', () => {
  it('allows the named image on the named platform', () => {
    expect(decide()).toEqual({ allowed: true })
  })

  it('gives nothing to a role without rules', () => {
    const question = { role: 'server', facts: factsWith(), now: NOON, descriptor } as const
    expect(detailsOf(evaluatePolicy(policyWith(), question))).toEqual([
      'role: the policy has no rules for the "server"',
    ])
  })

  it('gives nothing for another descriptor than the pinned one, such as the next epoch', () => {
    const question = { role: 'client', facts: factsWith(), now: NOON } as const
    const next = verifiedDescriptor(2)
    expect(detailsOf(evaluatePolicy(policyWith(), { ...question, descriptor: next }))).toEqual([
      'descriptor: the policy is for another one',
    ])
  })

  it('tells everything that is wrong, in the order of the checks', () => {
    const wrong = {
      kind: 'local',
      imageDigest: undefined,
      args: ['sh'],
      project: 'other',
      attestedAt: NOON - 301_000,
    }
    const claims = detailsOf(decide(wrong, policyWith(), NOON)).map((line) => line.split(':')[0])
    expect(claims).toEqual([
      'attestation',
      'issuer',
      'iat',
      'image_digest',
      'args',
      'args[0]',
      'project_id',
    ])
  })

  it('bounds and quotes what a stranger wrote', () => {
    const env = new Map(
      Array.from({ length: 5000 }, (_, at) => [`E${at}\n"${'x'.repeat(500)}`, '']),
    )
    const details = detailsOf(decide({ env }))
    expect(details).toHaveLength(32)
    expect(details.at(-1)).toBe('and 4971 more')
    for (const line of details) {
      expect(line.length).toBeLessThan(300)
      expect(line).not.toContain('\n')
    }
  })

  it('never shows the value of an environment variable', () => {
    const env = new Map([...factsWith().env, ['PATH', 's3cret'], ['OTHER', 's3cret']])
    expect(JSON.stringify(decide({ env }))).not.toContain('s3cret')
  })
})

describe("policy/evaluate judges the platform's claims", () => {
  const cases: [string, Partial<AttestedFacts>, string][] = [
    [
      'evidence of another kind',
      { kind: 'gcp-cs-pki' },
      'attestation: expected gcp-cs-oidc, got "gcp-cs-pki"',
    ],
    [
      'no software',
      { platform: space({ swname: undefined }) },
      'swname: expected CONFIDENTIAL_SPACE, got nothing',
    ],
    [
      'other software',
      { platform: space({ swname: 'GCE' }) },
      'swname: expected CONFIDENTIAL_SPACE, got "GCE"',
    ],
    [
      'no word on debugging',
      { debug: undefined },
      'dbgstat: expected disabled-since-boot, got nothing',
    ],
    [
      'secure boot unsaid',
      { platform: space({ secboot: undefined }) },
      'secboot: expected true, got nothing',
    ],
    ['no hardware', { hardware: undefined }, 'hwmodel: expected GCP_INTEL_TDX or GCP_AMD_SEV or'],
    [
      'no support',
      { platform: space({ support_attributes: [] }) },
      'support_attributes: expected STABLE without EXPERIMENTAL, got ""',
    ],
    [
      'a time that is not a number',
      { attestedAt: Number.NaN },
      'iat: expected a token at most 300 s old',
    ],
    ['an end that is not a number', { expiresAt: Number.NaN }, 'exp: the token has expired'],
    ['an end that is over', { expiresAt: NOON - 61_000 }, 'exp: the token has expired'],
    ['no instance', { instance: undefined }, 'instance_id: expected one'],
  ]
  it.each(cases)('and refuses %s', (_name, facts, detail) => {
    expect(detailsOf(decide(facts))[0]).toContain(detail)
  })

  it.each([
    [300, true],
    [301, false],
    [0, true],
    [-60, true],
    [-61, false],
  ])('and takes a token of %i s: %s', (age, allowed) => {
    expect(decide({ attestedAt: NOON - age * 1000 }).allowed).toBe(allowed)
  })

  it('by what the policy names instead of the defaults', () => {
    const policy = policyWith(
      { hardware: ['GCP_AMD_SEV'], software: 'OTHER', support: 'USABLE' },
      { tokenAgeSeconds: 10 },
    )
    expect(
      decide(
        {
          hardware: 'GCP_AMD_SEV',
          platform: space({ swname: 'OTHER', support_attributes: ['USABLE'] }),
        },
        policy,
      ),
    ).toEqual({
      allowed: true,
    })
    expect(detailsOf(decide({ attestedAt: NOON - 11_000 }, policy))).toHaveLength(3)
  })

  it('takes local evidence only from an issuer that the policy names', () => {
    const jwks = { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }] }
    const policy = policyWith(
      { attestation: ['local'] },
      { localIssuers: [{ issuer: 'https://test.example', jwks }] },
    )
    expect(decide({ kind: 'local', issuer: 'https://test.example' }, policy).allowed).toBe(true)
    expect(detailsOf(decide({ kind: 'local', issuer: 'https://else.example' }, policy))).toEqual([
      'issuer: expected one of localIssuers, got "https://else.example"',
    ])
  })
})

describe('policy/evaluate judges images', () => {
  it('refuses an image that only the policy has', () => {
    const policy = policyWith({ images: [`sha256:${'00'.repeat(32)}`] })
    expect(detailsOf(decide({ imageDigest: `sha256:${'00'.repeat(32)}` }, policy))[0]).toContain(
      "expected one of the descriptor's for the client",
    )
  })

  it('looks at no tag, however right it is', () => {
    const facts = {
      imageDigest: undefined,
      imageReference: `registry.example/client@${CLIENT_IMAGE}`,
    }
    expect(detailsOf(decide(facts))).toEqual([
      `image_digest: expected one of the policy's for the client, got nothing`,
    ])
  })
})

describe('policy/evaluate judges arguments and environment', () => {
  const env = (changed: Record<string, string>) => ({
    env: new Map([...factsWith().env, ...Object.entries(changed)]),
  })
  const without = (name: string) =>
    new Map([...factsWith().env].filter(([other]) => other !== name))

  it('takes a machine that was started for a predecessor, and for no other epoch', () => {
    const [name, before] = ['MCBN_DESCRIPTOR_HASH', 'ab'.repeat(32)]
    const startedFor = (hash: string) => ({
      ...env({ [name]: hash }),
      overriddenEnv: new Map([[name, hash]]),
    })
    const policy = { ...policyWith({}), predecessors: [before] }
    expect(decide(startedFor(before), policy)).toEqual({ allowed: true })
    expect(decide(startedFor(descriptor.hashHex), policy)).toEqual({ allowed: true })
    expect(decide(startedFor(before), policyWith({})).allowed).toBe(false)
    for (const other of ['cd'.repeat(32), '']) {
      expect(decide(startedFor(other), policy).allowed).toBe(false)
    }
  })

  it('wants MCBN_DESCRIPTOR_HASH to be the pinned hash, and lets the operator set it to that', () => {
    const [name, hash] = ['MCBN_DESCRIPTOR_HASH', descriptor.hashHex]
    expect(decide({ overriddenEnv: new Map() }).allowed).toBe(true)
    expect(detailsOf(decide({ env: without(name), overriddenEnv: new Map() }))[0]).toContain(
      'got none',
    )
    for (const other of [hash.toUpperCase(), `${hash}\n`, '0'.repeat(64), '']) {
      const facts = { ...env({ [name]: other }), overriddenEnv: new Map([[name, other]]) }
      expect(detailsOf(decide(facts))).toEqual([
        `env ${name}: expected the pinned hash of the descriptor, got another value`,
      ])
    }
  })

  it('does not take it as allowed by a policy that names it with any value', () => {
    const policy = policyWith({ env: { ...clientRules.env, MCBN_DESCRIPTOR_HASH: null } })
    expect(decide({}, policy).allowed).toBe(true)
    expect(decide(env({ MCBN_DESCRIPTOR_HASH: '0'.repeat(64) }), policy).allowed).toBe(false)
  })

  it('refuses two lists that disagree about what the container got', () => {
    const overriddenEnv = new Map([['MCBN_DESCRIPTOR_HASH', '0'.repeat(64)]])
    expect(detailsOf(decide({ overriddenEnv }))[0]).toContain('the same value as in env')
  })

  it('does not take names of Object.prototype as named by the policy', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      const facts = { env: new Map([...factsWith().env, [name, '']]) }
      expect(detailsOf(decide(facts))).toEqual([`env "${name}": not named by the policy`])
    }
  })

  it('does not need a variable that is only allowed', () => {
    expect(decide({ env: without('PATH') }).allowed).toBe(true)
  })

  const override = (allowed: PolicyRole['overrides']) =>
    policyWith({ ...(allowed !== undefined && { overrides: allowed }) })

  it('lets the operator override what the policy lists, to what the policy allows', () => {
    const facts = { ...env({ HOSTNAME: 'x' }), overriddenEnv: new Map([['HOSTNAME', 'x']]) }
    expect(detailsOf(decide(facts, override(undefined)))[0]).toContain('env_override "HOSTNAME"')
    expect(decide(facts, override({ env: ['HOSTNAME'] })).allowed).toBe(true)
    const path = { ...env({ PATH: '/x' }), overriddenEnv: new Map([['PATH', '/x']]) }
    expect(detailsOf(decide(path, override({ env: ['PATH'] })))).toEqual([
      `env "PATH": expected the policy's value, got another one`,
    ])
  })

  it('wants the same arguments, no matter who gave them', () => {
    const overriddenArgs = ['/app/client.js']
    expect(detailsOf(decide({ overriddenArgs }))).toEqual(['cmd_override: expected none, got 1'])
    expect(decide({ overriddenArgs }, override({ args: true })).allowed).toBe(true)
    const args = ['node', '/app/client.js', '--trace-tls']
    expect(detailsOf(decide({ args }, override({ args: true })))).toEqual([
      'args: expected 2 of them, got 3',
      'args[2]: expected no such argument, got "--trace-tls"',
    ])
  })
})

describe('policy/evaluate judges project and service account', () => {
  it('wants all service accounts allowed, and one at least, where the policy names some', () => {
    const policy = policyWith({ serviceAccounts: ['a@x', 'b@x'] })
    expect(decide({ platform: accounts('b@x') }, policy).allowed).toBe(true)
    expect(detailsOf(decide({ platform: accounts() }, policy))[0]).toContain(
      'expected one, got nothing',
    )
    expect(detailsOf(decide({ platform: accounts('a@x', 'c@x') }, policy))).toEqual([
      'service accounts: expected a@x or b@x, got "c@x"',
    ])
  })

  it('refuses evidence without a project', () => {
    expect(detailsOf(decide({ project: undefined }))[0]).toContain('project_id')
  })
})

describe('policy/evaluate judges time', () => {
  const HOUR = 3_600_000
  const DAY = 24 * HOUR
  const at = (window: PolicyWindow, now: number): PolicyDecision => {
    return decide({ attestedAt: now, expiresAt: now + 60_000 }, policyWith({}, { window }), now)
  }
  // NOON is Friday, 2027-03-05T12:00:00Z.
  const cases: [string, PolicyWindow, number, true | number | 'never'][] = [
    ['no limits', {}, NOON, true],
    ['before its beginning', { notBefore: '2027-03-05T13:00:00Z' }, NOON, HOUR],
    ['at its beginning', { notBefore: '2027-03-05T12:00:00Z' }, NOON, true],
    ['at its end', { notAfter: '2027-03-05T13:00:00+01:00' }, NOON, true],
    ['after its end', { notAfter: '2027-03-05T11:59:59Z' }, NOON, 'never'],
    ['within the day', { daily: { from: '08:00', to: '12:01' } }, NOON, true],
    ['at the end of the day', { daily: { from: '08:00', to: '12:00' } }, NOON, 20 * HOUR],
    ['before the day', { daily: { from: '13:30', to: '14:00' } }, NOON, 1.5 * HOUR],
    ['in the evening of a night', { daily: { from: '11:00', to: '06:00' } }, NOON, true],
    ['in the morning of a night', { daily: { from: '22:00', to: '12:30' } }, NOON, true],
    ['between nights', { daily: { from: '22:00', to: '06:00' } }, NOON, 10 * HOUR],
    ['the right day', { days: ['fri'] }, NOON, true],
    ['another day', { days: ['mon', 'thu'] }, NOON, 2.5 * DAY],
    [
      'a week later',
      { days: ['fri'], daily: { from: '01:00', to: '02:00' } },
      NOON,
      6.5 * DAY + HOUR,
    ],
    [
      'a night that began on an allowed day',
      { days: ['thu'], daily: { from: '22:00', to: '13:00' } },
      NOON,
      true,
    ],
    [
      'a night that began on another day',
      { days: ['fri'], daily: { from: '22:00', to: '13:00' } },
      NOON,
      10 * HOUR,
    ],
    [
      'no opening before its end',
      { days: ['mon'], notAfter: '2027-03-06T00:00:00Z' },
      NOON,
      'never',
    ],
    [
      'the first opening after its beginning',
      { notBefore: '2027-03-06T00:00:00Z', daily: { from: '08:00', to: '09:00' } },
      NOON,
      20 * HOUR,
    ],
  ]
  it.each(cases)('%s', (_name, window, now, expected) => {
    const decision = at(window, now)
    if (expected === true) return expect(decision).toEqual({ allowed: true })
    if (expected === 'never') return expect(decision).toMatchObject({ code: 'policy' })
    expect(decision).toMatchObject({ code: 'not-yet', retryAfter: expected / 1000 })
    // What it promises has to be true, and not a moment late.
    expect(at(window, now + expected)).toEqual({ allowed: true })
    expect(at(window, now + expected - 1)).toMatchObject({ code: 'not-yet', retryAfter: 1 })
  })

  it("keeps within the descriptor's validity, whatever the policy says", () => {
    const { notBefore, notAfter } = descriptor.descriptor.validity
    expect(at({}, notBefore * 1000 - HOUR)).toMatchObject({ code: 'not-yet', retryAfter: 3600 })
    expect(at({}, notBefore * 1000)).toEqual({ allowed: true })
    expect(at({}, notAfter * 1000)).toEqual({ allowed: true })
    expect(at({}, notAfter * 1000 + 1000)).toMatchObject({ code: 'policy' })
    const opensLate = { notBefore: new Date(notAfter * 1000 + DAY).toISOString() }
    expect(at(opensLate, NOON)).toMatchObject({ code: 'policy' })
  })

  it('says not-yet only to somebody who would be allowed', () => {
    const window = { notBefore: '2027-04-01T00:00:00Z' }
    expect(decide({ project: 'other' }, policyWith({}, { window }))).toMatchObject({
      code: 'policy',
    })
  })
})

describe('policy/evaluate does not trust that a policy was parsed', () => {
  it('refuses variables that are never allowed, though the object names them', () => {
    const rules = { ...clientRules, env: { ...clientRules.env, NODE_OPTIONS: null } }
    const policy: Policy = { ...policyWith(), roles: { client: rules } }
    expect(() => parsePolicy(policy)).toThrow('NODE_OPTIONS')
    const env = new Map([...factsWith().env, ['NODE_OPTIONS', '']])
    expect(detailsOf(decide({ env }, policy))[0]).toContain('never allowed')
  })

  it('refuses hardware whose memory the operator reads, though the object names it', () => {
    const rules = { ...clientRules, hardware: ['GCP_SHIELDED_VM'] }
    const policy: Policy = { ...policyWith(), roles: { client: rules } }
    expect(detailsOf(decide({ hardware: 'GCP_SHIELDED_VM' }, policy))[0]).toContain('hwmodel')
  })
})
