// A participant that cannot get an issuer's keys just now cannot judge. That is no refusal of the workload:
// `policy` without a time would have it give this participant up for good.

import { describe, expect, it } from 'vitest'
import {
  createGcpOidcVerifier,
  GCP_CS_ISSUER,
  GCP_CS_OIDC,
} from '../../../src/consent/attestation/gcp-oidc.js'
import { createLocalIssuer } from '../../../src/consent/attestation/local/issuer.js'
import {
  ask,
  challenged,
  policyOf,
  refused,
  setup,
  tokenFor,
  workloadOf,
} from '../participant/fixture.js'

describe('review/keys that cannot be fetched', () => {
  it('is busy as long as the keys of an issuer cannot be fetched, and says no once they can', async () => {
    const down = { status: 503, body: '' }
    // Another issuer's keys: with them the token is false, and no longer only unknown.
    const other = await createLocalIssuer({ issuer: GCP_CS_ISSUER })
    const up = { status: 200, body: JSON.stringify(other.jwks()) }
    let answer = down
    const verifier = createGcpOidcVerifier({
      cooldown: 0,
      fetch: () => Promise.resolve(new Response(answer.body, { status: answer.status })),
    })
    const policy = policyOf({}, { attestation: [GCP_CS_OIDC] })
    const alice = setup({ policy, verifiers: [verifier] })
    const shown = async () => {
      const { request } = await ask('client')
      const { c } = challenged(alice.participant.request(request))
      const now = alice.clock.wall()
      const token = await tokenFor(alice.participant, request, c, now, workloadOf('client'), {
        iss: GCP_CS_ISSUER,
      })
      return refused(
        await alice.participant.evidence({ c, request, evidence: { kind: GCP_CS_OIDC, token } }),
      )
    }
    expect(await shown()).toMatchObject({ code: 'busy', retryAfter: 2 })
    expect(alice.participant.status().counters.evidenceRefused).toBe(0)
    answer = up
    const no = await shown()
    expect(no.code).toBe('policy')
    expect(no.retryAfter).toBeUndefined()
    expect(alice.participant.status().counters.evidenceRefused).toBe(1)
  })
})
