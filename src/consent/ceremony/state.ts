// A participant's folder during a ceremony. Everything in it is for the owner alone (0700, 0600):
//
//   participant.json   label and public keys, for the person who writes the plan
//   secrets.json       the private keys and the ceremony's secret, sealed by passphrase or key file
//   ceremony.json      the plan and every message sent or taken in; nothing secret
//   descriptor.json    at the end: the descriptor, signed by all
//   lock               who has it open; locked by the kernel
//
// A message is kept before it is sent, and a secret before any message about it is kept: whenever the
// process ends, the next one finds either both or neither.

import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { LABEL } from '../../psk/share.js'
import { secretBytes } from '../../secret-bytes.js'
import { canonicalBytes } from '../base/canonical.js'
import { syncFolder, writeNewFile } from '../base/durable-file.js'
import {
  exportPrivate,
  generateParticipantKeys,
  importPrivate,
  type ParticipantKeys,
  publicKeys,
} from '../base/keys.js'
import { readJson, Untrusted } from '../base/untrusted.js'
import { lockFolder } from '../store/process-lock.js'
import { openSecrets, type StoreLock, sealSecrets } from '../store/seal.js'
import { Ceremony } from './ceremony.js'
import { MESSAGE_MAX_BYTES, parseMessage } from './messages.js'
import { type CheckedPlan, type PlanParticipant, parsePlan } from './plan.js'
import { invalid } from './refusals.js'
import { type CeremonySecret, decodeSecret, encodeSecret } from './secret.js'

const FILES = {
  participant: 'participant.json',
  secrets: 'secrets.json',
  ceremony: 'ceremony.json',
  descriptor: 'descriptor.json',
} as const

/** n (n + 4) messages of 64 participants, as text in JSON; and the plan. */
const STATE_MAX_BYTES = 8 * 1024 * 1024
const SMALL_MAX_BYTES = 128 * 1024
const SEED_BYTES = 32
const HASH_BYTES = 32
/** Plans that were begun and left; who leaves more of them in one folder has another problem. */
const MOST_LEFT = 256

export interface NewStateOptions {
  readonly label: string
  /** Borrowed. */
  readonly lock: StoreLock
  /** Keys of an earlier epoch. @defaultValue fresh ones */
  readonly keys?: ParticipantKeys
}

const OPTIONS = {
  label: undefined,
  lock: undefined,
  keys: undefined,
} as const satisfies OptionTable<NewStateOptions>

/** A participant's folder, open; close it again. */
export class CeremonyState {
  readonly folder: string
  /** What the others get to know before the ceremony. */
  readonly card: PlanParticipant
  readonly keys: ParticipantKeys
  readonly #lock: StoreLock
  /** Absent where the folder is only read. */
  #unlock: (() => void) | undefined
  #ceremony: Ceremony | undefined
  /** Hashes of plans that were begun here and left for another; hex. */
  #left: readonly string[] = []
  /** Which secret secrets.json has: sealing takes a while, so only when it has become another. */
  #sealed: CeremonySecret | undefined

  private constructor(
    folder: string,
    card: PlanParticipant,
    keys: ParticipantKeys,
    lock: StoreLock,
    unlock?: () => void,
  ) {
    this.folder = folder
    this.card = card
    this.keys = keys
    this.#lock = lock
    this.#unlock = unlock
  }

  /**
   * Makes the folder, and keys, for this process alone until {@link close}.
   *
   * @throws {McbnError} `MCBN_CEREMONY_INVALID` for an invalid label, or a folder that has a participant;
   * `MCBN_STORE_INVALID` while another process has it; the lock's own errors, see {@link sealSecrets}.
   */
  static async create(folder: string, options: NewStateOptions): Promise<CeremonyState> {
    refuseUnknown('CeremonyState.create', options, OPTIONS)
    const { label, lock, keys = generateParticipantKeys() } = options
    await CeremonyState.demandNew(folder, label)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const unlock = lockFolder(folder)
    try {
      // Another process may have made one before this one had the lock.
      await demandNone(folder)
      await chmod(folder, 0o700)
      const state = new CeremonyState(folder, { label, ...publicKeys(keys) }, keys, lock, unlock)
      await state.#saveSecrets(undefined, undefined)
      await state.#write(FILES.participant, cardBytes(state.card))
      return state
    } catch (error) {
      unlock()
      throw error
    }
  }

  /**
   * What {@link create} demands before it makes anything.
   *
   * @throws {McbnError} `MCBN_CEREMONY_INVALID` for an invalid label, or a folder that has a participant.
   */
  static async demandNew(folder: string, label: string): Promise<void> {
    if (!LABEL.test(label) || label.includes('-to-')) {
      throw invalid(
        'label: expected 1 to 63 of a-z, 0-9, ., _, -, a letter or digit first, without "-to-"',
      )
    }
    await demandNone(folder)
  }

  /**
   * Opens the folder for this process alone, until {@link close}; a ceremony that was under way stands where
   * it stood.
   *
   * @throws {McbnError} `MCBN_STORE_INVALID` for another passphrase or key file, altered files, or while
   * another process, or this one, has it open.
   */
  static async open(folder: string, lock: StoreLock): Promise<CeremonyState> {
    await demandPrivate(folder)
    const unlock = lockFolder(folder)
    try {
      return await CeremonyState.#load(folder, lock, unlock)
    } catch (error) {
      unlock()
      throw error
    }
  }

