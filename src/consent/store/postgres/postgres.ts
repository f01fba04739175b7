// A participant in PostgreSQL, for any number of replicas. The same documents as in a folder, share and keys
// sealed in the same way: anyone who reads the database, or its back-ups, has no share.

import { createHash } from 'node:crypto'
import { McbnError } from '../../../errors.js'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { secretCopy } from '../../../secret-bytes.js'
import { EMPTY_CHAIN } from '../../audit/chain.js'
import { CHECKED_LINES } from '../../audit/log.js'
import { type Clock, systemClock } from '../../base/clock.js'
import {
  generateParticipantKeys,
  type ParticipantKeys,
  type ParticipantPublicKeys,
  publicKeys,
} from '../../base/keys.js'
import { type VerifiedDescriptor, verifySignedDescriptor } from '../../descriptor/signed.js'
import { checkPolicyAgainst, parsePolicy } from '../../policy/parse.js'
import type { Policy } from '../../policy/types.js'
import { checkReleasedShare } from '../../shares/check.js'
import {
  checkState,
  jsonText,
  type ParticipantDocument,
  parseParticipant,
  parseState,
  stateText,
} from '../documents.js'
import { checkDescriptor, checkNext } from '../epoch.js'
import { invalid } from '../files.js'
import { History } from '../history.js'
import type { Lease } from '../lease.js'
import type { ParticipantStore, ReleaseClaim, Replicas } from '../replicas.js'
import type { StoreLock } from '../seal.js'
import type { StoredSecrets, StoredShare } from '../secrets.js'
import type { ParticipantState, ParticipantStateKeeper } from '../state.js'
import { type NewEpoch, policyBytes } from '../store.js'
import {
  type Connection,
  connect,
  type Database,
  failed,
  nameOf,
  transaction,
} from './connection.js'
import { challengeKey, opened, sealed } from './keys.js'
import { Ledger } from './ledger.js'
import { linesToHear } from './lines.js'
import { lastLine, lockRow, onlyLabel, readDocuments } from './row.js'
import { DOCUMENTS, RowSealer } from './row-seal.js'
import { migrated } from './schema.js'
import { insertParticipant } from './seal-row.js'

export interface PostgresStoreOptions {
  /** Which participant of the database; absent: the only one. */
  readonly label?: string
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
}

const OPTIONS = {
  label: undefined,
  clock: undefined,
} as const satisfies OptionTable<PostgresStoreOptions>

export interface CreatePostgresStoreOptions extends PostgresStoreOptions {
  readonly label: string
  /** @defaultValue fresh ones */
  readonly keys?: ParticipantKeys
}

const CREATE_OPTIONS = {
  ...OPTIONS,
  keys: undefined,
} as const satisfies OptionTable<CreatePostgresStoreOptions>

/** Milliseconds between two looks for challenges to be forgotten. */
const SWEEP_MS = 60_000
/**
 * Milliseconds since 1970 by the database's clock, which is one for all. By its own, a replica whose clock is
 * ahead would forget challenges that others still take, and one whose clock lags would keep none at all.
 */
const DATABASE_TIME = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint'

/**
 * Makes a participant in a database, and the tables if there are none.
 *
 * @param url - `postgres://user@host/database`.
 * @throws {McbnError} `MCBN_STORE_INVALID` where the label is there already, or the database does not answer.
 */
export async function createPostgresStore(
  url: string,
  lock: StoreLock,
  options: CreatePostgresStoreOptions,
): Promise<PostgresStore> {
  refuseUnknown('createPostgresStore', options, CREATE_OPTIONS)
  const { label, keys = generateParticipantKeys(), clock } = options
  const participant = jsonText({ version: 'mcbn/1', label, keys: publicKeys(keys) })
  const document = parseParticipant(Buffer.from(participant))
  const secrets = await sealed({ keys, stored: undefined }, lock, document)
  const state = stateText({ decisions: [] })
  const pool = await connect(url)
  const name = nameOf(url)
  try {
    await migrated(pool, name)
    const documents = { participant, secrets, descriptor: null, policy: null, state }
    const sealer = new RowSealer(label, name, keys)
    await transaction(pool, name, async (client) => {
      await insertParticipant(client, { label, name, sealer, head: EMPTY_CHAIN, documents })
    }).finally(() => sealer.close())
  } finally {
    await pool.end()
  }
  return await openPostgresStore(url, lock, { label, ...(clock && { clock }) })
}

/**
 * Opens a participant in a database, beside any others that have it open.
 *
 * @throws {McbnError} `MCBN_STORE_INVALID` for a wrong lock, altered documents, or a database that does not
 * answer; and as `openStore`.
 */
