// A participant that lives in memory: everything the page can show, changed at will by a test.

import type { AttestedFacts } from '../../../src/consent/attestation/types.js'
import type { ParticipantStatus, PendingRequest } from '../../../src/consent/participant/types.js'
import type {
  AuditLine,
  AuditReport,
  ParticipantView,
} from '../../../src/consent/participant/web/view.js'
import type { Lease } from '../../../src/consent/store/lease.js'
import type { Decision } from '../../../src/consent/store/state.js'
import { space } from '../../support/facts.js'

export const SERVER_IMAGE = `sha256:${'9f3c1d7ab2e84056'.repeat(4)}`
export const CLIENT_IMAGE = `sha256:${'41d0e6c85b7a92f3'.repeat(4)}`

export function someFacts(changes: Partial<AttestedFacts> = {}): AttestedFacts {
  const now = Date.now()
  return {
    kind: 'gcp-cs-oidc',
    issuer: 'https://confidentialcomputing.googleapis.com',
    attestedAt: now - 12_000,
    expiresAt: now + 3_588_000,
    hardware: 'GCP_INTEL_TDX',
    debug: 'disabled-since-boot',
    imageDigest: CLIENT_IMAGE,
    imageReference: 'europe-docker.pkg.dev/frank-prod/mcbn/client:2.4',
    args: ['node', 'client.js', '--report=weekly'],
    env: new Map([['MCBN_DESCRIPTOR_HASH', 'c0ffee'.padEnd(64, '0')]]),
    overriddenArgs: [],
    overriddenEnv: new Map(),
    project: 'frank-prod',
    zone: 'europe-west4-b',
    instance: '7130591662014558273',
    platform: space({
      swversion: '260300',
      google_service_accounts: ['workload@frank-prod.iam.gserviceaccount.com'],
    }),
    ...changes,
  }
}

export function someRequest(changes: Partial<PendingRequest> = {}): PendingRequest {
  const now = Date.now()
  return {
    id: 'a'.repeat(64),
    role: 'client',
    facts: someFacts(),
    firstAskedAt: now - 65_000,
    lastAskedAt: now,
    times: 7,
    ...changes,
  }
}

export function someLease(changes: Partial<Lease> = {}): Lease {
  const now = Date.now()
  return {
    releaseId: 'lease-1',
    role: 'server',
    issuer: 'https://confidentialcomputing.googleapis.com',
    instance: '2209174400313366719',
    imageDigest: SERVER_IMAGE,
    project: 'frank-prod',
    releasedAt: now - 152_000,
    expiresAt: now + 448_000,
    renewals: 3,
    ...changes,
  }
}

export class MemoryParticipant implements ParticipantView {
  requests: PendingRequest[] = []
  made: Decision[] = []
  out: Lease[] = []
  lines: AuditLine[] = []
  broken: AuditReport['broken'] | undefined
  withdrawnSince: number | undefined
  changes: Partial<ParticipantStatus> = {}
  /** What was asked of it, in order. */
  readonly asked: string[] = []
  readonly #listeners = new Set<() => void>()

  get listeners(): number {
    return this.#listeners.size
  }

  /** Tells the page. */
  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  note(event: string, details: AuditLine['details'] = [], at = Date.now()): void {
    this.lines.unshift({ number: this.lines.length + 1, at, event, details })
  }

  status(): ParticipantStatus {
    return {
      label: 'alice',
      network: 'clinic-north',
      epoch: 4,
      descriptorHash: '6b1f0c4e93a2d857'.repeat(4),
      mode: 't-of-n',
      t: 2,
      n: 3,
      ...(this.withdrawnSince !== undefined && { withdrawnSince: this.withdrawnSince }),
      counters: {
        requests: 31,
        challenges: 30,
        released: 4,
        returned: 0,
        renewed: 3,
        refused: { policy: 2, manual: 7 },
        malformed: 1,
        evidenceRefused: 2,
        auditFailures: 0,
      },
      ...this.changes,
    }
  }

  pending(): readonly PendingRequest[] {
    return this.requests
  }

  decisions(): readonly Decision[] {
    return this.made
  }

  leases(): readonly Lease[] {
    return this.out
  }

  approve(id: string): void {
    this.#decide(id, 'approved')
  }

  refuse(id: string): void {
    this.#decide(id, 'refused')
  }

  withdraw(): void {
    this.asked.push('withdraw')
    this.withdrawnSince = Date.now()
    this.note('withdrawn')
    this.changed()
  }

  audit(most: number): Promise<AuditReport> {
    const { lines, broken } = this
    return Promise.resolve({
      kept: true,
      lines: lines.slice(0, most),
      total: lines.length,
      ...(broken && { broken }),
    })
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #decide(id: string, decision: Decision['decision']): void {
    this.asked.push(`${decision} ${id}`)
    const request = this.requests.find((waiting) => waiting.id === id)
    const before = this.made.find((decided) => decided.id === id)
    if (!request && !before) throw new Error('nobody waits under this id')
    this.requests = this.requests.filter((waiting) => waiting.id !== id)
    this.made = this.made.filter((decided) => decided.id !== id)
    this.made.unshift({
      id,
      decision,
      role: request?.role ?? before?.role ?? 'client',
      instance: request?.facts.instance ?? before?.instance ?? '',
      imageDigest: request?.facts.imageDigest ?? before?.imageDigest ?? '',
      decidedAt: Date.now(),
    })
    this.note(decision, [['decision', decision]])
    this.changed()
  }
}
