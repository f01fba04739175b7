// The answer that a workload hopes for: the share sealed to its key, and all of it signed (CONSENT.md,
// Release, step 5).

import { toBase64url } from '../base/base64url.js'
import type { ParticipantKeys } from '../base/keys.js'
import type { Release, ReleaseHeader, ReleaseRequest } from '../release/messages.js'
import { sealForLease, tokenHash } from '../release/seal.js'
import { signRelease } from '../release/sign.js'
import { type LeaseRelease, proofHash } from '../store/lease.js'

export interface SealedReleaseInput {
  /** 32 bytes; borrowed. A caller that wipes it meanwhile must not send the result. */
  readonly share: Uint8Array
  readonly keys: ParticipantKeys
  readonly label: string
  /** Hash of the descriptor, 32 bytes. */
  readonly dh: Buffer
  /** The challenge, 32 bytes. */
  readonly c: Uint8Array
  readonly request: ReleaseRequest
  /** The token that was verified. */
  readonly token: string
  readonly header: ReleaseHeader
}

/** A release, and what is kept of it to know its workload again. */
export interface SealedRelease {
  readonly release: Release
  readonly hashes: Omit<LeaseRelease, 'expiresAt'>
}

/** Seals and signs. */
export function sealedRelease(input: SealedReleaseInput): SealedRelease {
  const { share, keys, label, dh, c, request, token, header } = input
  const { role, pk } = request
  const hash = tokenHash(token)
  const { enc, ciphertext, lease } = sealForLease({
    ...{ share, pk, dh, role, label, c, tokenHash: hash, header },
  })
  const hashes = {
    renewalHash: proofHash(lease.renewal),
    returnHash: proofHash(lease.giveBack),
  }
  lease.renewal.fill(0)
  lease.giveBack.fill(0)
  const release = signRelease(
    {
      label,
      dh: toBase64url(dh),
      role,
      c: toBase64url(c),
      tokenHash: toBase64url(hash),
      header,
      enc,
      ciphertext,
    },
    keys.ed25519,
  )
  return { release, hashes }
}
