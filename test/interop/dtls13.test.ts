// DTLS 1.3 with a pre-shared key beside other libraries, every suite and mode that both have.

import { beforeAll, describe, expect, it } from 'vitest'
import { meet, newerPeers, type Program, SUITES, wolfssl } from './dtls13-peers.js'

const folder = await newerPeers()

/** NamedGroup numbers (RFC 8446 section 4.2.7). */
const X25519 = 'group=29'
const P256 = 'group=23'

// What the peer can do with itself: a case that fails here is no fault of ours.
describe.skipIf(folder === undefined)('interop/DTLS 1.3: wolfSSL with itself', () => {
  let program: Program
  beforeAll(async () => {
    program = await wolfssl(folder ?? '')
  }, 60_000)

  it.each(SUITES)('%s', async (suite) => {
    const options = { serverOptions: [X25519], clientOptions: [X25519] }
    const met = await meet({ server: program, client: program, suite, ...options })
    expect(met.ids).toEqual({ server: false, client: false })
  })

  it.each([
    ['psk_ke', ['psk_ke'], ['psk_ke']],
    ['P-256', ['psk_dhe_ke', P256], ['psk_dhe_ke', P256]],
    ['a hello without a key share', ['psk_dhe_ke', X25519], ['psk_dhe_ke']],
  ])('%s', async (_what, serverOptions, clientOptions) => {
    await meet({
      ...{ server: program, client: program, suite: SUITES[0] },
      ...{ serverOptions, clientOptions },
    })
  })

  it('connection IDs of different lengths (RFC 9147 section 9)', async () => {
    const met = await meet({
      ...{ server: program, client: program, suite: SUITES[0] },
      ...{ serverOptions: [X25519, 'id=4'], clientOptions: [X25519, 'id=7'] },
    })
    expect(met.ids).toEqual({ server: true, client: true })
  })
})
