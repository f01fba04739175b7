// A participant that gives its share to workloads of the local issuer, and rounds of the protocol as an
// honest workload plays them; a test alters what it is about. Real keys, real RSA tokens, real sealing.

import { randomBytes } from 'node:crypto'
import {
  confidentialSpaceClaims,
  type LocalWorkload,
} from '../../../src/consent/attestation/local/claims.js'
import { createLocalIssuer } from '../../../src/consent/attestation/local/issuer.js'
import type { AttestedFacts, Verifier } from '../../../src/consent/attestation/types.js'
import { createVerifiers } from '../../../src/consent/attestation/verifiers.js'
import type { AuditEntry } from '../../../src/consent/audit/events.js'
import type { Clock } from '../../../src/consent/base/clock.js'
import type { Role } from '../../../src/consent/descriptor/types.js'
import type { ParticipantOptions } from '../../../src/consent/participant/options.js'
import {
  createParticipant,
  type Participant,
} from '../../../src/consent/participant/participant.js'
import { parsePolicy } from '../../../src/consent/policy/parse.js'
import type { Policy, PolicyRole } from '../../../src/consent/policy/types.js'
import type {
  Refused,
  Release,
  ReleaseChallenge,
  ReleaseRequest,
} from '../../../src/consent/release/messages.js'
import { SUITE } from '../../../src/consent/release/messages.js'
import { audience, releaseNonce } from '../../../src/consent/release/nonce.js'
import { generateReceiver, type Receiver } from '../../../src/consent/release/seal.js'
import { memoryState } from '../../../src/consent/store/state.js'
import { space } from '../../support/facts.js'
import { CLIENT_IMAGE, need, SERVER_IMAGE, type TestNetwork, testNetwork } from '../network.js'

/** 2027-03-05, a Friday, 12:00 UTC. */
export const NOON = Date.UTC(2027, 2, 5, 12)
export const network = testNetwork()
export const issuer = await createLocalIssuer({ issuer: 'https://issuer.test' })

export const IMAGES: Readonly<Record<Role, string>> = { client: CLIENT_IMAGE, server: SERVER_IMAGE }

/** Both clocks in the test's hand. */
export class TestClock implements Clock {
  now: number
  ticks = 0
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>()

  constructor(now = NOON) {
    this.now = now
  }

  wall(): number {
    return this.now
  }

  monotonic(): number {
    return this.ticks
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.ticks + milliseconds, callback }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Both clocks go on. */
  pass(milliseconds: number): void {
    this.now += milliseconds
    this.ticks += milliseconds
    for (const timer of [...this.#timers]) {
      if (timer.at > this.ticks) continue
      this.#timers.delete(timer)
      timer.callback()
    }
  }
}

/** An audit in memory. */
export class TestAudit {
  readonly lines: AuditEntry[] = []

  append(event: AuditEntry): Promise<void> {
    this.lines.push(event)
    return Promise.resolve()
  }

