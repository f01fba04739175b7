// The signer of a statement: checks a Sigstore bundle (DSSE), by a public key, or by an identity that a certificate
// authority vouched for and a public log recorded. Nothing is fetched: whom to trust comes from the caller.

import { createPublicKey, KeyObject, verify } from 'node:crypto'
import { McbnError } from '../errors.js'
import { hashFor, signingKey } from './key.js'
import { parseStatement, STATEMENT_TYPE, type Statement, type StatementKind } from './statement.js'

export interface SignerIdentity {
  /** The certificate's subject alternative name, the whole of it: an address, or the URI of a workflow. */
  readonly identity: string
  /** The OpenID Connect issuer that vouched for it, e.g. `https://accounts.google.com`. */
  readonly issuer: string
  /** Sigstore's trusted_root.json: the certificate authorities and logs that count, as JSON. */
  readonly trustedRoot: string
}

interface Envelope {
  readonly payload: string
  readonly payloadType: string
  readonly signatures: readonly { readonly sig: string }[]
}

/**
 * Checks a bundle that a key has signed.
 *
 * @param publicKey - PEM: Ed25519, EC or RSA.
 * @returns the statement.
 * @throws {McbnError} `MCBN_IMAGE_INVALID` when the signature does not hold, or is under something else;
 * `MCBN_OPTION_RANGE` for what is no public key.
 */
export function openBundle<Kind extends StatementKind = 'provenance'>(
  bundle: string,
  publicKey: Buffer | string | KeyObject,
  kind = 'provenance' as Kind,
): Statement<Kind> {
  const key = signingKey(
    () => (publicKey instanceof KeyObject ? publicKey : createPublicKey(publicKey)),
    'a public key, PEM',
  )
  const { payload, signed, signature } = envelopeOf(bundle)
  if (verify(hashFor(key), signed, key, signature)) return parseStatement(payload, kind)
  throw invalid('it is not of this key')
}

/**
 * Checks a keyless bundle: the certificate's chain, its time by the log, the log's promise, the signature, and
 * that identity and issuer are exactly these.
 *
 * @returns the statement.
 * @throws {McbnError} `MCBN_IMAGE_INVALID` when any of it does not hold; `MCBN_IMAGE_SOURCE_UNAVAILABLE` where
 * `@sigstore/verify` is not installed; `MCBN_OPTION_RANGE` for what is no trusted root.
 */
export async function openKeylessBundle<Kind extends StatementKind = 'provenance'>(
  bundle: string,
  by: SignerIdentity,
  kind = 'provenance' as Kind,
): Promise<Statement<Kind>> {
  const { verification, bundles, specs } = await loadSigstore()
  const trust = verification.toTrustMaterial(
    trustedRootOf(() => specs.TrustedRoot.fromJSON(JSON.parse(by.trustedRoot))),
  )
  const { payload } = envelopeOf(bundle)
  const signer = attempt(() => {
    const entity = verification.toSignedEntity(bundles.bundleFromJSON(JSON.parse(bundle)))
    return new verification.Verifier(trust).verify(entity)
  })
  // Compared here: the library takes an identity for a regular expression, of which a part may match.
  const { subjectAlternativeName: identity, extensions } = signer.identity ?? {}
  if (identity === undefined) throw invalid('it is of a key, not of an identity')
  if (identity !== by.identity || extensions?.issuer !== by.issuer) {
    throw invalid(
      `expected ${by.identity}, vouched for by ${by.issuer}; it is of ${identity}, vouched for by ${extensions?.issuer}`,
    )
  }
  return parseStatement(payload, kind)
}

function envelopeOf(bundle: string) {
  try {
    const { dsseEnvelope } = JSON.parse(bundle) as { readonly dsseEnvelope: Envelope }
    const { payload: encoded, payloadType, signatures } = dsseEnvelope
    const [signature, ...more] = signatures
    const payload = Buffer.from(encoded, 'base64')
    if (payloadType === STATEMENT_TYPE && signature !== undefined && more.length === 0) {
      return {
        payload: payload.toString('utf8'),
        signed: preAuthEncoding(payloadType, payload),
        signature: Buffer.from(signature.sig, 'base64'),
      }
    }
  } catch {
    // Not even the shape of one.
  }
  throw invalid('expected a Sigstore bundle with one signature under an in-toto statement')
}

/** https://github.com/secure-systems-lab/dsse/blob/master/protocol.md */
function preAuthEncoding(type: string, payload: Buffer): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `
  return Buffer.concat([Buffer.from(head), payload])
}

function attempt<T>(check: () => T): T {
  try {
    return check()
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function trustedRootOf<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new McbnError('MCBN_OPTION_RANGE', "trusted root: expected Sigstore's JSON", { cause })
  }
}

function invalid(what: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_IMAGE_INVALID', `signature: ${what}`, { cause })
}

async function loadSigstore() {
  try {
    const [verification, bundles, specs] = await Promise.all([
      load<typeof import('@sigstore/verify')>('@sigstore/verify'),
      load<typeof import('@sigstore/bundle')>('@sigstore/bundle'),
      load<typeof import('@sigstore/protobuf-specs')>('@sigstore/protobuf-specs'),
    ])
    return { verification, bundles, specs }
  } catch (cause) {
    throw new McbnError(
      'MCBN_IMAGE_SOURCE_UNAVAILABLE',
      'checking an identity needs packages: npm install @sigstore/verify @sigstore/bundle @sigstore/protobuf-specs',
      { cause },
    )
  }
}

/** Not a literal in its import: a bundler must not insist on what most programs do without. */
async function load<Package>(name: string): Promise<Package> {
  return (await import(/* webpackIgnore: true */ /* @vite-ignore */ name)) as Package
}
