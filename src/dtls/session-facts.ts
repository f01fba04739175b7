// What an open session is known by, kept small: most of it is the same for every session of a server.

import type { NativeConnectionId, NativeOpenedSession, NativeTerms } from '../native/dtls.js'
import type { DtlsCipher, DtlsConnectionId, RemoteInfo } from './types.js'

export interface SessionFacts {
  readonly terms: NativeTerms
  /** The identity's bytes as latin1: a tenth of a Buffer. */
  readonly identity: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly connectionId: NativeConnectionId | undefined
}

let last: SessionFacts | undefined

export function sessionFacts(opened: NativeOpenedSession): SessionFacts {
  const [terms, identity, remoteAddress, remotePort, connectionId] = opened
  last = {
    terms,
    // A process full of clients has one identity, or few servers: equal texts are kept once.
    identity: last?.identity === identity ? last.identity : identity,
    remoteAddress: last?.remoteAddress === remoteAddress ? last.remoteAddress : remoteAddress,
    remotePort,
    connectionId,
  }
  return last
}

export function cipherOf({ terms }: SessionFacts): DtlsCipher {
  return { name: terms.cipher, standardName: terms.standardCipher, version: terms.protocol }
}

export function connectionIdOf({ connectionId }: SessionFacts): DtlsConnectionId | undefined {
  if (!connectionId) return undefined
  const [local, remote, returnRoutability] = connectionId
  return {
    local: Buffer.from(local, 'latin1'),
    remote: Buffer.from(remote, 'latin1'),
    returnRoutability,
  }
}

export function familyOf(address: string): 'IPv4' | 'IPv6' {
  return address.includes(':') ? 'IPv6' : 'IPv4'
}

export function remoteInfo({ remoteAddress: address, remotePort: port }: SessionFacts): RemoteInfo {
  return { address, family: familyOf(address), port }
}
