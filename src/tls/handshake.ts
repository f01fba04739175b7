// What a TLS socket needs from the side it plays: where its session and its keys come from.

import type { McbnError } from '../errors.js'
import type { ClientKey } from '../keys/client-key.js'
import { askClientKey, clientKey } from '../keys/client-key.js'
import { LookupPlaces } from '../keys/lookup-places.js'
import {
  type Asker,
  type Cancel,
  type ServerKeys,
  type UnknownAnswer,
  unknownAnswer,
} from '../keys/server-keys.js'
import { clientContext } from '../native/context.js'
import type { NativeContext, NativeQuestion } from '../native/contract.js'
import { READY } from '../native/contract.js'
import { toError } from '../native/failure.js'
import { loadAddon } from '../native/load.js'
import type { NativeTlsSession } from '../native/tls.js'
import { needsTls13, refuseUnsendable } from '../psk/identity.js'
import type { PskClientLookup, PskClientSource, PskHash } from '../psk/types.js'
import type { ResolvedTlsOptions } from './options.js'
import { contextSettings } from './options.js'

/** A key for a held handshake: `key` is wiped once the addon has it. */
export type KeyAnswer<Peer> =
  | {
      readonly key: Buffer
      readonly hash: PskHash
      /** Clients: the identity to use. */
      readonly identity?: Buffer
      readonly peer?: Peer | undefined
    }
  | UnknownAnswer
  | { readonly error: McbnError }

/** One side of handshakes. A server has one for all its sockets, a client one for each. */
export interface HandshakeSide<Peer> {
  readonly isServer: boolean
  /**
   * Makes a session that has all it needs to start; `ready` gets it, at once where nothing has to be
   * waited for.
   */
  prepare(keylog: boolean, ready: (session: NativeTlsSession | McbnError) => void): Cancel
  answer(question: NativeQuestion, asker: Asker, done: (answer: KeyAnswer<Peer>) => void): Cancel
  /** The `peer` filed with an identity in a table. */
  peerOf(identity: Buffer): Peer | undefined
  /** Wipes a key that was not used: the socket ended before its handshake began. */
  discard?(): void
}

export class ServerSide<Peer> implements HandshakeSide<Peer> {
  readonly isServer = true
  readonly #context: NativeContext
  readonly #keys: ServerKeys<Peer>
  readonly #places: LookupPlaces

  /** @param mostLookups - at a time; asked for each, undefined: 4,096. */
  constructor(
    context: NativeContext,
    keys: ServerKeys<Peer>,
    mostLookups: () => number | undefined,
  ) {
    this.#context = context
    this.#keys = keys
    this.#places = new LookupPlaces(mostLookups)
  }

  prepare(keylog: boolean, ready: (session: NativeTlsSession) => void): Cancel {
    ready(
      new (loadAddon().TlsSession)(this.#context, { keylog, servername: '', askForHint: false }),
    )
    return () => {}
  }

  answer(question: NativeQuestion, asker: Asker, done: (answer: KeyAnswer<Peer>) => void): Cancel {
    return this.#places.take(asker.remoteAddress, (settled) =>
      this.#keys.ask(question, asker, done, settled),
    )
  }

  peerOf(identity: Buffer): Peer | undefined {
    return this.#keys.peerOf(identity.toString('latin1'))
  }
}

export class ClientSide implements HandshakeSide<undefined> {
  readonly isServer = false
  readonly #context: NativeContext
  readonly #servername: string
  readonly #lookupTimeout: number
  readonly #asksFirst: boolean
  readonly #lookup: PskClientLookup | undefined
  #key: ClientKey | undefined

  /**
   * @throws {McbnError} for a wrong `psk`; `MCBN_IDENTITY_INVALID` when its identity has a NUL byte
   * or more than 256 bytes and TLS 1.3, the only version that can carry it, is not allowed.
   */
  constructor(psk: PskClientSource, servername: string, options: ResolvedTlsOptions) {
    let settings = options
    if (typeof psk === 'function') {
      this.#lookup = psk
    } else {
      this.#key = clientKey(psk, false)
      if (needsTls13(this.#key.identity)) {
        if (options.maxVersion === 'TLSv1.2') refuseUnsendable(this.#key.identity, 'TLSv1.2')
        settings = { ...options, minVersion: 'TLSv1.3' }
      }
    }
    this.#context = clientContext(contextSettings(settings))
    this.#servername = servername
    this.#lookupTimeout = options.lookupTimeout
    // TLS 1.3 offers its key in the first message, before any hint; TLS 1.2 needs it after the hint.
    this.#asksFirst = settings.maxVersion === 'TLSv1.3'
  }

  prepare(keylog: boolean, ready: (session: NativeTlsSession | McbnError) => void): Cancel {
    const lookup = this.#lookup
    const askForHint = lookup !== undefined
    const options = { keylog, servername: this.#servername, askForHint }
    const make = (key: ClientKey | undefined): void => {
      const session = new (loadAddon().TlsSession)(this.#context, options)
      if (key) {
        const step = session.useKey(key)
        key.key.fill(0)
        if (step & READY.failed) {
          ready(toError(session.takeFailure()))
          session.destroy()
          return
        }
      }
      ready(session)
    }
    if (askForHint && this.#asksFirst) {
      return askClientKey(lookup, undefined, this.#lookupTimeout, 'TLSv1.3', (answer) =>
        'error' in answer ? ready(answer.error) : make(answer),
      )
    }
    make(this.#key)
    this.#key = undefined
    return () => {}
  }

  answer(
    question: NativeQuestion,
    _asker: Asker,
    done: (answer: KeyAnswer<undefined>) => void,
  ): Cancel {
    const lookup = this.#lookup as PskClientLookup
    return askClientKey(lookup, question.hint, this.#lookupTimeout, question.protocol, done)
  }

  peerOf(): undefined {
    return undefined
  }

  discard(): void {
    this.#key?.key.fill(0)
    this.#key = undefined
  }
}

/** Gives an answer to a held session, and wipes the key. */
export function giveAnswer<Peer>(
  session: NativeTlsSession,
  question: NativeQuestion,
  answer: KeyAnswer<Peer>,
): number {
  if ('error' in answer) return session.answer(question.number, 'failed')
  if ('unknown' in answer) return session.answer(question.number, unknownAnswer(answer))
  const { key, hash, identity } = answer
  const step = session.answer(question.number, { key, hash, ...(identity && { identity }) })
  key.fill(0)
  return step
}
