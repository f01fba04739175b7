import { ristretto255_FROST } from '@noble/curves/ed25519.js'
import { McbnError } from '../../errors.js'
import { secretCopy } from '../../secret-bytes.js'
import { decodeElement } from '../descriptor/group.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import { decodeScalar, identifier, publicElement } from './scalar.js'

/**
 * Reconstructs s of t-of-n by Lagrange interpolation over exactly t shares, and checks that s*G is the group
 * key.
 *
 * @param shares - by label, each one checked by `checkReleasedShare`; borrowed, never modified.
 * @returns s, 32 fresh bytes outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_OPTION_RANGE` for n-of-n or another number of shares; `MCBN_SHARE_INVALID` when
 * the result is not the group's secret, which no set of checked shares can cause.
 */
export function reconstructSecret(
  verified: VerifiedDescriptor,
  shares: ReadonlyMap<string, Uint8Array>,
): Buffer {
  const { mode, t, participants, group } = verified.descriptor
  const groupKey = decodeElement(group?.[0] ?? '')
  if (mode !== 't-of-n' || groupKey === undefined) {
    throw new McbnError('MCBN_OPTION_RANGE', `descriptor: expected mode t-of-n, got ${mode}`)
  }
  if (shares.size !== t) {
    throw new McbnError('MCBN_OPTION_RANGE', `shares: expected exactly ${t}, got ${shares.size}`)
  }
  const packages = [...shares].map(([label, signingShare]) => ({
    identifier: identifier(verified.position(label)),
    signingShare,
  }))
  const combined = ristretto255_FROST.combineSecret(packages, {
    min: t,
    max: participants.length,
  })
  const secret = secretCopy(combined)
  combined.fill(0)
  const scalar = decodeScalar(secret)
  if (scalar !== undefined && scalar !== 0n && publicElement(scalar).equals(groupKey)) return secret
  secret.fill(0)
  throw new McbnError(
    'MCBN_SHARE_INVALID',
    'shares: expected the secret of the group key, got another one; check each share first',
  )
}
