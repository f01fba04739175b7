// A network of two participants, whose descriptor is really signed, and facts as a Confidential Space
// token gives them.

import type { AttestedFacts } from '../../../src/consent/attestation/types.js'
import {
  generateParticipantKeys,
  type ParticipantKeys,
  publicKeys,
} from '../../../src/consent/base/keys.js'
import { createDescriptor } from '../../../src/consent/descriptor/descriptor.js'
import {
  signDescriptor,
  type VerifiedDescriptor,
  verifySignedDescriptor,
} from '../../../src/consent/descriptor/signed.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import type { Policy, PolicyRole } from '../../../src/consent/policy/types.js'
import { space } from '../../support/facts.js'

export const CLIENT_IMAGE = `sha256:${'c1'.repeat(32)}`
export const SERVER_IMAGE = `sha256:${'5e'.repeat(32)}`
/** 2027-03-05, a Friday, 12:00 UTC. */
export const NOON = Date.UTC(2027, 2, 5, 12)
const DAY_SECONDS = 86_400

export const alice = generateParticipantKeys()
export const bob = generateParticipantKeys()
export const descriptor = verifiedDescriptor(1)

export function verifiedDescriptor(
  epoch: number,
  people: Record<string, ParticipantKeys> = { alice, bob },
  clientImages: readonly string[] = [CLIENT_IMAGE],
): VerifiedDescriptor {
  const made = createDescriptor({
    network: 'example',
    epoch,
    mode: 'n-of-n',
    participants: Object.entries(people).map(([label, keys]) => ({
      label,
      ...publicKeys(keys),
      commitment: Buffer.alloc(32, label.charCodeAt(0)).toString('base64url'),
    })),
    roles: {
      client: { id: 'client', images: clientImages },
      server: { id: 'server', images: [SERVER_IMAGE] },
    },
    validity: {
      notBefore: NOON / 1000 - 30 * DAY_SECONDS,
      notAfter: NOON / 1000 + 300 * DAY_SECONDS,
    },
  })
  const signatures = Object.entries(people).map(([label, keys]) => [
    label,
    signDescriptor(made, label, keys),
  ])
  return verifySignedDescriptor({ descriptor: made, signatures: Object.fromEntries(signatures) })
}

export const clientRules = {
  images: [CLIENT_IMAGE],
  attestation: ['gcp-cs-oidc'],
  projects: ['example-project'],
  args: ['node', '/app/client.js'],
  env: { HOSTNAME: null, PATH: '/usr/bin' },
} satisfies PolicyRole

/** A policy for the client alone, as a file would have it. */
export function policyWith(
  rules: Partial<PolicyRole> = {},
  rest: Partial<Omit<Policy, 'roles'>> = {},
): Policy {
  return parsePolicy({
    version: 'mcbn/1',
    network: 'example',
    descriptorHash: descriptor.hashHex,
    roles: { client: { ...clientRules, ...rules } },
    ...rest,
  })
}

/** What the right client shows; each test changes what it is about. */
export function factsWith(changed: Partial<AttestedFacts> = {}): AttestedFacts {
  return {
    kind: 'gcp-cs-oidc',
    issuer: 'https://confidentialcomputing.googleapis.com',
    attestedAt: NOON - 5_000,
    expiresAt: NOON + 3_595_000,
    hardware: 'GCP_INTEL_TDX',
    debug: 'disabled-since-boot',
    imageDigest: CLIENT_IMAGE,
    imageReference: `registry.example/client@${CLIENT_IMAGE}`,
    args: clientRules.args,
    env: new Map([
      ['HOSTNAME', 'vm-1'],
      ['PATH', '/usr/bin'],
      ['MCBN_DESCRIPTOR_HASH', descriptor.hashHex],
    ]),
    overriddenArgs: [],
    overriddenEnv: new Map([['MCBN_DESCRIPTOR_HASH', descriptor.hashHex]]),
    project: 'example-project',
    zone: 'europe-west3-a',
    instance: '1234567890',
    platform: space({
      swversion: '250300',
      google_service_accounts: ['client@example-project.iam.gserviceaccount.com'],
    }),
    ...changed,
  }
}
