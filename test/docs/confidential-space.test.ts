// docs/CONFIDENTIAL-SPACE.md cannot be run here; what can be checked of it is: that its image, its command
// line and its policy fit each other, and that the library does with the policy what the page says.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AttestedFacts } from '../../src/consent/attestation/types.js'
import { evaluatePolicy } from '../../src/consent/policy/evaluate.js'
import { parsePolicy } from '../../src/consent/policy/parse.js'
import type { PolicyRole } from '../../src/consent/policy/types.js'
import { testNetwork } from '../consent/network.js'
import { accounts, space } from '../support/facts.js'
import { repositoryRoot } from '../support/paths.js'

const page = readFileSync(join(repositoryRoot, 'docs/CONFIDENTIAL-SPACE.md'), 'utf8')

function block(language: string, containing = ''): string {
  const blocks = [...page.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))]
  const found = blocks.map(([, text]) => `${text}`).find((text) => text.includes(containing))
  if (found === undefined) throw new Error(`no ${language} block with ${containing}`)
  return found
}

const dockerfile = block('dockerfile')
const command = block('sh', 'instances create')
const given = JSON.parse(block('json')) as Record<string, unknown>
const rules = (given['roles'] as { server: PolicyRole }).server

/** The page's hash is made up, so the same policy for a descriptor that exists. */
const network = testNetwork({
  fields: {
    network: String(given['network']),
    roles: {
      client: { id: 'client', images: [`sha256:${'c1'.repeat(32)}`] },
      server: { id: 'server', images: rules.images ?? [] },
    },
  },
})
const descriptor = network.verified
const policy = parsePolicy({ ...given, descriptorHash: descriptor.hashHex })
const now = Date.UTC(2027, 2, 5, 12)

/** What a machine that was started as the page says attests. */
function attested(changes: Partial<AttestedFacts> = {}): AttestedFacts {
  const set = [
    ['MCBN_DESCRIPTOR_HASH', descriptor.hashHex],
    ['DESCRIPTOR_URL', 'https://somewhere.example/descriptor.json'],
    ['PARTICIPANTS', '{"alice":"https://alice.example"}'],
  ] as const
  const image = Object.entries(rules.env ?? {}).filter(([, value]) => value !== null) as [
    string,
    string,
  ][]
  return {
    kind: 'gcp-cs-oidc',
    issuer: 'https://confidentialcomputing.googleapis.com',
    attestedAt: now - 10_000,
    expiresAt: now + 3_590_000,
    hardware: 'GCP_INTEL_TDX',
    debug: 'disabled-since-boot',
    imageDigest: rules.images?.[0],
    imageReference: 'REGION-docker.pkg.dev/AUTHOR_PROJECT/REPO/server',
    args: JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? '[]') as string[],
    env: new Map([...image, ['HOSTNAME', 'mcbn-server'], ...set]),
    overriddenArgs: [],
    overriddenEnv: new Map(set),
    project: 'franks-project',
    zone: 'europe-west4-a',
    instance: '4711',
    platform: space({
      swversion: '251200',
      google_service_accounts: ['mcbn-server@franks-project.iam.gserviceaccount.com'],
    }),
    ...changes,
  }
}

function decide(changes: Partial<AttestedFacts> = {}): string {
  const facts = attested(changes)
  const decision = evaluatePolicy(policy, { role: 'server', facts, now, descriptor })
  return decision.allowed ? 'allowed' : decision.details.join('\n')
}

describe('docs/confidential-space', () => {
  it('has a policy that allows exactly what its image and its command line start', () => {
    expect(() => parsePolicy(given)).not.toThrow()
    expect(decide()).toBe('allowed')
  })

  it('sets by metadata what the label lets the operator set, and nothing else', () => {
    const label = /allow_env_override"="([^"]*)"/.exec(dockerfile)?.[1]?.split(',') ?? []
    const set = [...command.matchAll(/tee-env-(\w+)=/g)].map(([, name]) => `${name}`)
    expect(set.sort()).toEqual([...label].sort())
    const overrides = ['MCBN_DESCRIPTOR_HASH', ...(rules.overrides?.env ?? [])]
    expect(overrides.sort()).toEqual([...label].sort())
    expect(dockerfile).toMatch(/LABEL "tee\.launch_policy\.allow_cmd_override"="false"/)
    expect(dockerfile).toMatch(/LABEL "tee\.launch_policy\.log_redirect"="never"/)
  })

  it('opens in the firewall what the image exposes and its program listens on', () => {
    const exposed = [...dockerfile.matchAll(/^EXPOSE (\d+)\/(\w+)$/gm)].map(
      ([, port, protocol]) => `${protocol}:${port}`,
    )
    expect(/--allow=([\w:,]+)/.exec(command)?.[1]?.split(',')).toEqual(exposed)
    const listening = [...block('js').matchAll(/listen\((\d+)/g)].map(([, port]) => `${port}`)
    expect(exposed.map((each) => each.split(':')[1])).toEqual(listening)
  })

  const others: readonly (readonly [string, Partial<AttestedFacts>])[] = [
    ['env MCBN_DESCRIPTOR_HASH', { env: new Map() }],
    [
      'env "NAME": not named by the policy',
      { env: new Map([...attested().env, ['NAME', 'anything']]) },
    ],
    ['env_override "NAME"', { overriddenEnv: new Map([['NAME', 'anything']]) }],
    ['args[0]', { args: ['sh', '/app/server.mjs'] }],
    ['args', { args: ['node'] }],
    ['dbgstat', { debug: 'enabled' }],
    ['support_attributes', { platform: space({ support_attributes: ['USABLE'] }) }],
    ['image_digest', { imageDigest: `sha256:${'00'.repeat(32)}` }],
    ['project_id', { project: 'other-project' }],
    ['service account', { platform: accounts('other@franks-project.iam.gserviceaccount.com') }],
    ['hwmodel', { hardware: 'GCP_SHIELDED_VM' }],
  ]
  it.each(others)('explains the refusal that begins %o', (text, changes) => {
    expect(page).toContain(`\`${text}\``)
    expect(decide(changes)).toMatch(new RegExp(`^${text.replace(/[[\]]/g, '\\$&')}`, 'm'))
  })
})
