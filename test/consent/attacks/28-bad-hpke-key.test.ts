// A key to which sealing would be no sealing: of low order, the secret is zero whatever the sender does.

import { describe, expect, it } from 'vitest'
import { ask, setup } from '../participant/fixture.js'

const P = 2n ** 255n - 19n

function encoded(u: bigint): string {
  return Buffer.from(u.toString(16).padStart(64, '0'), 'hex').reverse().toString('base64url')
}

/** All u-coordinates of small order on the curve and its twist, canonical and not (RFC 7748 section 6.1). */
const LOW_ORDER = [
  0n,
  1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  P - 1n,
  P,
  P + 1n,
  2n ** 255n - 1n,
]

describe('attack 28: a low-order or wrong-length HPKE key', () => {
  it.each(LOW_ORDER.map((u) => [u.toString(16), encoded(u)]))(
    'of u = %s gets no challenge, and costs nothing',
    async (_, pk) => {
      const { participant } = setup()
      const { request } = await ask('client', { pk })
      expect(() => participant.request(request)).toThrow(
        expect.objectContaining({
          code: 'MCBN_RELEASE_INVALID',
          message: expect.stringContaining('request.pk'),
        }),
      )
      expect(participant.status().counters).toMatchObject({ malformed: 1, challenges: 0 })
    },
  )

  it.each([0, 1, 31, 33, 64])('of %d bytes neither', async (length) => {
    const { participant } = setup()
    const { request } = await ask('client', { pk: Buffer.alloc(length, 9).toString('base64url') })
    expect(() => participant.request(request)).toThrow(/request\.pk/)
  })

  it('with the top bit set neither: one key, one text', async () => {
    const { participant } = setup()
    const { request } = await ask('client')
    const bytes = Buffer.from(request.pk, 'base64url')
    bytes[31] = (bytes[31] ?? 0) | 0x80
    const pk = bytes.toString('base64url')
    expect(() => participant.request({ ...request, pk })).toThrow(/request\.pk/)
  })
})
