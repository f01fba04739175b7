// What an open session is known by, kept small: most of it is the same for every session of a server.

import type { NativeOpenedSession } from '../native/dtls.js'
import type { DtlsCipher } from './types.js'

/** What was agreed on; one object for all sessions that agreed on the same. */
interface SessionTerms {
  readonly cipher: DtlsCipher
  readonly alpn: string
  readonly servername: string
  readonly maxMessage: number
}

export interface SessionFacts {
  readonly terms: SessionTerms
  readonly identity: Buffer
  readonly remoteAddress: string
  readonly remotePort: number
}

/** Kept by what they say; strangers choose names, so no more than so many. */
const MOST_TERMS = 256
const known = new Map<string, SessionTerms>()

export function sessionFacts(details: NativeOpenedSession): SessionFacts {
  const { identity, remoteAddress, remotePort } = details
  return { terms: termsOf(details), identity, remoteAddress, remotePort }
}

function termsOf(details: NativeOpenedSession): SessionTerms {
  const { cipher, standardCipher, alpn, servername, maxMessage } = details
  const key = JSON.stringify([cipher, alpn, servername, maxMessage])
  const same = known.get(key)
  if (same) return same
  const name: DtlsCipher = { name: cipher, standardName: standardCipher, version: 'DTLSv1.2' }
  const terms = { cipher: name, alpn, servername, maxMessage }
  if (known.size < MOST_TERMS) known.set(key, terms)
  return terms
}
