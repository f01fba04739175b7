// A test issuer: real RSA keys, real tokens, no trusted hardware. Its evidence has the kind `local`, which a
// policy accepts only if it names the issuer with its keys.

import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { CompactSign, calculateJwkThumbprint, exportJWK } from 'jose'
import { McbnError } from '../../../errors.js'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { stringOption } from '../../../options.js'
import { type Clock, systemClock } from '../../base/clock.js'
import { detachedPublicKey } from '../../base/keys.js'
import type { TokenType } from '../launcher.js'
import { certificatePem, issueCertificate } from './certificates.js'

export interface LocalIssuerOptions {
  /** Its name, a URL: what `iss` says and policies name. */
  readonly issuer: string
  /** RSA private keys of 2048 bits or more; the first one signs. @defaultValue one fresh key */
  readonly keys?: readonly KeyObject[]
  /** @defaultValue systemClock */
  readonly clock?: Clock
}

const OPTIONS = {
  issuer: undefined,
  keys: undefined,
  clock: undefined,
} as const satisfies OptionTable<LocalIssuerOptions>

/** A public key as policies and key sets have it. */
export interface LocalJwk {
  readonly kty: 'RSA'
  readonly use: 'sig'
  readonly alg: 'RS256'
  readonly kid: string
  readonly n: string
  readonly e: string
}

export interface LocalIssuer {
  readonly issuer: string
  /** The public keys, newest first (RFC 7517). */
  jwks(): { readonly keys: readonly LocalJwk[] }
  /** Signs with a fresh key from now on. The key before stays in the set, those before it leave. */
  rotate(): Promise<void>
  /**
   * Signs claims, made by `confidentialSpaceClaims` or by hand; `iss` is added unless given.
   *
   * @param tokenType - PKI tokens carry the chain of {@link rootCertificate}. @defaultValue 'OIDC'
   */
  mint(claims: Readonly<Record<string, unknown>>, tokenType?: TokenType): Promise<string>
  /** The root of PKI tokens, PEM; made when first needed. */
  rootCertificate(): Promise<string>
}

interface SigningKey {
  readonly privateKey: KeyObject
  readonly jwk: LocalJwk
}

/** Leaf, intermediate, root as `x5c` has them, and the leaf's key. */
interface Chain {
  readonly leafKey: KeyObject
  readonly x5c: readonly string[]
}

const DAY = 86_400_000
const generate = promisify(generateKeyPair)

/**
 * A local issuer.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE` for an issuer that is no URL, and keys that
 * are not RSA private keys of at least 2048 bits.
 */
export async function createLocalIssuer(options: LocalIssuerOptions): Promise<LocalIssuer> {
  refuseUnknown('createLocalIssuer', options, OPTIONS)
  const issuer = stringOption('issuer', options.issuer, 255)
  if (issuer === undefined || !URL.canParse(issuer)) {
    throw new McbnError('MCBN_OPTION_RANGE', 'issuer: expected a URL')
  }
  const clock = options.clock ?? systemClock
  const given = options.keys ?? [await freshKey()]
  if (given.length === 0) throw new McbnError('MCBN_OPTION_RANGE', 'keys: expected at least one')
  let keys: readonly SigningKey[] = await Promise.all(
    given.map((key, at) => signingKey(key, `keys[${at}]`)),
  )
  let chain: Promise<Chain> | undefined
  const chainOf = (): Promise<Chain> => {
    chain ??= makeChain(clock.wall())
    return chain
  }

  return {
    issuer,
    jwks: () => ({ keys: keys.map(({ jwk }) => jwk) }),
    async rotate() {
      const fresh = await signingKey(await freshKey(), 'keys')
      keys = [fresh, ...keys.slice(0, 1)]
    },
    async mint(claims, tokenType = 'OIDC') {
      const payload = Buffer.from(JSON.stringify({ iss: issuer, ...claims }), 'utf8')
      if (tokenType === 'PKI') {
        const { leafKey, x5c } = await chainOf()
        return await new CompactSign(payload)
          .setProtectedHeader({ alg: 'RS256', typ: 'JWT', x5c: [...x5c] })
          .sign(leafKey)
      }
      const [key] = keys
      if (key === undefined) throw new McbnError('MCBN_INTERNAL', 'local issuer without a key')
      return await new CompactSign(payload)
        .setProtectedHeader({ alg: 'RS256', kid: key.jwk.kid, typ: 'JWT' })
        .sign(key.privateKey)
    },
    async rootCertificate() {
      const { x5c } = await chainOf()
      return certificatePem(Buffer.from(`${x5c[2]}`, 'base64'))
    },
  }
}

async function freshKey(): Promise<KeyObject> {
  return (await generate('rsa', { modulusLength: 2048 })).privateKey
}

async function signingKey(privateKey: KeyObject, name: string): Promise<SigningKey> {
  const bits = privateKey.asymmetricKeyDetails?.modulusLength ?? 0
  if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== 'rsa' || bits < 2048) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `${name}: expected an RSA private key of at least 2048 bits`,
    )
  }
  const { n = '', e = '' } = await exportJWK(detachedPublicKey(privateKey))
  const kid = await calculateJwkThumbprint({ kty: 'RSA', n, e })
  return { privateKey, jwk: { kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e } }
}

/** Validities as long as the platform's: a leaf for weeks, an intermediate for years, a root for ten. */
async function makeChain(now: number): Promise<Chain> {
  const [root, intermediate, leaf] = await Promise.all([freshKey(), freshKey(), freshKey()])
  const names = { root: 'mcbn local root', intermediate: 'mcbn local intermediate' }
  const validFrom = now - DAY
  const certificates = [
    issueCertificate({
      subject: 'mcbn local leaf',
      issuer: names.intermediate,
      publicKey: createPublicKey(leaf),
      signingKey: intermediate,
      ca: false,
      validFrom,
      validUntil: now + 60 * DAY,
    }),
    issueCertificate({
      subject: names.intermediate,
      issuer: names.root,
      publicKey: createPublicKey(intermediate),
      signingKey: root,
      ca: true,
      validFrom,
      validUntil: now + 3 * 365 * DAY,
    }),
    issueCertificate({
      subject: names.root,
      issuer: names.root,
      publicKey: createPublicKey(root),
      signingKey: root,
      ca: true,
      validFrom,
      validUntil: now + 10 * 365 * DAY,
    }),
  ]
  return { leafKey: leaf, x5c: certificates.map((certificate) => certificate.toString('base64')) }
}