  /**
   * Reads the folder as it is, also while another process has it open. A state that was read begins and saves nothing.
   *
   * @throws {McbnError} as {@link open}, except for a folder that somebody has open.
   */
  static async read(folder: string, lock: StoreLock): Promise<CeremonyState> {
    await demandPrivate(folder)
    return await CeremonyState.#load(folder, lock)
  }

  static async #load(folder: string, lock: StoreLock, unlock?: () => void): Promise<CeremonyState> {
    const card = parseCard(await read(join(folder, FILES.participant), SMALL_MAX_BYTES))
    const sealed = await read(join(folder, FILES.secrets), SMALL_MAX_BYTES)
    const secrets = await openSecrets(
      readJson(sealed, SMALL_MAX_BYTES, FILES.secrets, 'MCBN_STORE_INVALID'),
      lock,
      cardBytes(card),
    )
    try {
      const keys = importPrivate({
        ed25519: secrets.subarray(0, SEED_BYTES),
        x25519: secrets.subarray(SEED_BYTES, 2 * SEED_BYTES),
      })
      const state = new CeremonyState(folder, card, keys, lock, unlock)
      await state.#resume(secrets.subarray(2 * SEED_BYTES))
      return state
    } finally {
      secrets.fill(0)
    }
  }

  /** The ceremony under way, or the one that has ended here. */
  get ceremony(): Ceremony | undefined {
    return this.#ceremony
  }

  /** The file of the descriptor, once there is one. */
  get descriptorFile(): string {
    return join(this.folder, FILES.descriptor)
  }

  /**
   * Begins a ceremony, once its plan's hash has been compared.
   *
   * @returns the one under way where it is of this very plan: a second beginning would have other messages
   * under the same names, which is what cheaters send.
   * @throws {McbnError} `MCBN_CEREMONY_INVALID` when another one has got so far here that others can have
   * finished it: its secret is not thrown away. Also for a plan that was begun here before and left.
   */
  async begin(plan: CheckedPlan): Promise<Ceremony> {
    this.#demandOpen()
    const before = this.#ceremony
    if (before?.plan.hash.equals(plan.hash)) return before
    if (before !== undefined && before.round === 'sign') {
      throw invalid(
        `${this.folder}: expected no ceremony that others may have finished, found that of plan ${before.plan.hashHex}; use a new folder (init --keys-of ${this.folder} keeps the keys)`,
      )
    }
    if (this.#left.includes(plan.hashHex)) {
      throw invalid(
        `plan ${plan.hashHex}: expected a plan that was not begun here before; make a new one, since others have what was sent then`,
      )
    }
    const ceremony = Ceremony.begin({ plan, label: this.card.label, keys: this.keys })
    if (before !== undefined) this.#left = [...this.#left, before.plan.hashHex].slice(-MOST_LEFT)
    await this.#saveSecrets(plan.hash, ceremony.secret)
    await this.#saveMessages(ceremony)
    before?.wipe()
    this.#ceremony = ceremony
    return ceremony
  }

  /** Keeps everything that has changed. Call it before anything is sent. */
  async save(): Promise<void> {
    this.#demandOpen()
    const ceremony = this.#ceremony
    if (ceremony === undefined) return
    await this.#saveMessages(ceremony)
    if (this.#sealed !== ceremony.secret) {
      await this.#saveSecrets(ceremony.plan.hash, ceremony.secret)
    }
    if (!ceremony.finished) return
    const { descriptor, share } = ceremony.result()
    share.fill(0)
    await this.#write(
      FILES.descriptor,
      Buffer.from(`${JSON.stringify(descriptor.signed, undefined, 2)}\n`),
    )
  }

  /** Lets other processes open the folder. Its ceremony can be read on, and is kept no longer. */
  close(): void {
    this.#unlock?.()
    this.#unlock = undefined
  }

  #demandOpen(): void {
    if (this.#unlock !== undefined) return
    throw invalid(
      `${this.folder}: expected a folder that is open, got one that was closed or is only read`,
    )
  }

  async #resume(kept: Uint8Array): Promise<void> {
    const path = join(this.folder, FILES.ceremony)
    if ((await sizeOf(path)) === undefined) return
    const { plan, messages, left } = parseKept(await read(path, STATE_MAX_BYTES))
    this.#left = left
    if (kept.length < HASH_BYTES || Buffer.compare(kept.subarray(0, HASH_BYTES), plan.hash) !== 0) {
      // Either the file was altered, or the process ended while another ceremony was begun: its secret is
      // here then, nothing of it was sent, and the messages are truly those of this plan.
      try {
        for (const bytes of messages) parseMessage(bytes, plan)
      } catch (cause) {
        throw new McbnError(
          'MCBN_STORE_INVALID',
          `${FILES.ceremony}: expected the plan that its messages are about, got another one`,
          { cause },
        )
      }
      this.#left = [...left, plan.hashHex].slice(-MOST_LEFT)
      return
    }
    const secret = decodeSecret(kept.subarray(HASH_BYTES))
    const seat = { plan, label: this.card.label, keys: this.keys }
    this.#ceremony = Ceremony.resume(seat, { secret, messages })
    this.#sealed = secret
    // What had ended before ends again, without anybody's help: all messages are here. What had failed is
    // not told yet: the folder opens, and the next step fails again with the same words.
    if (this.#ceremony.round === 'sign') await this.#ceremony.advance().catch(() => false)
  }

  async #saveMessages(ceremony: Ceremony): Promise<void> {
    const messages = ceremony.messages().map((bytes) => Buffer.from(bytes).toString('utf8'))
    const plan = ceremony.plan.document
    const text = JSON.stringify({ version: 'mcbn/1', plan, messages, left: this.#left })
    await this.#write(FILES.ceremony, Buffer.from(text))
  }

  async #saveSecrets(planHash: Buffer | undefined, secret: CeremonySecret | undefined) {
    const seeds = exportPrivate(this.keys)
    const pieces = [seeds.ed25519, seeds.x25519]
    if (planHash !== undefined) pieces.push(planHash)
    const encoded = secret === undefined ? undefined : encodeSecret(secret)
    if (encoded !== undefined) pieces.push(encoded)
    const plaintext = secretBytes(pieces.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const piece of pieces) at += piece.copy(plaintext, at)
    try {
      const sealed = await sealSecrets(plaintext, this.#lock, cardBytes(this.card))
      await this.#write(FILES.secrets, Buffer.from(`${JSON.stringify(sealed)}\n`))
      this.#sealed = secret
    } finally {
      for (const bytes of [plaintext, seeds.ed25519, seeds.x25519, encoded]) bytes?.fill(0)
    }
  }

  /** Beside, to the disk, then named: a reader finds the file before or after, never between. */
  async #write(name: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.folder, name)
    const beside = join(dirname(path), `.${name}.${randomBytes(6).toString('hex')}`)
    await writeNewFile(beside, bytes, 0o600)
    await rename(beside, path)
    await syncFolder(this.folder)
  }
}

