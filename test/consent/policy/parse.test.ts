import { describe, expect, it } from 'vitest'
import { examplePolicy } from '../../../src/consent/policy/example.js'
import { checkPolicyAgainst, parsePolicy } from '../../../src/consent/policy/parse.js'
import { CLIENT_IMAGE, clientRules, descriptor, policyWith, SERVER_IMAGE } from './fixture.js'

const hash = descriptor.hashHex
const base = {
  version: 'mcbn/1',
  network: 'example',
  descriptorHash: hash,
  roles: { client: clientRules },
}
const role = (changed: object) => ({ ...base, roles: { client: { ...clientRules, ...changed } } })
const jwks = { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: '1' }] }

function messageOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    expect(error).toMatchObject({ name: 'McbnError', code: 'MCBN_POLICY_INVALID' })
    return (error as Error).message
  }
  throw new Error('expected a refusal')
}

describe('policy/parse accepts', () => {
  it('a policy as text, bytes or object, and gives a frozen copy', () => {
    const fromText = parsePolicy(JSON.stringify(base))
    expect(fromText).toEqual(base)
    expect(parsePolicy(Buffer.from(JSON.stringify(base)))).toEqual(base)
    const object = structuredClone(base)
    const fromObject = parsePolicy(object)
    object.network = 'another'
    expect(fromObject.network).toBe('example')
    expect(Object.isFrozen(fromObject.roles.client?.images)).toBe(true)
  })

  it('every field there is', () => {
    const full = {
      $schema: 'https://example.org/policy.schema.json',
      ...role({
        attestation: ['gcp-cs-oidc', 'local'],
        hardware: ['GCP_INTEL_TDX'],
        software: 'CONFIDENTIAL_SPACE',
        support: 'USABLE',
        serviceAccounts: ['a@b'],
        env: { A: '1', B: null, MCBN_DESCRIPTOR_HASH: hash },
        overrides: { args: true, env: ['A', 'MCBN_DESCRIPTOR_HASH'] },
        instances: 3,
        approval: 'manual',
      }),
      window: {
        notBefore: '2026-01-01T00:00:00Z',
        notAfter: '2027-12-31T23:59:59+01:00',
        daily: { from: '22:00', to: '06:00' },
        days: ['mon', 'fri'],
      },
      leaseSeconds: 5,
      tokenAgeSeconds: 3600,
      localIssuers: [{ issuer: 'https://issuer.test', jwks }],
    }
    expect(parsePolicy(full)).toEqual(full)
  })
})

