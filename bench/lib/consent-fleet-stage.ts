// Three participants of two processes each, on a PostgreSQL server that was started for it, and workloads' platform.

import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join as joined } from 'node:path'
import { confidentialSpaceClaims } from '../../src/consent/attestation/local/claims.js'
import { createLocalIssuer, type LocalIssuer } from '../../src/consent/attestation/local/issuer.js'
import { type Attester, type JoinOptions, join, type Network } from '../../src/consent/index.js'
import {
  createPostgresStore,
  openPostgresStore,
  type PostgresStore,
} from '../../src/consent/store/postgres/postgres.js'
import { CLIENT_IMAGE, need, type TestNetwork, testNetwork } from '../../test/consent/network.js'
import {
  type PostgresServer,
  postgresBinaries,
  startPostgres,
} from '../../test/support/postgres.js'
import { type Child, lastingScript } from './child.js'
import { HOST } from './credentials.js'

export const LABELS = ['alice', 'bob', 'carol'] as const
export type Label = (typeof LABELS)[number]
export const REPLICAS = 2
/** A process that starts anew has so many seconds, beside everything else. */
const START_SECONDS = 120

export interface FleetRules {
  /** Seconds. */
  readonly leaseSeconds: number
  /** Workloads of the one role at once. */
  readonly instances: number
  /** Milliseconds after which every process ends by itself. */
  readonly lifetimeMs: number
}

interface Replica {
  readonly port: number
  process: Child
}

/** All of it is ended and removed by {@link Symbol.asyncDispose}. */
export class FleetStage implements AsyncDisposable {
  readonly network: TestNetwork
  readonly #rules: FleetRules
  readonly #folder: string
  readonly #keyFile: string
  readonly #issuer: LocalIssuer
  readonly #postgres: PostgresServer
  readonly #replicas = new Map<Label, Replica[]>()

  private constructor(
    rules: FleetRules,
    folder: string,
    issuer: LocalIssuer,
    postgres: PostgresServer,
  ) {
    this.network = testNetwork({ labels: LABELS })
    this.#rules = rules
    this.#folder = folder
    this.#keyFile = joined(folder, 'key')
    this.#issuer = issuer
    this.#postgres = postgres
  }

  /** @throws {Error} where no PostgreSQL is installed. */
  static async make(rules: FleetRules): Promise<FleetStage> {
    const bin = postgresBinaries()
    if (bin === undefined) throw new Error('expected PostgreSQL, see docs/DEPENDENCIES.md')
    const folder = mkdtempSync(joined(tmpdir(), 'mcbn-fleet-'))
    const issuer = await createLocalIssuer({ issuer: 'https://issuer.test' })
    const stage = new FleetStage(rules, folder, issuer, await startPostgres(bin))
    try {
      await stage.#begin()
    } catch (error) {
      await stage[Symbol.asyncDispose]()
      throw error
    }
    return stage
  }

  async #begin(): Promise<void> {
    writeFileSync(this.#keyFile, randomBytes(32), { mode: 0o600 })
    const { signed, keys, shares } = this.network
    for (const label of LABELS) {
      const lock = this.#lock
      const made = { label, keys: need(keys, label) }
      const store = await createPostgresStore(this.#postgres.url, lock, made)
      const policy = this.policy(this.#rules.leaseSeconds)
      await store.installEpoch({ descriptor: signed, share: need(shares, label), policy }, lock)
      await store.close()
      const replicas: Replica[] = []
      for (let at = 0; at < REPLICAS; at++) {
        const port = await lastingPort()
        replicas.push({ port, process: this.#start(label, port) })
      }
      this.#replicas.set(label, replicas)
      for (const { process } of replicas) await process.value('port')
    }
  }

  get #lock() {
    return { keyFile: readFileSync(this.#keyFile) }
  }

  #start(label: Label, port: number): Child {
    const { lifetimeMs } = this.#rules
    const args = [this.#postgres.url, label, this.#keyFile, port, lifetimeMs]
    return lastingScript(lifetimeMs, 'consent-replica.ts', ...args)
  }

  /** What all participants allow. */
  policy(leaseSeconds: number): object {
    const { verified, descriptor } = this.network
    const rules = {
      ...{ images: [CLIENT_IMAGE], attestation: ['local'], projects: ['local-project'], args: [] },
      instances: this.#rules.instances,
    }
    return {
      ...{ version: 'mcbn/1', network: descriptor.network, leaseSeconds },
      ...{ descriptorHash: verified.hashHex, roles: { client: rules } },
      localIssuers: [{ issuer: this.#issuer.issuer, jwks: this.#issuer.jwks() }],
    }
  }

  /** Opens a participant beside its processes. The caller closes it. */
  async store(label: Label): Promise<PostgresStore> {
    return await openPostgresStore(this.#postgres.url, this.#lock, { label })
  }

  /** The addresses of a participant's processes. */
  urls(label: string): readonly string[] {
    const replicas = need(this.#replicas, label as Label)
    return replicas.map(({ port }) => `http://${HOST}:${port}`)
  }

  get processes(): readonly Child[] {
    return [...this.#replicas.values()].flat().map(({ process }) => process)
  }

  /** Ends one by SIGKILL. Resolves when it is gone. */
  async kill(label: Label, at: number): Promise<void> {
    await this.#replica(label, at).process[Symbol.asyncDispose]()
  }

  /** Starts one that was killed, at its old address. Resolves when it serves. */
  async restart(label: Label, at: number): Promise<void> {
    const replica = this.#replica(label, at)
    replica.process = this.#start(label, replica.port)
    await replica.process.value('port', START_SECONDS)
  }

  #replica(label: Label, at: number): Replica {
    const replica = this.#replicas.get(label)?.[at]
    if (replica === undefined) throw new Error(`expected a process ${at} of ${label}, got none`)
    return replica
  }

  /** A workload that its platform calls `instance`. */
  async join(
    instance: string,
    options: Pick<JoinOptions, 'participants' | 'deadline' | 'onProgress' | 'signal'>,
  ): Promise<Network> {
    const { signed, verified } = this.network
    const attester: Attester = {
      kind: 'local',
      evidence: async ({ audience, nonce }) => {
        const env = { MCBN_DESCRIPTOR_HASH: verified.hashHex }
        const workload = { imageDigest: CLIENT_IMAGE, env, instance }
        const claims = { audience, nonces: [nonce], workload, now: Date.now() }
        return { kind: 'local', token: await this.#issuer.mint(confidentialSpaceClaims(claims)) }
      },
    }
    const about = { descriptor: signed, descriptorHash: verified.hash, role: 'client' } as const
    return await join({ ...about, attester, ...options })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.processes) await process[Symbol.asyncDispose]()
    await this.#postgres.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Below those that the system gives to clients (Linux: from 32,768 on), so that it is free again after a kill. */
async function lastingPort(): Promise<number> {
  for (let left = 20; left > 0; left -= 1) {
    const port = randomInt(20_000, 32_000)
    const server = createServer().listen(port, HOST)
    try {
      await once(server, 'listening')
      server.close()
      await once(server, 'close')
      return port
    } catch {
      // Taken.
    }
  }
  throw new Error('expected a free port of 20000 to 31999, got none of 20')
}

/** Milliseconds, for people. */
export function told(took: readonly number[]): string {
  const sorted = [...took].sort((left, right) => left - right)
  const at = (part: number) => Math.round(sorted[Math.ceil(sorted.length * part) - 1] ?? Number.NaN)
  return `ms: median ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, most ${at(1)}`
}
