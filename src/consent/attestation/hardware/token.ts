// Evidence in bytes travels as base64url (RFC 4648 section 5), in one spelling.

import { MOST_TOKEN_LENGTH } from '../jwt.js'
import { refused } from '../refuse.js'
import type { Evidence } from '../types.js'

/** @throws {McbnError} `MCBN_EVIDENCE_REFUSED`. */
export function tokenBytes({ kind, token }: Evidence, wanted: string): Buffer {
  if (kind !== wanted) throw refused('kind', `expected ${wanted}`)
  if (typeof token !== 'string' || token.length > MOST_TOKEN_LENGTH) {
    throw refused('token', `expected text of at most ${MOST_TOKEN_LENGTH} characters`)
  }
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.toString('base64url') !== token) {
    throw refused('token', 'expected base64url without padding')
  }
  return bytes
}
