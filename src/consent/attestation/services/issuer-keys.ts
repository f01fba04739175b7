// Attestation services that sign JWTs (RFC 7519): who may issue is the policy's word, and each issuer's keys
// are at its own address, `<issuer>/certs`, wherever the token points to.

import type { KeyObject } from 'node:crypto'
import { McbnError } from '../../../errors.js'
import { typeName } from '../../../options.js'
import { type JsonObject, own } from '../json.js'
import type { RemoteKeys } from '../jwks.js'
import type { JwtAlgorithm } from '../jwt.js'
import { type KeySetOptions, keyIdOf, remoteKeys } from '../key-set-options.js'
import { refused } from '../refuse.js'

const ISSUER = /^https:\/\/[a-z0-9.-]{1,253}$/
const MOST_ISSUERS = 16

export interface IssuerKeys {
  accepts(issuer: string): boolean
  key(header: JsonObject, issuer: string): Promise<KeyObject>
}

/**
 * @param issuers - `https://` and a host, as tokens have it in `iss`.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
 */
export function issuerKeys(
  issuers: unknown,
  algorithm: JwtAlgorithm,
  options: KeySetOptions,
): IssuerKeys {
  if (!Array.isArray(issuers)) {
    throw new McbnError('MCBN_OPTION_TYPE', `issuers: expected an array, got ${typeName(issuers)}`)
  }
  if (issuers.length < 1 || issuers.length > MOST_ISSUERS) {
    throw new McbnError('MCBN_OPTION_RANGE', `issuers: expected 1 to ${MOST_ISSUERS}`)
  }
  const sets = new Map<string, RemoteKeys>()
  for (const [at, issuer] of issuers.entries()) {
    if (typeof issuer !== 'string' || !ISSUER.test(issuer)) {
      throw new McbnError(
        'MCBN_OPTION_RANGE',
        `issuers[${at}]: expected https:// and a host in lower case, no path and no port`,
      )
    }
    sets.set(issuer, remoteKeys(keysAddress(issuer), algorithm, options))
  }
  return {
    accepts: (issuer) => sets.has(issuer),
    async key(header, issuer) {
      const pointed = own(header, 'jku')
      if (pointed !== undefined && pointed !== keysAddress(issuer)) {
        throw refused('header jku', "expected the address of the issuer's own keys")
      }
      const id = keyIdOf(own(header, 'kid'))
      const keys = sets.get(issuer)
      if (keys === undefined) throw refused('iss', 'expected a trusted issuer')
      return await keys.key(id)
    },
  }
}

function keysAddress(issuer: string): string {
  return `${issuer}/certs`
}
