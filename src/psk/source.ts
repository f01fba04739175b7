// From what callers write to what a handshake can use: options are checked and copied here, once,
// so that everything below can rely on them.

import { McbnError } from '../errors.js'
import { HASH_BYTES } from './hkdf.js'
import { identityBytes } from './identity.js'
import { copyPskKey } from './key.js'
import type {
  PskAnswer,
  PskClientSource,
  PskCredential,
  PskEntry,
  PskHash,
  PskKey,
  PskLookup,
  PskSource,
} from './types.js'

/** A {@link PskEntry} that has been checked; the key is a copy that its holder wipes. */
export interface ResolvedEntry<Peer = undefined> {
  readonly key: Buffer
  readonly hash: PskHash
  readonly peer: Peer | undefined
}

/** One line of a server's table. */
export interface ResolvedTableEntry<Peer = undefined> extends ResolvedEntry<Peer> {
  readonly identity: Buffer
}

/** A server's `psk` option: a finished table, or a function to be asked. */
export type ResolvedSource<Peer = undefined> =
  | { readonly kind: 'table'; readonly entries: readonly ResolvedTableEntry<Peer>[] }
  | { readonly kind: 'lookup'; readonly lookup: PskLookup<Peer> }

/** A {@link PskCredential} that has been checked; identity and key are copies. */
export interface ResolvedCredential {
  readonly identity: Buffer
  readonly key: Buffer
  readonly hash: PskHash
}

/**
 * Resolves a server's `psk` option.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE` for another type; `MCBN_IDENTITY_INVALID`, `MCBN_KEY_INVALID`
 * or `MCBN_OPTION_RANGE`, naming the identity, for an entry that breaks the rules.
 */
export function resolvePskSource<Peer>(source: PskSource<Peer>): ResolvedSource<Peer> {
  if (typeof source === 'function') return { kind: 'lookup', lookup: source }
  if (typeof source !== 'object' || source === null || ArrayBuffer.isView(source)) {
    throw wrongType('an object or Map of identity -> key, or a function', source)
  }
  const table = source instanceof Map ? [...source] : Object.entries(source)
  const entries: ResolvedTableEntry<Peer>[] = []
  try {
    for (const [identity, answer] of table) {
      const name = `psk[${JSON.stringify(String(identity).slice(0, 64))}]`
      entries.push({
        identity: identityBytes(identity, name),
        ...resolvePskAnswer<Peer>(answer, name),
      })
    }
  } catch (error) {
    for (const { key } of entries) key.fill(0)
    throw error
  }
  return { kind: 'table', entries }
}

/**
 * Resolves what a lookup gave or a table holds, `null` excepted: the caller has dealt with that.
 *
 * @param name - what the entry is called in the message.
 * @throws {McbnError} `MCBN_KEY_INVALID`, `MCBN_OPTION_TYPE` or `MCBN_OPTION_RANGE`.
 */
export function resolvePskAnswer<Peer>(
  answer: Exclude<PskAnswer<Peer>, null>,
  name = 'psk',
): ResolvedEntry<Peer> {
  if (!isEntry(answer)) {
    return { key: copyPskKey(answer, `${name} key`), hash: 'sha256', peer: undefined }
  }
  const hash = resolveHash(answer.hash, name)
  return { key: copyPskKey(answer.key, `${name} key`), hash, peer: answer.peer }
}

/**
 * Resolves a credential given directly or by a client's lookup.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_IDENTITY_INVALID`, `MCBN_KEY_INVALID` or
 * `MCBN_OPTION_RANGE`.
 */
export function resolvePskCredential(credential: PskCredential): ResolvedCredential {
  if (typeof credential !== 'object' || credential === null) {
    throw wrongType('{ identity, key }', credential)
  }
  const identity = identityBytes(credential.identity, 'psk.identity')
  const hash = resolveHash(credential.hash, 'psk')
  return { identity, key: copyPskKey(credential.key, 'psk.key'), hash }
}

/** Whether a client's `psk` option is a function that chooses by the server's hint. */
export function isClientLookup(
  source: PskClientSource,
): source is Extract<PskClientSource, (hint: string | undefined) => unknown> {
  return typeof source === 'function'
}

function isEntry<Peer>(answer: PskKey | PskEntry<Peer>): answer is PskEntry<Peer> {
  return typeof answer === 'object' && answer !== null && !ArrayBuffer.isView(answer)
}

function resolveHash(hash: PskHash | undefined, name: string): PskHash {
  if (hash === undefined) return 'sha256'
  if (typeof hash === 'string' && Object.hasOwn(HASH_BYTES, hash)) return hash
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `${name} hash: expected sha256 or sha384, got ${String(hash)}`,
  )
}

function wrongType(expected: string, got: unknown): McbnError {
  const type = got === null ? 'null' : ArrayBuffer.isView(got) ? 'bytes' : typeof got
  return new McbnError('MCBN_OPTION_TYPE', `psk: expected ${expected}, got ${type}`)
}
