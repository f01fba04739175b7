// A token that Intel Trust Authority issued about a real TDX domain in December 2023, under the key that Intel
// published then. Each character of it is changed once.

import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createItaVerifier, type McbnError } from 'mcbn/consent'
import { describe, expect, it } from 'vitest'
import { type JwtKind, verifyJwt } from '../../../src/consent/attestation/jwt.js'
import { ITA_SERVICE } from '../../../src/consent/attestation/services/intel-ita.js'
import { EXPECTED, expectRefused, rsaKey } from '../../support/evidence.js'

const samples = join(import.meta.dirname, 'samples/intel')
const token = readFileSync(join(samples, 'ita-token.jwt'), 'utf8').trim()
const jwk = JSON.parse(readFileSync(join(samples, 'ita-key.json'), 'utf8'))
const key = createPublicKey({ key: jwk, format: 'jwk' })
/** When it was issued. */
const THEN = 1_701_734_950_000

/** All checks but the issuer's name, which tokens of that year had without an address, and the challenge. */
const kindOf = (by: KeyObject): JwtKind => ({
  kind: ITA_SERVICE.kind,
  algorithm: ITA_SERVICE.algorithm,
  usesHeader: 'jku',
  accepts: (issuer) => issuer === 'Intel Trust Authority',
  key: async () => by,
  checkAbout: (payload) => void ITA_SERVICE.reportData(payload),
  facts: ITA_SERVICE.facts,
})

const judged = async (text: string, now = THEN, by = key) =>
  await verifyJwt(kindOf(by), { kind: ITA_SERVICE.kind, token: text }, { ...EXPECTED, now })

const refusal = async (...args: Parameters<typeof judged>) =>
  await judged(...args).then(
    () => undefined,
    ({ code, message }: McbnError) =>
      code === 'MCBN_EVIDENCE_REFUSED' ? message : 'another error',
  )

describe("attestation/services: a real token of Intel's", () => {
  it("verifies it under Intel's key and reads the domain that it speaks of", async () => {
    const facts = await judged(token)
    expect(facts).toMatchObject({
      kind: 'intel-ita',
      issuer: 'Intel Trust Authority',
      attestedAt: THEN,
      expiresAt: THEN + 300_000,
      hardware: 'INTEL_TDX',
      debug: 'disabled-since-boot',
    })
    expect(facts.platform).toMatchObject({
      name: 'intel-ita',
      claims: {
        tdx_mrtd: expect.stringMatching(/^5f53c388/),
        attester_tcb_status: 'OutOfDate',
        attester_type: 'TDX',
        ver: '1.0.0',
      },
    })
  })

  it('refuses it with any one character changed', async () => {
    const accepted: number[] = []
    for (let at = 0; at < token.length; at++) {
      const bytes = Buffer.from(token)
      bytes[at] = (bytes[at] ?? 0) ^ 0x01
      const why = await refusal(`${bytes}`)
      if (why === undefined || why === 'another error') accepted.push(at)
    }
    expect({ changed: token.length, accepted }).toEqual({ changed: 6237, accepted: [] })
  })

  it('refuses it under another key, before and after its time', async () => {
    expect(await refusal(token, THEN, rsaKey(3072))).toMatch(/signature/)
    expect(await refusal(token, THEN - 61_000)).toMatch(/iat: issued in the future/)
    expect(await refusal(token, THEN + 360_000)).toMatch(/exp: expired/)
    expect(await refusal(token, Number.NaN)).toMatch(/iat/)
  })

  it('is refused where the policy names the address of an issuer, as it has to', async () => {
    const issuers = ['https://portal.trustauthority.intel.com']
    const fetch = async () => new Response(JSON.stringify({ keys: [jwk] }))
    await expectRefused(createItaVerifier({ issuers, fetch }), token, /iss/, { now: THEN })
  })
})
