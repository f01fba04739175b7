// A signature under a statement, as a Sigstore bundle (DSSE): by a key in a file, or keyless, by an identity that a
// certificate authority vouches for and a public log records. Needs the package @sigstore/sign, which signers install.

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { McbnError } from '../errors.js'
import { STATEMENT_TYPE, type Statement } from './provenance.js'

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
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new McbnError('MCBN_IMAGE_SOURCE_UNAVAILABLE', `signing failed: ${reason}`, { cause })
  }
}

/**
 * Checks a bundle that a key has signed.
 *
 * @returns the statement. @throws {McbnError} `MCBN_IMAGE_INVALID` for anything else.
 */
export function openBundle(bundle: string, publicKey: Buffer | string): Statement {
  const key = keyOf(() => createPublicKey(publicKey), 'a public key, PEM')
  try {
    const { dsseEnvelope: envelope } = JSON.parse(bundle) as {
      readonly dsseEnvelope: {
        readonly payload: string
        readonly payloadType: string
        readonly signatures: readonly { readonly sig: string }[]
      }
    }
    const payload = Buffer.from(envelope.payload, 'base64')
    const signed = preAuthEncoding(envelope.payloadType, payload)
    const [signature, ...more] = envelope.signatures
    const holds =
      envelope.payloadType === STATEMENT_TYPE &&
      signature !== undefined &&
      more.length === 0 &&
      verify(hashFor(key), signed, key, Buffer.from(signature.sig, 'base64'))
    if (holds) return JSON.parse(payload.toString('utf8')) as Statement
  } catch (cause) {
    throw new McbnError('MCBN_IMAGE_INVALID', 'signature: expected a Sigstore bundle', { cause })
  }
  throw new McbnError('MCBN_IMAGE_INVALID', 'signature: it is not of this key')
}

function keySigner(pem: Buffer | string) {
  const key = keyOf(() => createPrivateKey(pem), 'a private key, PEM without passphrase')
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
  const identityProvider =
    identityToken === undefined
      ? new CIContextProvider('sigstore')
      : { getToken: async () => identityToken }
  return {
    signer: new FulcioSigner({ fulcioBaseURL: fulcioUrl, identityProvider }),
    witnesses: [new RekorWitness({ rekorBaseURL: rekorUrl })],
  }
}

/** Ed25519 hashes by itself. */
function hashFor({ asymmetricKeyType }: KeyObject): string | null {
  return asymmetricKeyType === 'ed25519' ? null : 'sha256'
}

/** https://github.com/secure-systems-lab/dsse/blob/master/protocol.md */
function preAuthEncoding(type: string, payload: Buffer): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `
  return Buffer.concat([Buffer.from(head), payload])
}

function keyOf(read: () => KeyObject, expected: string): KeyObject {
  try {
    const key = read()
    if (['ed25519', 'ec', 'rsa'].includes(key.asymmetricKeyType ?? '')) return key
  } catch {
    // The reason could quote the key.
  }
  throw new McbnError('MCBN_OPTION_RANGE', `key: expected ${expected}, of Ed25519, EC or RSA`)
}

async function loadSigstore(): Promise<Sigstore> {
  try {
    return await import('@sigstore/sign')
  } catch (cause) {
    throw new McbnError(
      'MCBN_IMAGE_SOURCE_UNAVAILABLE',
      'signing needs the package @sigstore/sign: npm install @sigstore/sign',
      { cause },
    )
  }
}
