// Open sessions on their way out of a server, and into one: sealed, a batch at a time.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { McbnError } from '../errors.js'
import { refuseUnknown } from '../option-names.js'
import { bytesOption, objectOption, typeName } from '../options.js'
import type { ServerEndpoint } from './server-endpoint.js'
import type { SocketHome } from './socket-home.js'
import type { SessionRows, StoredRows } from './store/session-rows.js'

const SEALING_KEY_BYTES = 32
/** Sessions that the I/O thread takes at a time: about two milliseconds in which it does nothing else. */
export const BATCH = 256
const TRANSFER_OPTIONS = { sealingKey: undefined } as const

/** With what sessions are sealed. */
export interface DtlsTransferOptions {
  /**
   * The key that seals and opens sessions (AES-256-GCM): 32 random bytes. Its holder can read and forge
   * everything that the sessions say: keep it as safe as the keys of all peers together. At most 2^32
   * sessions should be sealed with one.
   */
  readonly sealingKey: Uint8Array
}

/** Why a sealed session was refused. */
export type DtlsRefusal =
  | 'forged'
  | 'version'
  | 'protocol'
  | 'wrongRole'
  | 'suite'
  | 'malformed'
  | 'usedBefore'
  | 'otherIdentity'
  | 'elsewhere'
  | 'limit'
  | 'unknownIdentity'

/** @internal */
export type Refusal = DtlsRefusal | 'lookupFailed'

