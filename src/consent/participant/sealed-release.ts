// The answer that a workload hopes for: the share sealed to its key, and all of it signed (CONSENT.md,
// Release, step 5).

import { toBase64url } from '../base/base64url.js'
import type { ParticipantKeys } from '../base/keys.js'
import type { Release, ReleaseHeader, ReleaseRequest } from '../release/messages.js'
import { sealForLease, tokenHash } from '../release/seal.js'
import { signRelease } from '../release/sign.js'

export interface SealedReleaseInput {
  /** 32 bytes; borrowed. Whoever wipes it meanwhile must not send what comes of this. */
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

/** Seals and signs. */
export async function sealedRelease(input: SealedReleaseInput): Promise<Release> {
  const { share, keys, label, dh, c, request, token, header } = input
  const { role, pk } = request
  const { enc, ciphertext } = sealForLease({ share, pk, dh, role, label, c, token, header })
  return signRelease(
    {
      label,
      dh: toBase64url(dh),
      role,
      c: toBase64url(c),
      tokenHash: toBase64url(tokenHash(token)),
      header,
      enc,
      ciphertext,
    },
    keys.ed25519,
  )
}
