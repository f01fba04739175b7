// A participant's folder, mode 0700, its files 0600:
//
//   participant.json   label and public keys
//   secrets.json       private keys and the share, sealed (see seal.ts) together with participant.json
//   descriptor.json    signed by all; from the ceremony on
//   policy.json        its owner's rules, as a person wrote them
//   state.json         decisions of people: approvals, withdrawal; of this epoch
//   audit.jsonl        what happened, chained
//   lock               who has it open; locked by the kernel
//
// Anyone who can write here as the owner can do what the owner can; the sealing protects copies (back-ups,
// disks) and what is on them. Somebody who puts an old copy of everything back takes this participant back
// in time, withdrawal included: note the audit's head elsewhere to be able to tell.

import { createHash } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { secretCopy } from '../../secret-bytes.js'
import type { AuditLog } from '../audit/log.js'
import type { ParticipantKeys, ParticipantPublicKeys } from '../base/keys.js'
import { type VerifiedDescriptor, verifySignedDescriptor } from '../descriptor/signed.js'
import { checkPolicyAgainst, parsePolicy } from '../policy/parse.js'
import type { Policy } from '../policy/types.js'
import { checkReleasedShare } from '../shares/check.js'
import {
  checkState,
  jsonText,
  type ParticipantDocument,
  parseState,
  type StateDocument,
  stateText,
} from './documents.js'
import { checkNext, finishInstalling } from './epoch.js'
import { invalid, removeStoreFile, writeStoreFile } from './files.js'
import { History } from './history.js'
import type { Lease } from './lease.js'
import { type PolicyFile, readPolicyFile, readState, storePaths } from './reading.js'
import type { ParticipantStore } from './replicas.js'
import type { StoreLock } from './seal.js'
import type { StoredSecrets, StoredShare } from './secrets.js'
import { checkLock, writeSecrets } from './secrets-file.js'
import type { ParticipantState, ParticipantStateKeeper } from './state.js'

/** What a ceremony gives a participant. */
export interface NewEpoch {
  /** Signed by all: text, bytes, or the object. */
  readonly descriptor: unknown
  /** 32 bytes; copied: the caller wipes its own. */
  readonly share: Uint8Array
  /** For this descriptor; absent: the old policy stays, and fits no longer until it is replaced. */
  readonly policy?: unknown
}

/** What a store is made of. @internal */
export interface OpenedStore {
  readonly dir: string
  readonly document: ParticipantDocument
  readonly secrets: StoredSecrets
  readonly descriptor: VerifiedDescriptor | undefined
  readonly state: StateDocument
  readonly policy: PolicyFile | undefined
  readonly audit: AuditLog
  readonly leases: readonly Lease[]
  readonly unlock: () => void
}

/** An open store. `util.inspect` and JSON show none of its secrets. */
export class Store implements ParticipantStore {
  readonly dir: string
  readonly name: string
  readonly label: string
  readonly publicKeys: ParticipantPublicKeys
  readonly audit: AuditLog
  /** Shares that were out when the store was opened: what `createParticipant` takes as `leases`. */
  readonly leases: readonly Lease[]
  readonly #document: ParticipantDocument
  /** Until it is closed: OpenSSL wipes a key once nobody has its object. */
  #keys: ParticipantKeys | undefined
  readonly #unlock: () => void
  #stored: StoredShare | undefined
  #descriptor: VerifiedDescriptor | undefined
  #policy: PolicyFile | undefined
  #state: StateDocument
  /** Changes, one after the other. */
  #changing: Promise<unknown> = Promise.resolve()
  #closed = false

  /** @internal */
  constructor(opened: OpenedStore) {
    const { dir, document, secrets, descriptor, state, policy, audit, leases, unlock } = opened
    this.dir = dir
    this.name = dir
    this.label = document.label
    this.publicKeys = document.keys
    this.audit = audit
    this.leases = leases
    this.#document = document
    this.#keys = secrets.keys
    this.#stored = secrets.stored
    this.#descriptor = descriptor
    this.#state = state
    this.#policy = policy
    this.#unlock = unlock
  }