describe('policy/parse refuses, saying where, what was expected and what came', () => {
  const long = 'x'.repeat(300)
  const cases: [string, unknown, string][] = [
    ['no text and no object', 7, 'policy: expected JSON text or an object, got number'],
    ['null', null, 'policy: expected JSON text or an object, got null'],
    ['a list', [], 'policy: expected an object: to whom, where and when'],
    ['another version', { ...base, version: 'mcbn/2' }, `version: expected 'mcbn/1', got "mcbn/2"`],
    ['a missing field', { ...base, network: undefined }, "network: expected the network's name"],
    ['no version', { ...base, version: undefined }, `version: expected 'mcbn/1', got none`],
    [
      'a misspelt field',
      { ...base, role: {} },
      'role: there is no such field; did you mean roles?',
    ],
    [
      'a misspelt field of a role',
      role({ instnaces: 1 }),
      'roles.client.instnaces: there is no such field; did you mean instances?',
    ],
    [
      'an unknown field',
      { ...base, everybody: {} },
      'everybody: there is no such field; only $schema, version',
    ],
    ['a short hash', { ...base, descriptorHash: 'ab' }, 'descriptorHash: expected the pinned hash'],
    [
      'an upper-case hash',
      { ...base, descriptorHash: 'AB'.repeat(32) },
      'descriptorHash: expected the pinned hash of the descriptor: 64 lower-case hex digits, got "AB',
    ],
    [
      'no role at all',
      { ...base, roles: {} },
      'roles: expected rules for `client`, `server` or both',
    ],
    [
      'another role',
      { ...base, roles: { admin: clientRules } },
      'roles.admin: there is no such field; only client, server',
    ],
    [
      'a tag for a digest',
      role({ images: [CLIENT_IMAGE, 'registry.example/client:latest'] }),
      'roles.client.images[1]: expected an image digest, `sha256:` and 64 lower-case hex digits; never a tag, got "registry.example/client:latest"',
    ],
    ['no image', role({ images: [] }), 'roles.client.images: expected a list of 1 to 256'],
    [
      'an image twice',
      role({ images: [CLIENT_IMAGE, CLIENT_IMAGE] }),
      'roles.client.images[0]: expected each item once, got the same as roles.client.images[1]',
    ],
    ['no project', role({ projects: [] }), 'roles.client.projects: expected a list of 1 to 64'],
    [
      'no arguments said',
      role({ args: undefined }),
      'roles.client.args: expected a value, got none',
    ],
    [
      'a number for an argument',
      role({ args: ['node', 7] }),
      'roles.client.args[1]: expected text',
    ],
    [
      'a number for a value',
      role({ env: { A: 1 } }),
      'roles.client.env.A: expected the one allowed value',
    ],
    [
      'a bad name',
      role({ env: { 'A=B': '1' } }),
      'roles.client.env.A=B: expected an environment variable',
    ],
    [
      'too many instances',
      role({ instances: 0 }),
      'roles.client.instances: expected an integer from 1',
    ],
    ['half an instance', role({ instances: 1.5 }), 'got 1.5'],
    ['another approval', role({ approval: 'maybe' }), "expected 'automatic' or 'manual'"],
    ['a long name', { ...base, network: long }, 'network: expected the network'],
    [
      'a short lease',
      { ...base, leaseSeconds: 4 },
      'leaseSeconds: expected an integer from 5 to 86400',
    ],
    [
      'text for a number',
      { ...base, leaseSeconds: '600' },
      'leaseSeconds: expected an integer from 5',
    ],
    [
      '31 February',
      { ...base, window: { notBefore: '2027-02-31T00:00:00Z' } },
      'window.notBefore: expected an RFC 3339 time, e.g. 2027-01-31T00:00:00Z, got "2027-02-31T00:00:00Z"',
    ],
    [
      'a date only',
      { ...base, window: { notAfter: '2027-02-01' } },
      'window.notAfter: expected an RFC',
    ],
    [
      'an end before its beginning',
      {
        ...base,
        window: { notBefore: '2027-02-02T00:00:00Z', notAfter: '2027-02-02T01:00:00+02:00' },
      },
      'window.notAfter: expected a time after 2027-02-02T00:00:00Z',
    ],
    [
      'a day without length',
      { ...base, window: { daily: { from: '08:00', to: '08:00' } } },
      'window.daily.to: expected another time than `from`',
    ],
    [
      '24:00',
      { ...base, window: { daily: { from: '08:00', to: '24:00' } } },
      'window.daily.to: expected',
    ],
    [
      'a day of no week',
      { ...base, window: { days: ['monday'] } },
      'window.days[0]: expected mon, tue',
    ],
    [
      'local evidence without issuers',
      role({ attestation: ['local'] }),
      'roles.client.attestation: expected `local` only together with localIssuers',
    ],
    [
      'a private key of an issuer',
      {
        ...base,
        localIssuers: [{ issuer: 'https://a', jwks: { keys: [{ kty: 'RSA', d: 'AQ' }] } }],
      },
      'localIssuers[0].jwks.keys[0].d: expected members of a public key only',
    ],
    [
      'a secret of an issuer',
      { ...base, localIssuers: [{ issuer: 'https://a', jwks: { keys: [{ kty: 'oct' }] } }] },
      'localIssuers[0].jwks.keys[0].kty: expected RSA, EC or OKP, never a secret, got "oct"',
    ],
    [
      'hardware whose memory the operator reads',
      role({ hardware: ['GCP_SHIELDED_VM'] }),
      'roles.client.hardware[0]: expected hardware with encrypted memory',
    ],
    [
      'another descriptor for the workload',
      role({ env: { MCBN_DESCRIPTOR_HASH: '00'.repeat(32) } }),
      'roles.client.env.MCBN_DESCRIPTOR_HASH: expected the value of descriptorHash',
    ],
    [
      'an override that is not allowed anyway',
      role({ overrides: { env: ['A'] } }),
      'roles.client.overrides.env[0]: expected a name that `env` allows, got "A"',
    ],
  ]
  it.each(cases)('%s', (_name, policy, message) => {
    expect(messageOf(() => parsePolicy(policy))).toContain(message)
  })

  it.each([
    'NODE_OPTIONS',
    'SSLKEYLOGFILE',
    'LD_PRELOAD',
    'NODE_EXTRA_CA_CERTS',
    'NODE_DEBUG',
    'LD_LIBRARY_PATH',
    'LD_AUDIT',
    'NODE_PATH',
    'NODE_TLS_REJECT_UNAUTHORIZED',
    'OPENSSL_CONF',
    'OPENSSL_MODULES',
    'NODE_REPL_EXTERNAL_MODULE',
    'BASH_ENV',
    'npm_config_node_options',
  ])('the variable %s', (name) => {
    expect(messageOf(() => parsePolicy(role({ env: { [name]: null } })))).toContain(
      `roles.client.env: expected none of the variables that change what an image does or tell its secrets, got ${name}`,
    )
  })

  it('a field given twice, however it is spelled', () => {
    const text = JSON.stringify(base)
    const twice = text.replace('"network":"example"', '"network":"example","net\\u0077ork":"other"')
    expect(messageOf(() => parsePolicy(twice))).toMatch(
      /^policy: expected each field once, got "net\\u0077ork" twice, line 1 column \d+$/,
    )
    // In different objects, and as values, the same text is no duplicate.
    expect(parsePolicy(text.replace('"example"', '"network"')).network).toBe('network')
  })

  it('__proto__, as a field, an environment variable and a member of a key', () => {
    const text = JSON.stringify({ ...base, localIssuers: [{ issuer: 'https://a', jwks }] })
    const places = ['{"version"', '{"HOSTNAME"', '{"kty"']
    for (const place of places) {
      const hostile = text.replace(place, `{"__proto__":null,${place.slice(1)}`)
      expect(hostile).not.toBe(text)
      expect(messageOf(() => parsePolicy(hostile))).toContain('__proto__')
    }
  })

  it('text that is no JSON, by line and column, quoting none of it', () => {
    const message = messageOf(() => parsePolicy('{\n  "share": "abcdef" "version": 1}'))
    expect(message).toContain('policy: expected JSON, line 2 column 21')
    expect(message).not.toContain('abcdef')
    expect(messageOf(() => parsePolicy('f'.repeat(64)))).not.toContain('fff')
  })

  it('bytes that are no UTF-8, and more than 256 KiB', () => {
    expect(messageOf(() => parsePolicy(Buffer.from([0x7b, 0xff])))).toContain('expected UTF-8')
    expect(messageOf(() => parsePolicy(' '.repeat(256 * 1024 + 1)))).toContain('got 262145')
  })
})