  of(type: string): readonly AuditEntry[] {
    return this.lines.filter((line) => line.type === type)
  }
}

export function rulesFor(role: Role, rules: Partial<PolicyRole> = {}): PolicyRole {
  return {
    images: [IMAGES[role]],
    attestation: ['local'],
    projects: ['local-project'],
    args: ['node', `/app/${role}.js`],
    ...rules,
  }
}

export function policyOf(
  rest: Partial<Policy> = {},
  rules: Partial<PolicyRole> = {},
  { verified }: TestNetwork = network,
): Policy {
  return parsePolicy({
    version: 'mcbn/1',
    network: verified.descriptor.network,
    descriptorHash: verified.hashHex,
    roles: { client: rulesFor('client', rules), server: rulesFor('server', rules) },
    localIssuers: [{ issuer: issuer.issuer, jwks: issuer.jwks() }],
    ...rest,
  })
}

export interface Setup {
  readonly participant: Participant
  readonly clock: TestClock
  readonly audit: TestAudit
  readonly policy: Policy
}

/** Alice, unless said otherwise. */
export function setup({
  network: own = network,
  ...options
}: Partial<ParticipantOptions> & { readonly network?: TestNetwork } = {}): Setup {
  const { verified, keys, shares } = own
  const label = options.label ?? 'alice'
  const clock = new TestClock()
  const audit = new TestAudit()
  const policy = options.policy ?? policyOf()
  const participant = createParticipant({
    descriptor: verified,
    label,
    keys: need(keys, label),
    share: need(shares, label),
    policy,
    verifiers: createVerifiers(policy),
    audit,
    state: memoryState(),
    clock,
    ...options,
  })
  return { participant, clock, audit, policy }
}

export interface Asking {
  readonly request: ReleaseRequest
  readonly receiver: Receiver
}

export async function ask(role: Role, changes: Partial<ReleaseRequest> = {}): Promise<Asking> {
  const receiver = await generateReceiver()
  const request: ReleaseRequest = {
    v: 'mcbn/1',
    dh: network.verified.hash.toString('base64url'),
    role,
    pk: receiver.publicKey.toString('base64url'),
    suite: SUITE,
    r: randomBytes(32).toString('base64url'),
    instance: randomBytes(16).toString('base64url'),
    ...changes,
  }
  return { request, receiver }
}

/** What an honest workload of the role runs as. */
export function workloadOf(
  role: Role,
  changes: Partial<LocalWorkload> = {},
  { verified }: TestNetwork = network,
): LocalWorkload {
  return {
    imageDigest: IMAGES[role],
    args: ['node', `/app/${role}.js`],
    env: { MCBN_DESCRIPTOR_HASH: verified.hashHex },
    ...changes,
  }
}

/** The token that answers a challenge, for the request as it was sent. */
export async function tokenFor(
  participant: Pick<Participant, 'descriptor' | 'label'>,
  request: ReleaseRequest,
  c: string,
  now: number,
  workload: LocalWorkload,
  claims: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const { descriptor, hash } = participant.descriptor
  const { role, r, suite, pk } = request
  const { label } = participant
  return await issuer.mint({
    ...confidentialSpaceClaims({
      audience: audience(descriptor.network, label),
      nonces: [releaseNonce({ dh: hash, role, label, c, r, suite, pk })],
      workload,
      now,
    }),
    ...claims,
  })
}

export interface Round extends Asking {
  readonly c: string
  readonly token: string
  readonly answer: Release | Refused
}

/** A whole round; fails the test where no challenge is given. */
export async function round(
  { participant, clock }: Pick<Setup, 'participant' | 'clock'>,
  role: Role,
  workload: LocalWorkload = workloadOf(role),
): Promise<Round> {
  const asking = await ask(role, { dh: participant.descriptor.hash.toString('base64url') })
  const { c } = challenged(participant.request(asking.request))
  const token = await tokenFor(participant, asking.request, c, clock.wall(), workload)
  const answer = await participant.evidence({
    c,
    request: asking.request,
    evidence: { kind: 'local', token },
  })
  return { ...asking, c, token, answer }
}

export function challenged(answer: ReleaseChallenge | Refused): ReleaseChallenge {
  if ('code' in answer) throw new Error(`expected a challenge, got ${answer.code}`)
  return answer
}

export function released(answer: Release | Refused): Release {
  if ('code' in answer) throw new Error(`expected a release, got ${answer.code}`)
  return answer
}

export function refused(answer: Release | ReleaseChallenge | Refused): Refused {
  if (!('code' in answer)) throw new Error('expected a refusal, got something else')
  return answer
}

/** Opens a release as the workload does. */
export async function openedShare(
  { receiver, token }: Round,
  answer: Release,
  { verified }: TestNetwork = network,
): Promise<Buffer> {
  const { label, role, c, header, enc, ciphertext } = answer
  return await receiver.open({
    dh: verified.hash,
    role,
    label,
    c: Buffer.from(c, 'base64url'),
    token,
    header,
    enc,
    ciphertext,
  })
}

/** A verifier in the test's hand: believes the token's own JSON; answers when it is let. */
export class HeldVerifier implements Verifier {
  readonly kind = 'local'
  readonly #facts: () => AttestedFacts
  readonly #held: (() => void)[] = []

  constructor(facts: () => AttestedFacts) {
    this.#facts = facts
  }

  get waiting(): number {
    return this.#held.length
  }

  verify(): Promise<AttestedFacts> {
    return new Promise((resolve) => this.#held.push(() => resolve(this.#facts())))
  }

  release(): void {
    for (const go of this.#held.splice(0)) go()
  }
}

export function factsOf(
  role: Role,
  now: number,
  changes: Partial<AttestedFacts> = {},
): AttestedFacts {
  const { args = [], env = {}, imageDigest } = workloadOf(role)
  return {
    kind: 'local',
    issuer: issuer.issuer,
    attestedAt: now,
    expiresAt: now + 3_600_000,
    hardware: 'GCP_INTEL_TDX',
    debug: 'disabled-since-boot',
    imageDigest,
    imageReference: 'registry.test/workload',
    args,
    env: new Map(Object.entries(env)),
    overriddenArgs: [],
    overriddenEnv: new Map(),
    project: 'local-project',
    zone: 'local-zone',
    instance: '1',
    platform: space({ support_attributes: ['STABLE'] }),
    ...changes,
  }
}
