// A server's `psk` option at work: hits live in the addon's table, misses may be asked of a lookup.

import { randomBytes } from 'node:crypto'
import { lookupBegins, type PskLookupMessage } from '../diagnostics.js'
import { McbnError } from '../errors.js'
import type { NativeAnswer, NativeKeyTable, NativeQuestion } from '../native/contract.js'
import { refuseUnknown } from '../option-names.js'
import { booleanOption, typeName } from '../options.js'
import { identityBytes, identityText } from '../psk/identity.js'
import { copyPskKey } from '../psk/key.js'
import {
  PSK_ENTRY_FIELDS,
  type PskEntry,
  type PskHash,
  type PskKey,
  type PskLookup,
  type PskProtocol,
  type PskSource,
} from '../psk/types.js'

/**
 * Nobody has that identity. `standIn` goes the way of a key as far as the addon: else an answer
 * without a key would come sooner, and a stranger could tell who is known.
 */
export interface UnknownAnswer {
  readonly unknown: true
  readonly standIn: Buffer
}

/** For what a key is. */
interface KeyUse {
  readonly hash: PskHash
  readonly imported: boolean
}

/** What a lookup came to. `key` is a copy of ours: wipe it once the addon has it. */
export type LookupAnswer<Peer> =
  | ({ readonly key: Buffer; readonly peer: Peer | undefined } & KeyUse)
  | UnknownAnswer
  | { readonly error: McbnError }

/** The peer's side of a question. */
export interface Asker {
  readonly remoteAddress: string
  readonly remotePort: number
}

/** Given for an unknown identity; the addon takes a random key in its place. */
const STAND_IN = randomBytes(32)

/** Milliseconds that a lookup counts at most after it was told to stop. */
const UNSETTLED_MS = 60_000

/** Ends a question early: the handshake is gone. The lookup's signal aborts, no answer follows. */
export type Cancel = () => void

export class ServerKeys<Peer> {
  readonly table: NativeKeyTable
  readonly #lookup: PskLookup<Peer> | undefined
  readonly #lookupTimeout: number
  readonly #identityMaxBytes: number
  readonly #imports: boolean
  /** Only of identities that have one; keyed by the identity's bytes as latin1. */
  readonly #peers = new Map<string, Peer>()

  /**
   * @param lookupTimeout - milliseconds an answer may take; 0: forever.
   * @param identityMaxBytes - what the protocols of this server can carry.
   * @param imports - whether one of them can use imported keys.
   */
  constructor(
    table: NativeKeyTable,
    source: PskSource<Peer>,
    lookupTimeout: number,
    identityMaxBytes: number,
    imports: boolean,
  ) {
    this.table = table
    this.#identityMaxBytes = identityMaxBytes
    this.#lookupTimeout = lookupTimeout
    this.#imports = imports
    if (typeof source === 'function') {
      this.#lookup = source
      return
    }
    if (source === null || typeof source !== 'object' || ArrayBuffer.isView(source)) {
      throw new McbnError(
        'MCBN_OPTION_TYPE',
        `psk: expected a record or Map of identity to key, or a lookup function, got ${typeName(source)}`,
      )
    }
    const entries = source instanceof Map ? source.entries() : Object.entries(source)
    if (!(source instanceof Map)) refuseClientShape(source)
    for (const [identity, entry] of entries) this.set(identity, entry)
  }

  /** Whether a miss is worth a question. */
  get asks(): boolean {
    return this.#lookup !== undefined
  }

  /** Files a key from now on, replacing what was there, and lifts a revocation. */
  set(identity: string | Uint8Array, value: PskKey | PskEntry<Peer>): void {
    const bytes = this.#bytesOf(identity)
    const entry = entryOf<Peer>(
      value,
      this.#imports,
      `psk[${JSON.stringify(identityText(bytes.subarray(0, 64)))}]`,
    )
    try {
      this.table.set(bytes, entry.key, entry.hash, entry.imported)
    } finally {
      entry.key.fill(0)
    }
    const name = bytes.toString('latin1')
    if (entry.peer === undefined) this.#peers.delete(name)
    else this.#peers.set(name, entry.peer)
  }

  delete(identity: string | Uint8Array): boolean {
    const bytes = this.#bytesOf(identity)
    this.#peers.delete(bytes.toString('latin1'))
    return this.table.delete(bytes)
  }

  revoke(identity: string | Uint8Array): Buffer {
    const bytes = this.#bytesOf(identity)
    this.#peers.delete(bytes.toString('latin1'))
    this.table.revoke(bytes)
    return bytes
  }

  /** The `peer` filed with an identity of the table, given as latin1 text. */
  peerOf(identity: string): Peer | undefined {
    return this.#peers.size === 0 ? undefined : this.#peers.get(identity)
  }