describe('policy/parse against a descriptor', () => {
  it('accepts a policy that narrows it', () => {
    expect(() => checkPolicyAgainst(policyWith(), descriptor)).not.toThrow()
  })

  it.each([
    ['another network', parsePolicy({ ...base, network: 'other' }), 'network: expected "example"'],
    [
      'another descriptor',
      parsePolicy({ ...base, descriptorHash: '0'.repeat(64) }),
      `descriptorHash: expected ${hash}`,
    ],
    [
      "the server's image for the client",
      policyWith({ images: [CLIENT_IMAGE, SERVER_IMAGE] }),
      `roles.client.images[1]: expected one of the descriptor's images for the client; a policy can only narrow it, got ${SERVER_IMAGE}`,
    ],
    [
      'a window after its end',
      policyWith({}, { window: { notBefore: '2040-01-01T00:00:00Z' } }),
      'window.notBefore: expected a time before',
    ],
    [
      'a window before its beginning',
      policyWith({}, { window: { notAfter: '2020-01-01T00:00:00Z' } }),
      'window.notAfter: expected a time after',
    ],
  ])('refuses %s', (_name, policy, message) => {
    expect(messageOf(() => checkPolicyAgainst(policy, descriptor))).toContain(message)
  })
})

describe('policy/example', () => {
  it('is a policy of the descriptor that releases nothing before a person has edited and approved', () => {
    const policy = examplePolicy(descriptor)
    expect(parsePolicy(JSON.stringify(policy))).toEqual(policy)
    expect(policy.roles.client).toMatchObject({ images: [CLIENT_IMAGE], approval: 'manual' })
    expect(policy.roles.server).toMatchObject({ images: [SERVER_IMAGE], projects: ['none'] })
  })

  it('takes what is known already', () => {
    const policy = examplePolicy(descriptor, {
      roles: ['server'],
      projects: ['p-12345'],
      args: { server: ['node', 'server.js'] },
      attestation: ['local'],
      localIssuers: [{ issuer: 'http://127.0.0.1:9', jwks }],
      approval: 'automatic',
    })
    expect(policy.roles.client).toBeUndefined()
    expect(policy.roles.server).toMatchObject({
      projects: ['p-12345'],
      args: ['node', 'server.js'],
    })
  })
})
