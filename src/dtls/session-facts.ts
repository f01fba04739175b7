// What an open session is known by, kept small: most of it is the same for every session of a server.

import type { NativeOpenedSession, NativeTerms } from '../native/dtls.js'

export interface SessionFacts {
  readonly terms: NativeTerms
  /** The identity's bytes as latin1: a tenth of a Buffer. */
  readonly identity: string
  readonly remoteAddress: string
  readonly remotePort: number
}

let last: SessionFacts | undefined

export function sessionFacts(opened: NativeOpenedSession): SessionFacts {
  const [terms, identity, remoteAddress, remotePort] = opened
  last = {
    terms,
    // A process full of clients has one identity, or few servers: equal texts are kept once.
    identity: last?.identity === identity ? last.identity : identity,
    remoteAddress: last?.remoteAddress === remoteAddress ? last.remoteAddress : remoteAddress,
    remotePort,
  }
  return last
}
