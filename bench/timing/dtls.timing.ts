// `unknownIdentity: 'conceal'` in time: a peer without the key cannot find out which identities exist from when
// the server answers. The prober is no mcbn client: it looks at the clock when a datagram comes.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsServerOptions } from '../../src/dtls/index.js'
import { KEY, KNOWN, prober, SOURCES, UNKNOWN, type Who } from '../../test/dtls/prober.js'
import { serve } from '../../test/dtls/support.js'
import { seeded } from '../../test/support/random.js'
import { waitFor } from '../../test/support/wait.js'

describe.each(Object.entries(SOURCES))('timing/dtls with %s', (_what, psk) => {
  it('answers alike in time', async () => {
    expect(await toldApart(psk)).toBe(false)
  })
})

describe('timing/dtls', () => {
  it('would be seen if a known identity took 3 ms longer', async () => {
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
