// `unknownIdentity: 'conceal'`: a peer without the key cannot find out which identities exist from what the
// server sends. That it cannot be told from the time either is measured by bench/timing/. The prober is no
// mcbn client: it sends what it likes.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsPeer } from '../support/dtls-peer.js'
import { TYPE } from '../support/dtls-wire.js'
import { slowdown } from '../support/pace.js'
import { waitFor } from '../support/wait.js'
import { KNOWN, prober, SOURCES, UNKNOWN } from './prober.js'
import { serve } from './support.js'

/** Type, epoch and length of every record that came, and the content of alerts. */
function seen(peer: DtlsPeer): string[] {
  return peer.received.map(
    ({ type, epoch, fragment }) =>
      `${type} ${epoch} ${fragment.length}${type === TYPE.alert ? ` ${fragment.toString('hex')}` : ''}`,
  )
}

describe.each(Object.entries(SOURCES))('dtls/conceal with %s', (_what, psk) => {
  it.each<[string, (peer: DtlsPeer) => Promise<void>]>([
    [
      'a last flight in one datagram',
      async (peer) => peer.send(Buffer.concat(peer.makeLastFlight())),
    ],
    [
      'a last flight in three datagrams, repeated',
      async (peer) => {
        for (const datagram of peer.makeLastFlight()) peer.send(datagram)
        await sleep(5)
        peer.send(peer.lastFlightAgain())
      },
    ],
    [
      'a ClientKeyExchange and nothing more',
      async (peer) => {
        const [exchange] = peer.makeLastFlight()
        peer.send(exchange as Buffer)
      },
    ],
    [
      'a ClientKeyExchange, and data instead of a Finished',
      async (peer) => {
        const [exchange, change] = peer.makeLastFlight()
        peer.send(Buffer.concat([exchange as Buffer, change as Buffer]))
        peer.sendSealed(TYPE.applicationData, Buffer.from('data'))
      },
    ],
    [
      'a Finished too short',
      async (peer) => {
        const [exchange, change] = peer.makeLastFlight()
        peer.send(Buffer.concat([exchange as Buffer, change as Buffer]))
        peer.sendSealed(TYPE.handshake, Buffer.of(20))
      },
    ],
  ])('answers alike, byte for byte: %s', async (_flight, send) => {
    // Repeated flights are seen as well; the end of the handshake's time is.
    const times = { retransmitTimeout: 100, handshakeTimeout: 400 * slowdown }
    const { port, failures } = await serve({ psk, ...times })
    const peers = await Promise.all([prober(port, KNOWN), prober(port, UNKNOWN)])
    await Promise.all(peers.map(send))
    await waitFor('the end of both', () => failures.length === 2)
    await sleep(50)
    const [known, unknown] = peers as [DtlsPeer, DtlsPeer]
    expect(known.received.length).toBeGreaterThan(2)
    // How often a flight is repeated before its time is up is the machine's business, not the identity's.
    expect([...new Set(seen(unknown))]).toEqual([...new Set(seen(known))])
    expect(seen(unknown).at(-1)).toEqual(seen(known).at(-1))
  })
})
