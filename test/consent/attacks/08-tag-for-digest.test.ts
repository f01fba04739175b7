// Attack 8: evidence that names its image by something that can be moved, a tag, or by a digest spelled so
// that two comparisons could differ. The verifier passes on exact digests only; what is missing stays missing.

import { createLocalVerifier } from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import {
  type Claims,
  expectRefused,
  goodClaims,
  IMAGE,
  ISSUER,
  jwt,
  rsaJwk,
  rsaKey,
  verify,
} from '../../support/evidence.js'

const key = rsaKey()
const verifier = createLocalVerifier({
  issuers: [{ issuer: ISSUER, jwks: { keys: [rsaJwk(key, 'one')] } }],
})

function tokenOf(container: Claims): string {
  const claims = goodClaims()
  const submods = claims['submods'] as Record<string, Claims>
  submods['container'] = { ...submods['container'], ...container }
  return jwt({ alg: 'RS256', kid: 'one' }, claims, key)
}

const NOT_DIGESTS: readonly unknown[] = [
  'latest',
  'registry.test/team/image:latest',
  `registry.test/team/image@${IMAGE}`,
  'sha256:latest',
  '',
  IMAGE.toUpperCase(),
  IMAGE.replace('5a', '5A'),
  IMAGE.slice(0, -1),
  `${IMAGE}0`,
  `${IMAGE}\n`,
  ` ${IMAGE}`,
  IMAGE.replace('sha256', 'sha512'),
  IMAGE.slice('sha256:'.length),
  [IMAGE],
  { toString: IMAGE },
  null,
  7,
]

describe('attack 8: a tag for a digest', () => {
  for (const image_digest of NOT_DIGESTS) {
    it(`refuses the image digest ${JSON.stringify(image_digest)?.slice(0, 44)}`, async () => {
      const message = /^evidence: submods\.container\.image_digest: expected/
      await expectRefused(verifier, tokenOf({ image_digest }), message)
    })
  }

  it('never takes the digest from the reference, which is text of the operator', async () => {
    const image_reference = `registry.test/team/image@${IMAGE}`
    const absent = await verify(verifier, tokenOf({ image_digest: undefined, image_reference }))
    expect(absent.imageDigest).toBeUndefined()
    const other = `sha256:${'0'.repeat(64)}`
    const both = await verify(verifier, tokenOf({ image_digest: other, image_reference }))
    expect(both.imageDigest).toBe(other)
  })
})