export async function openPostgresStore(
  url: string,
  lock: StoreLock,
  options: PostgresStoreOptions = {},
): Promise<PostgresStore> {
  refuseUnknown('openPostgresStore', options, OPTIONS)
  const { clock = systemClock } = options
  const name = nameOf(url)
  const pool = await connect(url)
  let secrets: StoredSecrets | undefined
  let sealer: RowSealer | undefined
  try {
    await migrated(pool, name)
    const label = options.label ?? (await onlyLabel(pool, name))
    const { found, documents, last } = await transaction(pool, name, async (client) => {
      await lockRow(client, label)
      const { row, documents } = await readDocuments(client, label, DOCUMENTS)
      return { found: row, documents, last: await lastLine(client, label) }
    })
    const document = parseParticipant(Buffer.from(documents.participant))
    secrets = await opened(documents.secrets, lock, document)
    sealer = new RowSealer(label, name, secrets.keys)
    const row = sealer.checked(found)
    sealer.demand(row, documents)
    sealer.demandEnd(row, last)
    const descriptor =
      documents.descriptor === null ? undefined : verifySignedDescriptor(documents.descriptor)
    checkDescriptor(descriptor, secrets.stored)
    const state = parseState(Buffer.from(documents.state))
    checkState(state, label, descriptor)
    const { ed25519: privateKey } = secrets.keys
    const signedBy = { label, ed25519: document.keys.ed25519 }
    const { heard, before } = await linesToHear(pool, row, signedBy, clock.wall())
    const history = new History()
    for (const line of heard) history.hear(line)
    const recent = [...before, ...heard].slice(-CHECKED_LINES)
    const signer = { label, privateKey }
    const known = { row, state, recent, history, signer, sealer }
    const ledger = new Ledger({ pool, name, label, clock, ...known })
    const leases = history.leases(clock.wall())
    const policy = documents.policy === null ? undefined : policyOf(documents.policy)
    // It is new, or the process that made it was killed just then.
    await ledger.begin()
    return new PostgresStore({ pool, name, document, secrets, descriptor, policy, ledger, leases })
  } catch (error) {
    secrets?.stored?.share.fill(0)
    sealer?.close()
    await pool.end()
    throw failed(name, error)
  }
}

interface OpenedPostgres {
  readonly pool: Database
  readonly name: string
  readonly document: ParticipantDocument
  readonly secrets: StoredSecrets
  readonly descriptor: VerifiedDescriptor | undefined
  readonly policy: KnownPolicy | undefined
  readonly ledger: Ledger
  readonly leases: readonly Lease[]
}

interface KnownPolicy {
  readonly policy: Policy
  readonly policyHash: string
}

/** An open store. `util.inspect` and JSON show none of its secrets. */
export class PostgresStore implements ParticipantStore {
  readonly name: string
  readonly label: string
  readonly publicKeys: ParticipantPublicKeys
  readonly leases: readonly Lease[]
  readonly descriptor: VerifiedDescriptor | undefined
  readonly #pool: Database
  readonly #document: ParticipantDocument
  /** Until it is closed: OpenSSL wipes a key once nobody has its object. */
  #keys: ParticipantKeys | undefined
  readonly #ledger: Ledger
  #stored: StoredShare | undefined
  #policy: KnownPolicy | undefined
  #closed = false
  /** Milliseconds since 1970. */
  #sweepAt = 0

  /** @internal */
  constructor(found: OpenedPostgres) {
    const { pool, name, document, secrets, descriptor, policy, ledger, leases } = found
    this.name = name
    this.label = document.label
    this.publicKeys = document.keys
    this.leases = leases
    this.descriptor = descriptor
    this.#pool = pool
    this.#document = document
    this.#keys = secrets.keys
    this.#stored = secrets.stored
    this.#policy = policy
    this.#ledger = ledger
  }

