// Handshakes of DTLS 1.3 between mcbn and other libraries while the network loses, repeats or delays one
// datagram of them (RFC 9147 section 5.8).

import { beforeAll, describe, expect, it } from 'vitest'
import { type Direction, LossyProxy } from '../support/lossy-proxy.js'
import type { Child } from '../support/process.js'
import {
  begin,
  mcbn,
  meet,
  newerPeers,
  nssClient,
  type Program,
  roleOf,
  SUITES,
  wolfssl,
  X25519,
} from './dtls13-peers.js'
import { FROM_PEER } from './support.js'

const folder = await newerPeers()
const PATIENT = 60_000

/** Hello, HelloRetryRequest, hello, the server's flight, the client's Finished, its ACK. */
const DATAGRAMS = [0, 1, 2, 3, 4, 5]

describe.skipIf(folder === undefined)('interop/DTLS 1.3 on a lossy network', () => {
  let ours: Program
  let theirs: Program
  beforeAll(async () => {
    const own = await mcbn()
    if (own === undefined) return
    ours = own
    theirs = await wolfssl(folder ?? '')
  }, 300_000)

  describe.each(['server', 'client'] as const)('mcbn as %s, wolfSSL opposite', (role) => {
    it.each(DATAGRAMS)(
      'datagram %i of the handshake is lost',
      async (lost) => {
        let count = 0
        const relay = async (port: number): Promise<number> =>
          (await LossyProxy.start(port, { pass: () => count++ !== lost })).port
        await meet({
          ...(role === 'server'
            ? { server: ours, client: theirs }
            : { server: theirs, client: ours }),
          suite: SUITES[0],
          serverOptions: ['psk_dhe_ke', X25519],
          clientOptions: ['psk_dhe_ke', X25519, 'repeat'],
          through: relay,
        })
        expect(count).toBeGreaterThan(lost)
      },
      PATIENT,
    )

    it(
      'every datagram comes twice',
      async () => {
        await meet({
          ...(role === 'server'
            ? { server: ours, client: theirs }
            : { server: theirs, client: ours }),
          suite: SUITES[0],
          serverOptions: ['psk_dhe_ke', X25519, 'id=4'],
          clientOptions: ['psk_dhe_ke', X25519, 'id=4', 'update', 'repeat'],
          through: async (port) => (await LossyProxy.start(port, { duplicate: 1 })).port,
        })
      },
      PATIENT,
    )
  })

  // From its fourth sending on NSS sends its hello in fragments, for good: the cookie must stay stateless.
  it.each([1, 2, 3, 4])(
    'NSS as client: its first %i hellos are lost',
    async (lost) => {
      const server = begin(ours, [...roleOf('server', SUITES[0]), 'psk_dhe_ke'])
      const [, port] = await server.output(/^listening on (\d+)$/m)
      let count = 0
      const pass = (_: Buffer, direction: Direction): boolean =>
        direction === 'to client' || count++ >= lost
      const relay = await LossyProxy.start(Number(port), { pass })
      const client = nssClient(folder ?? '', relay.port, ':1301')
      await sayUntilHeard(client)
      await server.output(/^open$/m)
    },
    PATIENT,
  )

  it.each(DATAGRAMS)(
    'NSS as client: datagram %i of the handshake is lost',
    async (lost) => {
      const server = begin(ours, [...roleOf('server', SUITES[0]), 'psk_dhe_ke'])
      const [, port] = await server.output(/^listening on (\d+)$/m)
      let count = 0
      const relay = await LossyProxy.start(Number(port), { pass: () => count++ !== lost })
      const client = nssClient(folder ?? '', relay.port, ':1301')
      await sayUntilHeard(client)
      await server.output(/^open$/m)
    },
    PATIENT,
  )
})

/**
 * Gives tstclnt a line until one comes back. Its second hello, once lost, is not sent again before the
 * program has something else to do.
 */
async function sayUntilHeard(client: Child): Promise<void> {
  const again = setInterval(() => client.write(`${FROM_PEER}\n`), 200)
  try {
    await client.output(FROM_PEER)
  } finally {
    clearInterval(again)
  }
}
