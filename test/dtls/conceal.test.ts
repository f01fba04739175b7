// `unknownIdentity: 'conceal'`: who does not know a key cannot find out which identities exist, neither from
// what the server sends nor from when it sends it. The prober is no mcbn client: it sends what it likes,
// and looks at the clock when a datagram comes.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsServerOptions } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { TYPE } from '../support/dtls-wire.js'
import { slowdown } from '../support/pace.js'
import { seeded } from '../support/random.js'
import { waitFor } from '../support/wait.js'
import { serve } from './support.js'

const KNOWN = 'Client1'
const UNKNOWN = 'Client2'
type Who = typeof KNOWN | typeof UNKNOWN

const KEY = randomBytes(32)
const SOURCES: Readonly<Record<string, DtlsServerOptions['psk']>> = {
  'a table': { [KNOWN]: KEY },
  'a function': ({ identityText }) => (identityText === KNOWN ? KEY : null),
  'a function that takes its time': ({ identityText }) =>
    sleep(5).then(() => (identityText === KNOWN ? KEY : null)),
}

async function prober(port: number, who: Who): Promise<DtlsPeer> {
  const peer = await DtlsPeer.create({ port, identity: Buffer.from(who), key: randomBytes(32) })
  await peer.hello()
  return peer
}

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
    const { port } = await serve({ psk, retransmitTimeout: 100, handshakeTimeout: 400 * slowdown })
    const peers = await Promise.all([prober(port, KNOWN), prober(port, UNKNOWN)])
    await Promise.all(peers.map(send))
    await sleep(600 * slowdown)
    const [known, unknown] = peers as [DtlsPeer, DtlsPeer]
    expect(known.received.length).toBeGreaterThan(2)
    expect(seen(unknown)).toEqual(seen(known))
    expect(unknown.datagrams).toBe(known.datagrams)
  })

  it('answers alike in time', { retry: 0, timeout: 120_000 * slowdown }, async () => {
    expect(await toldApart(psk)).toBe(false)
  })
})

describe('dtls/conceal', () => {
  it('would be seen if a known identity took 3 ms longer', {
    timeout: 120_000 * slowdown,
  }, async () => {
    const psk = async ({ identityText }: { identityText: string }) => {
      if (identityText !== KNOWN) return null
      await sleep(3)
      return KEY
    }
    expect(await toldApart(psk)).toBe(true)
  })
})

const EACH = 200
const AT_A_TIME = 4
/** Standard deviations. By chance beyond it in one of 15,000 comparisons, and twice in one of 10^8. */
const LIMIT = 4

/** Whether the times of known and unknown identities differ, twice in the same direction. */
async function toldApart(psk: DtlsServerOptions['psk']): Promise<boolean> {
  const first = await deviation(psk, 1)
  if (Math.abs(first) < LIMIT) return false
  const second = await deviation(psk, 2)
  return Math.abs(second) >= LIMIT && Math.sign(first) === Math.sign(second)
}

/** How far the ranks of the known identity's times are from what chance would give. */
async function deviation(psk: DtlsServerOptions['psk'], seed: number): Promise<number> {
  const { port } = await serve({ psk })
  const random = seeded(seed)
  const order = Array.from({ length: 2 * EACH }, (_, index): Who => (index % 2 ? KNOWN : UNKNOWN))
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1))
    ;[order[last], order[other]] = [order[other] as Who, order[last] as Who]
  }
  const times: Record<Who, number[]> = { [KNOWN]: [], [UNKNOWN]: [] }
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      for (let who = order.pop(); who; who = order.pop())
        times[who].push(await answerTime(port, who))
    }),
  )
  return mannWhitney(times[KNOWN], times[UNKNOWN])
}

/** Milliseconds from the last flight until the server says that it could not read it. */
async function answerTime(port: number, who: Who): Promise<number> {
  const peer = await prober(port, who)
  const flight = Buffer.concat(peer.makeLastFlight())
  let answered = 0
  peer.socket.on('message', () => {
    answered = performance.now()
  })
  const began = performance.now()
  peer.send(flight)
  await waitFor('the alert', () => peer.plainAlerts.length > 0)
  peer.close()
  return answered - began
}

/** The normal approximation of the rank sum test: 0 where two samples are alike. */
function mannWhitney(one: readonly number[], other: readonly number[]): number {
  let wins = 0
  for (const a of one) for (const b of other) wins += a > b ? 1 : a === b ? 0.5 : 0
  const pairs = one.length * other.length
  return (wins - pairs / 2) / Math.sqrt((pairs * (one.length + other.length + 1)) / 12)
}
