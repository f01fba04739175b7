// The participant's side of a local issuer: the code that verifies Google's tokens, with other keys.

import { McbnError } from '../../../errors.js'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { typeName } from '../../../options.js'
import { attestedFacts } from '../claims.js'
import { GCP_CS_ISSUER } from '../gcp-oidc.js'
import { own } from '../json.js'
import { type KeySet, NotAKeySet, readKeySet } from '../jwks.js'
import { checkAudienceAndNonce, verifyJwt } from '../jwt.js'
import { keyIdOf } from '../key-set-options.js'
import { refused } from '../refuse.js'
import type { Verifier } from '../types.js'

export const LOCAL = 'local'

export interface LocalVerifierOptions {
  /** The issuers trusted, at least one, each with its own key set: a key of one is no key of another. */
  readonly issuers: readonly { readonly issuer: string; readonly jwks: object }[]
}

const OPTIONS = {
  issuers: undefined,
} as const satisfies OptionTable<LocalVerifierOptions>

/**
 * A verifier of `local`. Key sets are read when the first token arrives, and then kept.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` without issuers, for one named twice, and for
 * Google's name, which no local issuer may have. A key set that cannot be read rejects `verify` with
 * `MCBN_EVIDENCE_REFUSED`; {@link checkLocalIssuers} tells it beforehand.
 */
export function createLocalVerifier(options: LocalVerifierOptions): Verifier {
  refuseUnknown('createLocalVerifier', options, OPTIONS)
  const sets = new Map<string, () => Promise<KeySet>>()
  const issuers: unknown = options.issuers
  if (!Array.isArray(issuers) || issuers.length === 0) {
    throw new McbnError('MCBN_OPTION_TYPE', 'issuers: expected an array of at least one issuer')
  }
  for (const [at, { issuer, jwks }] of options.issuers.entries()) {
    checkName(issuer, `issuers[${at}].issuer`)
    if (sets.has(issuer)) {
      throw new McbnError('MCBN_OPTION_RANGE', `issuers[${at}].issuer: expected every issuer once`)
    }
    sets.set(
      issuer,
      once(() => readKeySet(jwks)),
    )
  }
  return {
    kind: LOCAL,
    verify: (evidence, expected) =>
      verifyJwt(
        {
          kind: LOCAL,
          accepts: (issuer) => sets.has(issuer),
          async key(header, issuer) {
            const id = keyIdOf(own(header, 'kid'))
            const key = (await keysOf(sets.get(issuer))).get(id)
            if (key === undefined) throw refused('header kid', "expected one of the issuer's keys")
            return key
          },
          checkAbout: checkAudienceAndNonce,
          facts: attestedFacts,
        },
        evidence,
        expected,
      ),
  }
}

/**
 * Reads all key sets, to find a mistake before the first token does.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE`, naming the issuer.
 */
export async function checkLocalIssuers(options: LocalVerifierOptions): Promise<void> {
  refuseUnknown('checkLocalIssuers', options, OPTIONS)
  for (const [at, { jwks }] of options.issuers.entries()) {
    try {
      await readKeySet(jwks)
    } catch (error) {
      const why = error instanceof NotAKeySet ? error.message : 'expected a key set'
      throw new McbnError('MCBN_OPTION_RANGE', `issuers[${at}].jwks: ${why}`)
    }
  }
}

function checkName(issuer: unknown, name: string): void {
  if (typeof issuer !== 'string') {
    throw new McbnError('MCBN_OPTION_TYPE', `${name}: expected a string, got ${typeName(issuer)}`)
  }
  // Facts carry the issuer's name: their reader must not take a test for the platform.
  if (!URL.canParse(issuer) || issuer === GCP_CS_ISSUER) {
    throw new McbnError('MCBN_OPTION_RANGE', `${name}: expected a URL other than ${GCP_CS_ISSUER}`)
  }
}

async function keysOf(read: (() => Promise<KeySet>) | undefined): Promise<KeySet> {
  try {
    if (read !== undefined) return await read()
  } catch (error) {
    if (error instanceof NotAKeySet) throw refused('keys', `the issuer's key set: ${error.message}`)
    throw error
  }
  throw refused('iss', 'expected an issuer trusted for local')
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined
  return () => {
    made ??= make()
    return made
  }
}
