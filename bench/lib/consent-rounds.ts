// Rounds of the release protocol, prepared outside the time that is measured: a workload's platform signs
// its tokens, and that is forty times as costly as verifying them.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { confidentialSpaceClaims } from '../../src/consent/attestation/local/claims.js'
import { createLocalIssuer, type LocalIssuer } from '../../src/consent/attestation/local/issuer.js'
import {
  createDescriptor,
  generateParticipantKeys,
  type ParticipantKeys,
  type Policy,
  parsePolicy,
  publicKeys,
  releaseNonce,
  shareCommitment,
  signDescriptor,
  type VerifiedDescriptor,
  verifySignedDescriptor,
} from '../../src/consent/index.js'
import { type ReleaseRequest, SUITE } from '../../src/consent/release/messages.js'
import { audience } from '../../src/consent/release/nonce.js'
import { generateReceiver } from '../../src/consent/release/seal.js'
import { createStore } from '../../src/consent/store/open.js'
import { HOST } from './credentials.js'

export const AT_ONCE = 16
const LABELS = ['alice', 'bob']
export const IMAGE = `sha256:${'c1'.repeat(32)}`
const OTHER_IMAGE = `sha256:${'5e'.repeat(32)}`

/** What a workload posts to get its share. */
export interface PreparedEvidence {
  readonly c: string
  readonly request: ReleaseRequest
  readonly evidence: { readonly kind: 'local'; readonly token: string }
}

export interface StageRules {
  /** @defaultValue 600 */
  readonly leaseSeconds?: number
  /** @defaultValue 1 */
  readonly instances?: number
}

/** Alice's folder, and the platform that attests. Removed with {@link Symbol.dispose}. */
export class Stage implements Disposable {
  readonly folder: string
  readonly keyFile: string
  readonly descriptor: VerifiedDescriptor
  readonly issuer: LocalIssuer
  /** The other participant: what it is made of, to be served beside. */
  readonly bob: { readonly keys: ParticipantKeys; readonly share: Buffer; readonly policy: Policy }
  readonly #parent: string

  private constructor(
    parent: string,
    descriptor: VerifiedDescriptor,
    issuer: LocalIssuer,
    bob: { readonly keys: ParticipantKeys; readonly share: Buffer },
    rules: StageRules,
  ) {
    this.#parent = parent
    this.folder = join(parent, 'alice')
    this.keyFile = join(parent, 'key')
    this.descriptor = descriptor
    this.issuer = issuer
    this.bob = { ...bob, policy: parsePolicy(this.#policy(rules)) }
  }

  static async make(rules: StageRules = {}): Promise<Stage> {
    const issuer = await createLocalIssuer({ issuer: 'https://issuer.test' })
    const keys = LABELS.map(() => generateParticipantKeys())
    const shares = LABELS.map(() => randomBytes(32))
    const now = Math.floor(Date.now() / 1000)
    const about = { network: 'bench', epoch: 1 }
    const document = createDescriptor({
      ...about,
      mode: 'n-of-n',
      participants: LABELS.map((label, at) => ({
        label,
        ...publicKeys(keys[at] as (typeof keys)[number]),
        commitment: shareCommitment({ ...about, label, share: shares[at] as Buffer }).toString(
          'base64url',
        ),
      })),
      roles: {
        client: { id: 'client', images: [IMAGE] },
        server: { id: 'server', images: [OTHER_IMAGE] },
      },
      validity: { notBefore: now - 60, notAfter: now + 86_400 },
    })
    const signatures = LABELS.map((label, at) => [
      label,
      signDescriptor(document, label, keys[at] as (typeof keys)[number]),
    ])
    const signed = { descriptor: document, signatures: Object.fromEntries(signatures) }
    const stage = new Stage(
      mkdtempSync(join(tmpdir(), 'mcbn-bench-')),
      verifySignedDescriptor(signed),
      issuer,
      { keys: keys[1] as ParticipantKeys, share: shares[1] as Buffer },
      rules,
    )
    const lock = { keyFile: randomBytes(32) }
    writeFileSync(stage.keyFile, lock.keyFile, { mode: 0o600 })
    const [own] = keys
    if (own === undefined) throw new Error('no keys')
    const store = await createStore(stage.folder, lock, { label: 'alice', keys: own })
    const { policy } = stage.bob
    await store.installEpoch({ descriptor: signed, share: shares[0] as Buffer, policy }, lock)
    await store.close()
    return stage
  }

  /** One receiver for all: a workload makes one for each round, on its own machine. */
  async request(): Promise<ReleaseRequest> {
    const { publicKey } = await generateReceiver()
    return {
      v: 'mcbn/1',
      dh: this.descriptor.hash.toString('base64url'),
      role: 'client',
      pk: publicKey.toString('base64url'),
      suite: SUITE,
      r: randomBytes(32).toString('base64url'),
      instance: randomBytes(16).toString('base64url'),
    }
  }

  async token({ role, r, suite, pk }: ReleaseRequest, c: string): Promise<string> {
    const dh = this.descriptor.hash
    return await this.issuer.mint(
      confidentialSpaceClaims({
        audience: audience('bench', 'alice'),
        nonces: [releaseNonce({ dh, role, label: 'alice', c, r, suite, pk })],
        workload: { imageDigest: IMAGE, env: { MCBN_DESCRIPTOR_HASH: this.descriptor.hashHex } },
        now: Date.now(),
      }),
    )
  }

  [Symbol.dispose](): void {
    rmSync(this.#parent, { recursive: true, force: true })
  }

  #policy({ leaseSeconds = 600, instances = 1 }: StageRules): object {
    return {
      version: 'mcbn/1',
      network: 'bench',
      descriptorHash: this.descriptor.hashHex,
      roles: {
        client: {
          images: [IMAGE],
          attestation: ['local'],
          projects: ['local-project'],
          args: [],
          instances,
        },
      },
      leaseSeconds,
      localIssuers: [{ issuer: this.issuer.issuer, jwks: this.issuer.jwks() }],
    }
  }
}

/** Posts to one participant over connections that are kept. */
export class Poster implements Disposable {
  readonly #agent: Agent
  readonly #port: number

  /** @param sockets - most connections. */
  constructor(port: number, sockets = AT_ONCE) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: sockets })
    this.#port = port
  }

  async post(path: string, message: object): Promise<Record<string, unknown>> {
    const body = JSON.stringify(message)
    const request = httpRequest({
      host: HOST,
      port: this.#port,
      path,
      method: 'POST',
      agent: this.#agent,
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    })
    request.end(body)
    const [response] = await once(request, 'response')
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk)
    return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}

/** Works through a list, so many at once. @returns seconds. */
export async function timed<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<number> {
  const queue = items.values()
  const lane = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return (performance.now() - began) / 1000
}