  /** @throws {McbnError} `MCBN_SOCKET_CLOSED` once it is closed. */
  get keys(): ParticipantKeys {
    if (this.#keys === undefined) throw new McbnError('MCBN_SOCKET_CLOSED', 'the store is closed')
    return this.#keys
  }

  get policy(): Policy | undefined {
    return this.#policy?.policy
  }

  get policyHash(): string | undefined {
    return this.#policy?.policyHash
  }

  get audit(): Ledger {
    return this.#ledger
  }

  get replicas(): Replicas {
    return {
      challengeKey: challengeKey(this.keys, this.descriptor),
      listen: (ears) => this.#ledger.listen(ears),
      refresh: () => this.#ledger.refresh(),
      recent: () => this.#ledger.recent(),
      release: (line, claim) => this.#release(line, claim),
    }
  }

  get state(): ParticipantStateKeeper {
    const ledger = this.#ledger
    return {
      get current() {
        return ledger.state
      },
      save: async (state) => {
        await ledger.change(async (step) => step.save(this.#stateText(step.state, state)))
      },
      update: async (change, line) =>
        await ledger.change(async (step) => {
          const next = change(step.state)
          step.save(this.#stateText(step.state, next))
          const entry = line(next)
          if (entry !== undefined) step.line(entry)
          return next
        }),
    }
  }

  share(): Buffer | undefined {
    const share = this.#stored?.share
    if (share === undefined || this.#closed) return undefined
    return secretCopy(share)
  }

  /** Reads the policy again, which another process may have replaced. @returns whether it is another one. */
  async reloadPolicy(check: (policy: Policy) => void = () => undefined): Promise<boolean> {
    const text = await this.#ledger.document('policy')
    if (typeof text !== 'string') throw invalid(`${this.name}: expected a policy, got none`)
    const read = policyOf(text)
    if (read.policyHash === this.policyHash) return false
    if (this.descriptor !== undefined) checkPolicyAgainst(read.policy, this.descriptor)
    check(read.policy)
    this.#policy = read
    return true
  }

  /** Checks and replaces the policy, for all replicas; each reads it when it is told to. */
  async setPolicy(source: unknown): Promise<Policy> {
    const policy = parsePolicy(source)
    if (this.descriptor !== undefined) checkPolicyAgainst(policy, this.descriptor)
    const text = policyBytes(source, policy).toString('utf8')
    const known = policyOf(text)
    await this.#ledger.change(async ({ replace, line }) => {
      replace({ policy: text })
      line({ type: 'policy-replaced', policyHash: known.policyHash })
    })
    this.#policy = known
    return policy
  }

  /**
   * Puts share, descriptor and policy of a new epoch in place, all or nothing. Replicas that run release nothing
   * from then on; this store, too, is to be closed and opened again.
   */
  async installEpoch({ descriptor, share, policy }: NewEpoch, lock: StoreLock): Promise<void> {
    const next = verifySignedDescriptor(descriptor)
    const again = this.descriptor?.hash.equals(next.hash) === true
    if (!again) checkNext(next, this)
    checkReleasedShare(next, this.label, share)
    const parsed = policy === undefined ? undefined : parsePolicy(policy)
    if (parsed !== undefined) checkPolicyAgainst(parsed, next)
    if (again) return
    const stored = { descriptorHash: next.hash, share: secretCopy(share) }
    try {
      const secrets = await sealed({ keys: this.keys, stored }, lock, this.#document)
      await this.#ledger.change(async ({ client, line, save, replace, begin }) => {
        const { documents } = await readDocuments(client, this.label, ['secrets'])
        // That the lock is the store's, before anything is sealed with it for good.
        const known = await opened(documents.secrets, lock, this.#document)
        known.stored?.share.fill(0)
        const text = parsed === undefined ? null : policyBytes(policy, parsed).toString('utf8')
        replace({
          ...{ secrets, descriptor: jsonText(next.signed) },
          ...(text !== null && { policy: text }),
        })
        begin()
        save(stateText({ descriptorHash: next.hashHex, decisions: [] }))
        const { network, epoch } = next.descriptor
        const policyHash = text === null ? undefined : policyOf(text).policyHash
        line({ type: 'epoch-installed', network, epoch, descriptorHash: next.hashHex, policyHash })
      })
    } finally {
      stored.share.fill(0)
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#stored?.share.fill(0)
    this.#stored = undefined
    await this.#ledger.close()
    this.#keys = undefined
    await this.#pool.end()
  }

  async #release<Objection>(
    entry: Parameters<Replicas['release']>[0],
    { c, longest, objection }: ReleaseClaim<Objection>,
  ): Promise<Objection | 'spent' | undefined> {
    return await this.#ledger.change(async ({ client, prepare }) => {
      const objected = objection()
      if (objected !== undefined) return objected
      const add = prepare(entry)
      const { rowCount } = await client.query(
        `INSERT INTO mcbn_spent (label, challenge, until) VALUES ($1, $2, ${DATABASE_TIME} + $3) ON CONFLICT DO NOTHING`,
        [this.label, c, longest],
      )
      if (rowCount !== 1) return 'spent'
      await this.#sweep(client)
      add()
      return undefined
    }, false)
  }

  /** Forgets challenges that are worth nothing any more. */
  async #sweep(client: Connection): Promise<void> {
    const now = performance.now()
    if (now < this.#sweepAt) return
    this.#sweepAt = now + SWEEP_MS
    await client.query(`DELETE FROM mcbn_spent WHERE until < ${DATABASE_TIME}`)
  }

  #stateText(before: { readonly descriptorHash?: string }, state: ParticipantState): string {
    const { descriptorHash } = before
    const { withdrawal, decisions } = state
    const text = stateText({
      ...(descriptorHash !== undefined && { descriptorHash }),
      ...(withdrawal !== undefined && { withdrawal }),
      decisions,
    })
    checkState(parseState(Buffer.from(text)), this.label, this.descriptor)
    return text
  }
}

function policyOf(text: string): KnownPolicy {
  const policyHash = createHash('sha256').update(text).digest('hex')
  return { policy: parsePolicy(text), policyHash }
}