/** What became of the sessions that a server was given. */
export interface DtlsImport {
  readonly imported: number
  readonly refused: number
  /**
   * How many were refused for each reason: `forged` (altered, cut, or another key), `version` (an unknown format),
   * `protocol` (a version of DTLS that the server does not speak), `wrongRole`,
   * `suite` (not of `ciphers`), `malformed`, `usedBefore` (imported by this process already), `elsewhere`
   * (its connection ID or address would not lead here, or belongs to another session), `limit`
   * (`maxSessions`, `maxSessionsPerHost`), `unknownIdentity` (no key, revoked, or the lookup failed).
   */
  readonly reasons: Readonly<Partial<Record<DtlsRefusal, number>>>
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_UNKNOWN`. */
export function sealingKeyOf(call: string, options: unknown): Uint8Array {
  objectOption('options', options)
  refuseUnknown(call, options, TRANSFER_OPTIONS)
  return sealingKeyOption((options as Partial<DtlsTransferOptions>).sealingKey)
}

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`. */
export function sealingKeyOption(key: unknown): Uint8Array {
  return bytesOption('sealingKey', key, { min: SEALING_KEY_BYTES, max: SEALING_KEY_BYTES })
}

const REFUSALS: Readonly<Record<DtlsRefusal, string>> = {
  forged: 'it was altered, cut, or sealed with another key',
  version: 'it was made by another version of mcbn, which seals sessions in another format',
  protocol: 'it is of a version of DTLS that minVersion, maxVersion or ciphers rules out',
  wrongRole: 'it is the other side’s: a server’s for a client, or a client’s for a server',
  suite: 'its cipher suite is not one of `ciphers`',
  malformed: 'its content is not that of a session',
  usedBefore: 'this process has imported it already; a session has one owner',
  otherIdentity: 'it belongs to another identity than `psk` names',
  elsewhere: 'what its peer sends would not arrive here',
  limit: 'there is no room for it (maxSessions, maxSessionsPerHost)',
  unknownIdentity: 'its identity has no key here',
}

/** Takes an open session away from its socket. @throws {McbnError} `MCBN_SESSION_REFUSED`. */
export function sealedSession(home: SocketHome, session: number, sealingKey: Uint8Array): Buffer {
  if (home.stored) throw hasRow()
  home.thread.flush()
  const sealed = home.thread.native.exportSession(home.endpoint, session, sealingKey)
  if (sealed) return sealed
  throw new McbnError(
    'MCBN_SESSION_REFUSED',
    "expected a session whose records are mcbn's: OpenSSL has those of this one (its suite has no AEAD, or " +
      "records: 'openssl'); or the server has yet to acknowledge the end of its handshake, which takes a round " +
      'trip; or it has just ended',
  )
}

function hasRow(): McbnError {
  return new McbnError(
    'MCBN_SESSION_REFUSED',
    'expected a session without a sessionStore, which would go on with it after a crash: on a server use ' +
      'exportSessions, which takes it out of the store first',
  )
}

export function sessionRefused(refusal: DtlsRefusal): McbnError {
  return new McbnError('MCBN_SESSION_REFUSED', `the sealed session: ${REFUSALS[refusal]}`)
}

/** How often an export waits, at most, until listeners have been told what has come for its sessions. */
const HEARINGS = 8

/** Takes the open sessions of the endpoints away, one after the other. */
export async function* exportedSessions<Peer>(
  endpoints: readonly ServerEndpoint<Peer>[],
  sealingKey: Uint8Array,
  rows: SessionRows | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  for (const endpoint of endpoints) {
    let hearings = HEARINGS
    for (;;) {
      // Messages may be on their way to listeners, and answers on their way out: the next owner would not have them.
      await nextTurn()
      const leaving = hearings > 0 ? 'heard' : 'all'
      const batch = endpoint.exportSessions(sealingKey, BATCH, leaving)
      if (batch.length === 0) {
        if (leaving === 'all') break
        hearings -= 1
        continue
      }
      let taken = 0
      try {
        // First of all: after a crash this server must not go on with them too.
        for (const { row } of batch) if (row !== undefined) rows?.abandon(row)
        await rows?.flush()
        for (const { sealed } of batch) {
          taken += 1
          yield sealed
        }
      } finally {
        // The caller stopped early: what it was not given goes on here, with new sockets.
        if (taken < batch.length) endpoint.restore(sealingKey, batch.slice(taken))
      }
    }
  }
}

/** Opens sealed sessions and has the endpoints go on with them. */
export async function importSessions<Peer>(
  endpoints: readonly ServerEndpoint<Peer>[],
  sealed: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  sealingKey: Uint8Array,
): Promise<DtlsImport> {
  const account = new Account()
  const settle = async (batch: readonly Uint8Array[]): Promise<void> => {
    for (const verdict of await importBatch(endpoints, sealingKey, batch)) account.add(verdict)
    // The rest of the process has its turn.
    await nextTurn()
  }
  let batch: Uint8Array[] = []
  for await (const each of sealed) {
    if (!(each instanceof Uint8Array)) {
      throw new McbnError(
        'MCBN_OPTION_TYPE',
        `importSessions: expected sessions as Uint8Arrays, got ${typeName(each)}`,
      )
    }
    batch.push(each)
    if (batch.length < BATCH) continue
    await settle(batch)
    batch = []
  }
  await settle(batch)
  return account.result()
}

/** Goes on with the sessions that a store had. Rows of those that are refused for good are removed. */
export async function restoreSessions<Peer>(
  endpoints: readonly ServerEndpoint<Peer>[],
  groups: readonly StoredRows[],
  rows: SessionRows,
): Promise<DtlsImport> {
  const account = new Account()
  for (const { key, rows: stored } of groups) {
    for (let at = 0; at < stored.length; at += BATCH) {
      const batch = stored.slice(at, at + BATCH)
      const sealed = batch.map((row) => row.sealed)
      const names = batch.map(({ name }) => name)
      const verdicts = await importBatch(endpoints, key, sealed, names)
      for (const [index, verdict] of verdicts.entries()) {
        account.add(verdict)
        // A lookup that failed may find the key the next time.
        const gone = typeof verdict === 'string' && verdict !== 'lookupFailed'
        if (gone) rows.remove(names[index] as string)
      }
    }
    key.fill(0)
  }
  await Promise.all(endpoints.map((endpoint) => endpoint.arrived()))
  return account.result()
}

class Account {
  readonly #reasons: Partial<Record<DtlsRefusal, number>> = {}
  #imported = 0
  #refused = 0

  add(verdict: number | Refusal): void {
    if (typeof verdict === 'number') {
      this.#imported += 1
      return
    }
    const reason = verdict === 'lookupFailed' ? 'unknownIdentity' : verdict
    this.#refused += 1
    this.#reasons[reason] = (this.#reasons[reason] ?? 0) + 1
  }

  result(): DtlsImport {
    return { imported: this.#imported, refused: this.#refused, reasons: this.#reasons }
  }
}

/** Each goes to the endpoint that its connection ID leads to: the first that does not say `elsewhere`. */
async function importBatch<Peer>(
  endpoints: readonly ServerEndpoint<Peer>[],
  sealingKey: Uint8Array,
  batch: readonly Uint8Array[],
  names?: readonly string[],
): Promise<(number | Refusal)[]> {
  const results: (number | Refusal)[] = batch.map(() => 'elsewhere')
  for (const endpoint of endpoints) {
    const left = [...results.keys()].filter((index) => results[index] === 'elsewhere')
    if (left.length === 0) break
    const sealed = left.map((index) => batch[index] as Uint8Array)
    const theirs = names && left.map((index) => names[index] as string)
    const settled = await endpoint.importSessions(sealingKey, sealed, theirs)
    for (const [at, index] of left.entries()) results[index] = settled[at] as number | Refusal
  }
  return results
}