  /**
   * Asks the lookup. `done` is called exactly once unless the question is cancelled, at once where
   * the lookup answers at once. Whatever the lookup does, this does not throw.
   *
   * @param settled - called exactly once, when the lookup costs nothing any more: its promise has settled,
   * or it was told to stop and has not done so for {@link UNSETTLED_MS}.
   */
  ask(
    question: NativeQuestion,
    asker: Asker,
    done: (answer: LookupAnswer<Peer>) => void,
    settled: () => void = () => {},
  ): Cancel {
    const identity = question.identity ?? Buffer.alloc(0)
    // Made when the lookup wants it, or is told to stop: it costs more than an answer from memory.
    let abort: AbortController | undefined
    const aborting = (): AbortController => {
      abort ??= new AbortController()
      return abort
    }
    const tell = lookupBegins(question.protocol)
    let open = true
    let timer: NodeJS.Timeout | undefined
    let running = true
    const finished = (): void => {
      if (!running) return
      running = false
      settled()
    }
    const settle = (answer: LookupAnswer<Peer>): void => {
      if (!open) {
        if ('key' in answer) answer.key.fill(0)
        return
      }
      open = false
      clearTimeout(timer)
      tell?.(outcomeOf(answer))
      done(answer)
    }
    const fail = (cause: unknown): void => {
      finished()
      settle({ error: lookupFailed(identity, cause) })
    }
    const stop = (): void => {
      // A lookup that ignores the signal must not keep its place forever.
      if (running) setTimeout(finished, UNSETTLED_MS).unref()
      aborting().abort()
    }

    try {
      const answer = (this.#lookup as PskLookup<Peer>)({
        identity,
        identityText: identityText(identity),
        protocol: question.protocol,
        ...asker,
        ...(question.servername !== '' && { servername: question.servername }),
        get signal() {
          return aborting().signal
        },
      })
      if (!isThenable(answer)) {
        finished()
        settle(answerOf<Peer>(question.protocol, identity, answer))
        return () => {}
      }
      answer.then((value) => {
        finished()
        settle(answerOf<Peer>(question.protocol, identity, value))
      }, fail)
    } catch (error) {
      fail(error)
      return () => {}
    }
    if (open && this.#lookupTimeout > 0) {
      timer = setTimeout(() => {
        settle({ error: lookupTimedOut(identity, this.#lookupTimeout) })
        stop()
      }, this.#lookupTimeout)
    }
    return () => {
      if (!open) return
      open = false
      clearTimeout(timer)
      tell?.('abandoned')
      stop()
    }
  }

  #bytesOf(identity: string | Uint8Array): Buffer {
    return identityBytes(identity, 'identity', this.#identityMaxBytes)
  }
}

/** A client has one key with its identity, a server a table; each has the other's shape in view when it is written. */
function refuseClientShape(source: object): void {
  const { identity, key } = source as { readonly identity?: unknown; readonly key?: unknown }
  // An identity that is called `identity` has bytes, or an entry.
  if (typeof identity !== 'string' || key === undefined) return
  throw new McbnError(
    'MCBN_OPTION_TYPE',
    'psk: expected a table { [identity]: key }, a Map, or a lookup function, got { identity, key }, which is for a client',
  )
}

function outcomeOf(answer: LookupAnswer<unknown>): PskLookupMessage['outcome'] {
  if ('key' in answer) return 'found'
  if ('unknown' in answer) return 'unknown'
  return answer.error.code === 'MCBN_LOOKUP_TIMEOUT' ? 'timeout' : 'failed'
}

/** How the addon is told. */
export function unknownAnswer({ standIn }: UnknownAnswer): NativeAnswer {
  return { key: standIn, hash: 'sha256', unknown: true }
}

function answerOf<Peer>(
  protocol: PskProtocol,
  identity: Buffer,
  value: unknown,
): LookupAnswer<Peer> {
  try {
    if (value === null || value === undefined) {
      return { unknown: true, standIn: entryOf(STAND_IN, false, 'no key').key }
    }
    return entryOf<Peer>(value, protocol === 'DTLSv1.3', 'the lookup’s key')
  } catch (error) {
    return { error: lookupFailed(identity, error) }
  }
}

function entryOf<Peer>(
  value: unknown,
  imports: boolean,
  name: string,
): { key: Buffer; peer: Peer | undefined } & KeyUse {
  if (value !== null && typeof value === 'object' && !ArrayBuffer.isView(value)) {
    refuseUnknown(name, value, PSK_ENTRY_FIELDS)
    const entry = value as PskEntry<Peer>
    return {
      key: copyPskKey(entry.key, `${name}.key`),
      hash: hashOf(entry.hash, name),
      imported: importedOf(entry.imported, imports, name),
      peer: entry.peer,
    }
  }
  const key = copyPskKey(value as PskKey, name)
  return { key, hash: 'sha256', imported: false, peer: undefined }
}

/** The hash of a TLS 1.3 PSK: 'sha256' unless told otherwise (RFC 8446 section 4.2.11). */
export function hashOf(hash: unknown, name: string): PskHash {
  if (hash === undefined || hash === 'sha256') return 'sha256'
  if (hash === 'sha384') return hash
  throw new McbnError('MCBN_OPTION_RANGE', `${name}.hash: expected 'sha256' or 'sha384'`)
}

/** Whether a key was made by RFC 9258, where that can be said: with DTLS 1.3. */
export function importedOf(imported: unknown, imports: boolean, name: string): boolean {
  if (!booleanOption(`${name}.imported`, imported, false)) return false
  if (imports) return true
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    `${name}.imported: expected DTLS 1.3 (minVersion 'DTLSv1.3', or maxVersion of a server), since OpenSSL cannot use imported keys; ` +
      'leave it out if both sides take the key for an external one',
  )
}

/** Whether it is a promise, of whatever library. */
export function isThenable<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

function lookupFailed(identity: Buffer, cause: unknown): McbnError {
  const shown = JSON.stringify(identityText(identity.subarray(0, 64)))
  return new McbnError('MCBN_LOOKUP_FAILED', `the psk lookup failed for identity ${shown}`, {
    cause,
  })
}

function lookupTimedOut(identity: Buffer, milliseconds: number): McbnError {
  const shown = JSON.stringify(identityText(identity.subarray(0, 64)))
  return new McbnError(
    'MCBN_LOOKUP_TIMEOUT',
    `the psk lookup for identity ${shown} took longer than lookupTimeout (${milliseconds} ms)`,
  )
}
