// Frank starts the right image on the right platform, with arguments and an environment that make it do
// something else: load his code, write its TLS secrets to a file, trust his authority, speak to his network.

import { describe, expect, it } from 'vitest'
import type { LocalWorkload } from '../../../src/consent/attestation/local/claims.js'
import type { Policy } from '../../../src/consent/policy/types.js'
import {
  network,
  policyOf,
  refused,
  released,
  round,
  setup,
  workloadOf,
} from '../participant/fixture.js'

const HASH = { MCBN_DESCRIPTOR_HASH: network.verified.hashHex }

async function refusal(changes: Partial<LocalWorkload>, policy?: Policy): Promise<string> {
  const alice = setup(policy === undefined ? {} : { policy })
  const { answer } = await round(alice, 'client', workloadOf('client', changes))
  expect(refused(answer).code).toBe('policy')
  expect(Object.keys(answer).sort()).toEqual(['code', 'label', 'signature'])
  expect(alice.participant.leases()).toEqual([])
  return (alice.audit.of('refused')[0]?.details ?? []).join('\n')
}

/** As the platform reports what the operator sets: in the environment, and as an override. */
const set = (extra: Record<string, string>) => ({
  env: { ...HASH, ...extra },
  overriddenEnv: { ...HASH, ...extra },
})

describe('attack 7: the right image with a hostile environment', () => {
  const HOSTILE: Readonly<Record<string, string>> = {
    NODE_OPTIONS: '--require /tmp/evil.js',
    SSLKEYLOGFILE: '/dev/stdout',
    LD_PRELOAD: '/tmp/evil.so',
    NODE_EXTRA_CA_CERTS: '/tmp/ca.pem',
    NODE_DEBUG: 'tls',
    LD_LIBRARY_PATH: '/tmp',
    LD_AUDIT: '/tmp/evil.so',
    NODE_PATH: '/tmp',
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    OPENSSL_CONF: '/tmp/openssl.cnf',
    OPENSSL_MODULES: '/tmp',
    NODE_REPL_EXTERNAL_MODULE: '/tmp/evil.js',
    NODE_V8_COVERAGE: '/tmp',
    GLIBC_TUNABLES: 'glibc.malloc.check=3',
    BASH_ENV: '/tmp/evil.sh',
  }

  it.each(Object.entries(HOSTILE))(
    '%s is refused, and its value shown nowhere',
    async (name, value) => {
      const details = await refusal(set({ [name]: value }))
      expect(details).toContain(`env "${name}": never allowed, whatever a policy names`)
      expect(details).not.toContain(value)
    },
  )

  it.each(Object.keys(HOSTILE))(
    '%s is refused in the image itself, not only as an override',
    async (name) => {
      expect(await refusal({ env: { ...HASH, [name]: '' } })).toContain('never allowed')
    },
  )

  it('a policy that names one cannot be read', () => {
    for (const name of Object.keys(HOSTILE)) {
      expect(() => policyOf({}, { env: { [name]: null } })).toThrow(name)
    }
  })

  it('a variable that the policy does not name is refused, whatever it is called', async () => {
    for (const name of ['HTTPS_PROXY', 'constructor', 'mcbn_descriptor_hash', 'FOO']) {
      expect(await refusal(set({ [name]: 'x' }))).toContain(
        `env "${name}": not named by the policy`,
      )
    }
  })

  it('a variable that the policy names is refused with another value, or as an override it does not list', async () => {
    const allowing = policyOf({}, { env: { MODE: 'safe', HOSTNAME: null } })
    expect(await refusal({ env: { ...HASH, MODE: 'unsafe' } }, allowing)).toContain(
      `env "MODE": expected the policy's value, got another one`,
    )
    expect(await refusal(set({ HOSTNAME: 'h' }), allowing)).toContain(
      'env_override "HOSTNAME": not among the overrides that the policy allows',
    )
    const overriding = policyOf({}, { env: { HOSTNAME: null }, overrides: { env: ['HOSTNAME'] } })
    const workload = workloadOf('client', set({ HOSTNAME: 'h' }))
    released((await round(setup({ policy: overriding }), 'client', workload)).answer)
  })

  it('another descriptor for the workload to follow is refused, and so is a missing one', async () => {
    const other = { MCBN_DESCRIPTOR_HASH: '0'.repeat(64) }
    expect(await refusal({ env: other, overriddenEnv: other })).toContain(
      'env MCBN_DESCRIPTOR_HASH: expected the pinned hash of the descriptor, got another value',
    )
    expect(await refusal({ env: {} })).toContain('got none')
    const upper = { MCBN_DESCRIPTOR_HASH: network.verified.hashHex.toUpperCase() }
    expect(await refusal({ env: upper, overriddenEnv: upper })).toContain('got another value')
  })

  it('while the operator may set that one variable to its one value', async () => {
    const workload = workloadOf('client', set({}))
    released((await round(setup(), 'client', workload)).answer)
  })
})

describe('attack 7: the right image with hostile arguments', () => {
  const right = ['node', '/app/client.js']
  it.each([
    ['one more', [...right, '--inspect=0.0.0.0'], 'args[2]: expected no such argument'],
    ['one before', ['node', '--require=/tmp/evil.js', '/app/client.js'], 'args[1]: expected'],
    ['one less', ['node'], 'args: expected 2 of them, got 1'],
    ['none', [], 'args: expected 2 of them, got 0'],
    ['another program', ['sh', '-c'], 'args[0]: expected "node", got "sh"'],
    ['joined', ['node /app/client.js'], 'args: expected 2 of them, got 1'],
    ['with a space', ['node', '/app/client.js '], 'args[1]: expected "/app/client.js"'],
  ])('%s is refused', async (_name, args, detail) => {
    expect(await refusal({ args, overriddenArgs: args })).toContain(detail)
    expect(await refusal({ args })).toContain(detail)
    // Allowed to give the arguments himself, Frank still has to give the right ones.
    const allowing = policyOf({}, { args: right, overrides: { args: true } })
    expect(await refusal({ args, overriddenArgs: args }, allowing)).toContain(detail)
  })

  it('the right ones as an override are refused, unless the policy allows it', async () => {
    expect(await refusal({ overriddenArgs: right })).toContain('cmd_override: expected none, got 2')
  })
})
