// A signature under a statement, as a Sigstore bundle (DSSE): by a key in a file, or keyless, by an identity that a
// certificate authority vouches for and a public log records. Needs the package @sigstore/sign, which signers install.

import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { McbnError } from '../errors.js'
import { hashFor, signingKey } from './key.js'
import { STATEMENT_TYPE, type Statement } from './statement.js'

export type SigningIdentity =
  | {
      /** A private key, PEM: Ed25519, EC or RSA. */
      readonly key: Buffer | string
    }
  | {
      /** An OpenID Connect token, for the certificate authority. @defaultValue that of the CI that runs this */
      readonly identityToken?: string
      /** @defaultValue Sigstore's public instance */
      readonly fulcioUrl?: string
      /** @defaultValue Sigstore's public instance */
      readonly rekorUrl?: string
    }

type Sigstore = typeof import('@sigstore/sign')

/**
 * Signs a statement.
 *
 * @returns a Sigstore bundle, as JSON.
 * @throws {McbnError} `MCBN_OPTION_RANGE` for a key that cannot sign; `MCBN_IMAGE_SOURCE_UNAVAILABLE` where
 * `@sigstore/sign` is not installed, or its services do not answer.
 */
export async function signStatement(statement: Statement, by: SigningIdentity): Promise<object> {
  const sigstore = await loadSigstore()
  const { bundleToJSON } = await import('@sigstore/bundle')
  const builder = new sigstore.DSSEBundleBuilder(
    'key' in by ? { signer: keySigner(by.key), witnesses: [] } : keyless(sigstore, by),
  )
  try {
    const data = Buffer.from(JSON.stringify(statement))
    return bundleToJSON(await builder.create({ data, type: STATEMENT_TYPE })) as object
  } catch (cause) {
    if (cause instanceof McbnError) throw cause
    const tokenless = (cause as { readonly code?: unknown }).code === 'IDENTITY_TOKEN_READ_ERROR'
    const reason = tokenless
      ? "expected an identity token, found none: give --identity-token (identityToken), set SIGSTORE_ID_TOKEN, or run it in a CI's job that has one"
      : cause instanceof Error
        ? cause.message
        : String(cause)
    throw new McbnError('MCBN_IMAGE_SOURCE_UNAVAILABLE', `signing failed: ${reason}`, { cause })
  }
}

function keySigner(pem: Buffer | string) {
  const key = signingKey(() => createPrivateKey(pem), 'a private key, PEM without passphrase')
  const publicKey = createPublicKey(key)
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return {
    async sign(data: Buffer) {
      return {
        signature: sign(hashFor(key), data, key),
        key: {
          $case: 'publicKey' as const,
          publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
          hint: createHash('sha256').update(spki).digest('base64'),
        },
      }
    },
  }
}

function keyless(
  {
    CIContextProvider,
    FulcioSigner,
    RekorWitness,
    DEFAULT_FULCIO_URL,
    DEFAULT_REKOR_URL,
  }: Sigstore,
  by: Exclude<SigningIdentity, { readonly key: unknown }>,
) {
  const { identityToken, fulcioUrl = DEFAULT_FULCIO_URL, rekorUrl = DEFAULT_REKOR_URL } = by
  if (identityToken !== undefined) expectToken(identityToken)
  const identityProvider =
    identityToken === undefined
      ? new CIContextProvider('sigstore')
      : { getToken: async () => identityToken }
  return {
    signer: new FulcioSigner({ fulcioBaseURL: fulcioUrl, identityProvider }),
    witnesses: [new RekorWitness({ rekorBaseURL: rekorUrl })],
  }
}

/** Checked here, because the library quotes a token that it cannot read. */
function expectToken(token: string): void {
  try {
    const [, claims = '', ...rest] = token.split('.')
    const { sub, iss } = JSON.parse(Buffer.from(claims, 'base64url').toString('utf8'))
    if (rest.length === 1 && typeof sub === 'string' && typeof iss === 'string') return
  } catch {
    // The reason would quote it too.
  }
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    'identityToken: expected an OpenID Connect token with the claims iss and sub',
  )
}

async function loadSigstore(): Promise<Sigstore> {
  try {
    return await import('@sigstore/sign')
  } catch (cause) {
    throw new McbnError(
      'MCBN_IMAGE_SOURCE_UNAVAILABLE',
      'signing needs two packages: npm install @sigstore/sign @sigstore/bundle',
      { cause },
    )
  }
}