/** The public card of a participant, as text for a file. */
export function cardBytes({ label, ed25519, x25519 }: PlanParticipant): Buffer {
  return canonicalBytes({ version: 'mcbn/1', label, ed25519, x25519 })
}

/** @throws {McbnError} `MCBN_CEREMONY_INVALID` for anything but a card. */
export function parseCard(bytes: Uint8Array): PlanParticipant {
  const value = readJson(bytes, SMALL_MAX_BYTES, 'participant', 'MCBN_CEREMONY_INVALID')
  const fields = new Untrusted(value, 'participant', 'MCBN_CEREMONY_INVALID').fields([
    'version',
    'label',
    'ed25519',
    'x25519',
  ])
  fields.version.oneOf(['mcbn/1'])
  return {
    label: fields.label.text(LABEL, 'a label'),
    ed25519: fields.ed25519.base64url(32),
    x25519: fields.x25519.base64url(32),
  }
}

interface Kept {
  readonly plan: CheckedPlan
  readonly messages: Buffer[]
  readonly left: readonly string[]
}

function parseKept(bytes: Uint8Array): Kept {
  const value = readJson(bytes, STATE_MAX_BYTES, FILES.ceremony, 'MCBN_STORE_INVALID')
  const fields = new Untrusted(value, FILES.ceremony, 'MCBN_STORE_INVALID').fields([
    'version',
    'plan',
    'messages',
    'left',
  ])
  const plan = parsePlan(canonicalBytes(Object(fields.plan.value) as object))
  const messages = fields.messages
    .list(1, plan.labels.length * (plan.labels.length + 4))
    .map((item) => Buffer.from(item.text(/^\{/, 'a message', MESSAGE_MAX_BYTES), 'utf8'))
  const left = fields.left.list(0, MOST_LEFT).map((item) => item.text(/^[0-9a-f]{64}$/, 'a hash'))
  return { plan, messages, left }
}

async function demandNone(folder: string): Promise<void> {
  if ((await sizeOf(join(folder, FILES.participant))) === undefined) return
  throw invalid(`${folder}: expected a new folder, found one that has a participant`)
}

async function demandPrivate(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (found === undefined || (await sizeOf(join(folder, FILES.participant))) === undefined) {
    throw invalid(`${folder}: expected a participant's folder; make one with mcbn ceremony init`)
  }
  if ((found.mode & 0o077) === 0) return
  const mode = (found.mode & 0o777).toString(8)
  throw new McbnError(
    'MCBN_STORE_INVALID',
    `${folder}: expected a folder for its owner alone (mode 700), got mode ${mode}; chmod 700 it`,
  )
}

async function read(path: string, most: number): Promise<Buffer> {
  const size = await sizeOf(path)
  if (size === undefined || size > most) {
    throw new McbnError(
      'MCBN_STORE_INVALID',
      `${path}: expected a file of at most ${most} bytes, got ${size ?? 'none'}`,
    )
  }
  return await readFile(path)
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined)
  return found?.size
}