  /** @throws {McbnError} `MCBN_SOCKET_CLOSED` once it is closed. */
  get keys(): ParticipantKeys {
    if (this.#keys === undefined) throw closed()
    return this.#keys
  }

  /** Absent before the first epoch. */
  get descriptor(): VerifiedDescriptor | undefined {
    return this.#descriptor
  }

  /** As it is in its file; whether it fits the descriptor is for `checkPolicyAgainst`. */
  get policy(): Policy | undefined {
    return this.#policy?.policy
  }

  /** SHA-256 of policy.json as it is in force, hex; absent without one. */
  get policyHash(): string | undefined {
    return this.#policy?.policyHash
  }

  /**
   * Reads policy.json again, which a person may have changed meanwhile. A change is a line of the audit.
   *
   * @param check - throws where the policy cannot be put in force.
   * @returns whether it is another one than before.
   * @throws {McbnError} `MCBN_POLICY_INVALID`, `MCBN_STORE_INVALID`: the policy before stays in force.
   */
  async reloadPolicy(check: (policy: Policy) => void = () => undefined): Promise<boolean> {
    return await this.#change(async () => {
      const read = await readPolicyFile(this.dir)
      if (read === undefined) {
        throw invalid('policy.json: expected a policy, got none; the one before stays in force')
      }
      if (read.policyHash === this.#policy?.policyHash) return false
      if (this.#descriptor !== undefined) checkPolicyAgainst(read.policy, this.#descriptor)
      check(read.policy)
      await this.audit.append({ type: 'policy-replaced', policyHash: read.policyHash })
      this.#policy = read
      return true
    })
  }

  /** A copy of the share, 32 bytes: the caller wipes it. Absent before the first epoch. */
  share(): Buffer | undefined {
    const share = this.#stored?.share
    if (share === undefined || this.#closed) return undefined
    return secretCopy(share)
  }

  /** Approvals and withdrawal, as `createParticipant` takes them. */
  get state(): ParticipantStateKeeper {
    const current = () => this.#state
    return {
      get current() {
        return current()
      },
      save: (state) => this.#change(() => this.#saveState(state)),
    }
  }

  /**
   * Checks and replaces the policy; it holds for participants made from now on.
   *
   * @param source - the file's text or bytes, kept as they are; or the object.
   * @throws {McbnError} `MCBN_POLICY_INVALID`; the old policy stays then.
   */
  async setPolicy(source: unknown): Promise<Policy> {
    return await this.#change(async () => {
      const policy = parsePolicy(source)
      if (this.#descriptor !== undefined) checkPolicyAgainst(policy, this.#descriptor)
      await this.#writePolicy(source, policy)
      return policy
    })
  }

  /**
   * Puts share and descriptor of a ceremony in place, the first or the next epoch of the same network. The old
   * share goes: from memory, and from secrets.json, which is overwritten (see `writeStoreFile` for what that
   * does not reach). Approvals and a withdrawal were about the old epoch and go as well. Interrupted at any
   * point, the store is entirely at the old or at the new epoch, its policy too, when it is opened again. What
   * is installed already may be installed again: nothing changes then.
   *
   * @param lock - the store's own; it is not kept in memory in between.
   * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID`, `MCBN_SHARE_INVALID`, `MCBN_POLICY_INVALID`, or
   * `MCBN_STORE_INVALID` for another lock, other keys, another network or an epoch that is not later.
   */
  async installEpoch({ descriptor, share, policy }: NewEpoch, lock: StoreLock): Promise<void> {
    await this.#change(async () => {
      const next = verifySignedDescriptor(descriptor)
      const again = this.#descriptor?.hash.equals(next.hash) === true
      if (!again) checkNext(next, this)
      checkReleasedShare(next, this.label, share)
      const nextPolicy = policy === undefined ? undefined : parsePolicy(policy)
      if (nextPolicy !== undefined) checkPolicyAgainst(nextPolicy, next)
      await checkLock(this.dir, lock, this.#document)
      if (again) return
      const paths = storePaths(this.dir)
      const stored = { descriptorHash: next.hash, share: secretCopy(share) }
      try {
        // Of an attempt before, about which nothing is known.
        await removeStoreFile(paths.nextPolicy)
        if (nextPolicy !== undefined) {
          await writeStoreFile(paths.nextPolicy, policyBytes(policy, nextPolicy))
        }
        await writeStoreFile(paths.nextDescriptor, jsonText(next.signed))
        // From the moment that the secrets are written, the new epoch is the store's; opening finishes it.
        await writeSecrets(this.dir, { keys: this.keys, stored }, lock, this.#document)
      } catch (error) {
        stored.share.fill(0)
        throw error
      }
      this.#stored?.share.fill(0)
      this.#stored = stored
      await finishInstalling(this.dir, stored, this.audit, new History())
      this.#descriptor = next
      this.#state = await readState(this.dir)
      this.#policy = await readPolicyFile(this.dir)
    })
  }

  /** Seals the secrets anew, with another passphrase or key file. What was sealed before is overwritten. */
  async changeLock(from: StoreLock, to: StoreLock): Promise<void> {
    await this.#change(async () => {
      await checkLock(this.dir, from, this.#document)
      await writeSecrets(this.dir, { keys: this.keys, stored: this.#stored }, to, this.#document)
    })
  }

  /** Waits for changes, wipes the share, closes the audit and lets others open the store. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#changing
    this.#stored?.share.fill(0)
    this.#stored = undefined
    this.#keys = undefined
    await this.audit.close()
    this.#unlock()
  }

  async #change<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#closed) throw closed()
    const changed = this.#changing.then(task)
    this.#changing = changed.catch(() => undefined)
    return await changed
  }

  async #saveState({ withdrawal, decisions }: ParticipantState): Promise<void> {
    const { descriptorHash } = this.#state
    const text = stateText({
      ...(descriptorHash !== undefined && { descriptorHash }),
      ...(withdrawal !== undefined && { withdrawal }),
      decisions,
    })
    // Read back before it is written: what could not be opened again must not replace what can.
    const state = parseState(Buffer.from(text))
    checkState(state, this.label, this.#descriptor)
    await writeStoreFile(storePaths(this.dir).state, text)
    this.#state = state
  }

  async #writePolicy(source: unknown, policy: Policy): Promise<void> {
    const file = policyBytes(source, policy)
    await writeStoreFile(storePaths(this.dir).policy, file)
    const policyHash = createHash('sha256').update(file).digest('hex')
    this.#policy = { policy, policyHash }
    await this.audit.append({ type: 'policy-replaced', policyHash })
  }
}

/** A person's text stays as it is. */
export function policyBytes(source: unknown, policy: Policy): Buffer {
  const typed = typeof source === 'string' || source instanceof Uint8Array
  return Buffer.from(typed ? (source as string) : jsonText(policy))
}

function closed(): McbnError {
  return new McbnError('MCBN_SOCKET_CLOSED', 'the store is closed')
}
