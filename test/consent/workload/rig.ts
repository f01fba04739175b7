// A whole network on one machine: participants behind HTTP, a local issuer with RSA keys behind a
// launcher's socket for each role, and workloads that join. Everything ends with its test.

import { join as joinPath } from 'node:path'
import { onTestFinished } from 'vitest'
import { createLauncherAttester } from '../../../src/consent/attestation/launcher.js'
import type { LocalWorkload } from '../../../src/consent/attestation/local/claims.js'
import {
  createLocalIssuer,
  type LocalIssuer,
} from '../../../src/consent/attestation/local/issuer.js'
import { serveLauncher } from '../../../src/consent/attestation/local/launcher.js'
import type { Attester } from '../../../src/consent/attestation/types.js'
import { createVerifiers } from '../../../src/consent/attestation/verifiers.js'
import { type Clock, systemClock } from '../../../src/consent/base/clock.js'
import type { Role } from '../../../src/consent/descriptor/types.js'
import { serveParticipant } from '../../../src/consent/participant/http.js'
import {
  createParticipant,
  type Participant,
} from '../../../src/consent/participant/participant.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import type { Policy, PolicyRole } from '../../../src/consent/policy/types.js'
import { type JoinOptions, join, type Network } from '../../../src/consent/workload/index.js'
import { temporaryFolder } from '../../support/paths.js'
import {
  CLIENT_IMAGE,
  need,
  SERVER_IMAGE,
  type TestNetwork,
  type TestNetworkOptions,
  testNetwork,
} from '../network.js'

const ISSUER = 'https://issuer.test'
const IMAGES = { client: CLIENT_IMAGE, server: SERVER_IMAGE } as const

export interface RigOptions extends TestNetworkOptions {
  readonly network?: TestNetwork
  readonly clock?: Clock
  /** @defaultValue a fresh one */
  readonly issuer?: LocalIssuer
  readonly leaseSeconds?: number
  /** For both roles, of all participants, or of those given by label. */
  readonly rules?: Partial<PolicyRole>
  readonly rulesOf?: Readonly<Record<string, Partial<PolicyRole>>>
  readonly policy?: Partial<Omit<Policy, 'roles'>>
}

export interface Rig {
  readonly network: TestNetwork
  readonly clock: Clock
  readonly issuer: LocalIssuer
  readonly participants: ReadonlyMap<string, Participant>
  /** Base URLs by label. */
  readonly urls: Readonly<Record<string, string>>
  /** What the tokens of a role say from now on. */
  readonly workloads: Record<Role, LocalWorkload>
  attester(role: Role): Attester
  /** Where the launcher of a role listens. */
  socketPath(role: Role): string
  /** Options with which a workload of the role joins. */
  options(role: Role, changed?: Partial<JoinOptions>): JoinOptions
  /** Joins, and closes the network when the test ends. */
  join(role: Role, changed?: Partial<JoinOptions>): Promise<Network>
}

export async function consentRig(options: RigOptions = {}): Promise<Rig> {
  const { clock = systemClock } = options
  const network = options.network ?? testNetwork(options)
  const issuer = options.issuer ?? (await createLocalIssuer({ issuer: ISSUER, clock }))
  const folder = temporaryFolder()
  const workloads = { client: workloadOf(network, 'client'), server: workloadOf(network, 'server') }
  const socketOf = (role: Role) => joinPath(folder, `${role}.sock`)
  const attesters = new Map<Role, Attester>()
  for (const role of ['client', 'server'] as const) {
    const socketPath = socketOf(role)
    const launcher = await serveLauncher({
      socketPath,
      issuer,
      workload: () => workloads[role],
      clock,
    })
    onTestFinished(() => launcher.close())
    attesters.set(role, createLauncherAttester({ socketPath, kind: 'local' }))
  }
  const participants = new Map<string, Participant>()
  const urls: Record<string, string> = {}
  for (const label of network.keys.keys()) {
    const participant = participantOf(label, network, issuer, clock, options)
    const server = await serveParticipant(participant)
    onTestFinished(async () => {
      await server.close()
      await participant.close()
    })
    participants.set(label, participant)
    urls[label] = server.url
  }
  const attester = (role: Role) => need(attesters, role)
  const joinOptions = (role: Role, changed: Partial<JoinOptions> = {}): JoinOptions => ({
    descriptor: network.signed,
    descriptorHash: network.verified.hashHex,
    role,
    attester: attester(role),
    participants: urls,
    clock,
    retry: { initial: 50, max: 400 },
    deadline: 10_000,
    ...changed,
  })
  return {
    network,
    clock,
    issuer,
    participants,
    urls,
    workloads,
    attester,
    socketPath: socketOf,
    options: joinOptions,
    async join(role, changed) {
      const joined = await join(joinOptions(role, changed))
      onTestFinished(() => joined.close())
      return joined
    },
  }
}

/** What a right workload's tokens say. */
export function workloadOf(network: TestNetwork, role: Role): LocalWorkload {
  return {
    imageDigest: IMAGES[role],
    env: { MCBN_DESCRIPTOR_HASH: network.verified.hashHex },
    // Its own machine, as the platform numbers them.
    instance: role === 'client' ? '1001' : '2002',
  }
}

export function participantOf(
  label: string,
  network: TestNetwork,
  issuer: LocalIssuer,
  clock: Clock,
  options: RigOptions = {},
): Participant {
  const policy = policyOf(network, issuer, label, options)
  return createParticipant({
    descriptor: network.verified,
    label,
    keys: need(network.keys, label),
    share: need(network.shares, label),
    policy,
    verifiers: createVerifiers(policy).values(),
    clock,
  })
}

/** What a participant allows. */
export function policyOf(
  network: TestNetwork,
  issuer: LocalIssuer,
  label = '',
  { rules = {}, rulesOf = {}, leaseSeconds, policy: rest = {} }: RigOptions = {},
): Policy {
  const roleRules = (role: Role) => ({
    images: [IMAGES[role]],
    attestation: ['local'],
    projects: ['local-project'],
    args: [],
    env: {},
    instances: 8,
    ...rules,
    ...rulesOf[label],
  })
  return parsePolicy({
    version: 'mcbn/1',
    network: network.descriptor.network,
    descriptorHash: network.verified.hashHex,
    roles: { client: roleRules('client'), server: roleRules('server') },
    localIssuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }],
    ...(leaseSeconds !== undefined && { leaseSeconds }),
    ...rest,
  })
}
