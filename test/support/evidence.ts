// Evidence for tests: real RSA keys and signatures, and an issuer that signs whatever it is told to.

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { inspect } from 'node:util'
import type { AttestedFacts, Verifier, VerifyRequest } from 'mcbn/consent'
import { confidentialSpaceClaims, McbnError } from 'mcbn/consent'
import { expect } from 'vitest'
import { detachedPublicKey } from '../../src/consent/base/keys.js'

export const ISSUER = 'https://issuer.test'
export const IMAGE = `sha256:${'5a'.repeat(32)}`
export const NOW = Date.UTC(2026, 8, 1, 12)
export const EXPECTED: VerifyRequest = {
  audience: 'mcbn://orchard/alice',
  nonce: 'n'.repeat(43),
  now: NOW,
}

export type Claims = Record<string, unknown>

/** What a good token of this test says; a fresh object each time. */
export function goodClaims(changed: Claims = {}): Claims {
  return {
    iss: ISSUER,
    ...confidentialSpaceClaims({
      audience: EXPECTED.audience,
      nonces: [EXPECTED.nonce],
      workload: { imageDigest: IMAGE, args: ['serve'], env: { MODE: 'test' } },
      now: NOW,
    }),
    ...changed,
  }
}

export function rsaKey(bits = 2048): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: bits }).privateKey
}

export function rsaJwk(key: KeyObject, kid: string): Record<string, unknown> {
  return { ...detachedPublicKey(key).export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }
}

/** A JWT of any header and payload, text or object; signed by RS256 unless another signer is given. */
export function jwt(
  header: Claims | string,
  payload: Claims | string,
  signer: KeyObject | ((input: string) => Buffer),
): string {
  const input = `${part(header)}.${part(payload)}`
  const signature =
    typeof signer === 'function' ? signer(input) : sign('sha256', Buffer.from(input), signer)
  return `${input}.${signature.toString('base64url')}`
}

function part(value: Claims | string): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return Buffer.from(text, 'utf8').toString('base64url')
}

export function verify(
  verifier: Verifier,
  token: string,
  expected: Partial<VerifyRequest> = {},
): Promise<AttestedFacts> {
  return verifier.verify({ kind: verifier.kind, token }, { ...EXPECTED, ...expected })
}

/**
 * Expects a refusal whose message matches, and that neither it nor anything it carries shows any part of the
 * token.
 */
export async function expectRefused(
  verifier: Verifier,
  token: string,
  message: RegExp,
  expected: Partial<VerifyRequest> = {},
): Promise<void> {
  const error: unknown = await verify(verifier, token, expected).then(
    () => 'accepted',
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(McbnError)
  expect(error).toMatchObject({ code: 'MCBN_EVIDENCE_REFUSED', kind: 'peer' })
  expect((error as McbnError).message).toMatch(message)
  const shown = `${inspect(error, { depth: 9, showHidden: true })} ${JSON.stringify(error)}`
  for (const piece of token.split('.')) {
    if (piece.length >= 8) expect(shown).not.toContain(piece.slice(0, 200))
  }
}
