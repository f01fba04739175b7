// Consent is over; the operator keeps connections alive beyond it: an open socket, renewals kept back, a
// machine that was paused, a clock set back. test/consent/workload has more of each, and a real SIGSTOP.

import { describe, expect, it } from 'vitest'
import { waitFor } from '../../support/wait.js'
import { need } from '../network.js'
import { echoDtls, echoTls, endOf, openDtls, openTls } from '../workload/connections.js'
import { FakeClock } from '../workload/fake-clock.js'
import { frankBefore } from '../workload/proxy.js'
import { consentRig } from '../workload/rig.js'

const LEASE_MS = 600_000

async function underWay() {
  const clock = new FakeClock()
  const rig = await consentRig({ clock })
  const frank = await frankBefore(`${rig.urls['carol']}`)
  const participants = { ...rig.urls, carol: frank.url }
  // Its own clock: the one that ends first closes the other's connections without a word.
  const serverClock = new FakeClock()
  const [client, server] = await Promise.all([
    rig.join('client', { participants }),
    rig.join('server', { participants, clock: serverClock }),
  ])
  const tls = await echoTls(server)
  const dtls = await echoDtls(server)
  const stream = await openTls(client, tls.port)
  const datagrams = await openDtls(client, dtls.port)
  const ends = Promise.all([endOf(stream), endOf(datagrams)])
  return { clock, serverClock, rig, frank, client, server, stream, ends }
}

describe('attack 23: outlives its consent', () => {
  it('with a socket that is open when a participant withdraws: closed at the next renewal', async () => {
    const { clock, serverClock, rig, ends, client, server } = await underWay()
    await need(rig.participants, 'carol').withdraw()
    clock.advance(LEASE_MS * 0.61)
    const reason = { code: 'withdrawn', epoch: 1, labels: ['carol'] }
    expect(await client.ended).toEqual(reason)
    for (const error of await ends) {
      expect(error?.code).toBe('MCBN_CONSENT_ENDED')
      expect(error?.message).toBe(
        'the consent of epoch 1 was withdrawn by carol; another epoch without them is needed',
      )
    }
    serverClock.advance(LEASE_MS * 0.61)
    expect(await server.ended).toEqual(reason)
    expect(server.connections).toBe(0)
  })

  it('by keeping renewals back: they count as none', async () => {
    const { clock, frank, ends, client } = await underWay()
    frank.drop = true
    clock.advance(LEASE_MS * 0.61)
    await waitFor(
      'the others are renewed',
      () => client.leases.filter(({ renewals }) => renewals === 1).length === 2,
    )
    clock.advance(LEASE_MS * 0.4)
    expect(await client.ended).toEqual({ code: 'unrenewed', epoch: 1, labels: ['carol'] })
    for (const error of await ends) expect(error?.code).toBe('MCBN_CONSENT_ENDED')
  })

  it('by letting renewals through without their answers', async () => {
    const { clock, frank, ends, client } = await underWay()
    frank.onAnswer = (_path, answer) => ({ ...answer, signature: 'x' })
    clock.advance(LEASE_MS * 0.61)
    await waitFor('answers were altered', () => frank.seen.some(({ got }) => got.signature === 'x'))
    await waitFor(
      'the others are renewed',
      () => client.leases.filter(({ renewals }) => renewals === 1).length === 2,
    )
    clock.advance(LEASE_MS * 0.4)
    expect(await client.ended).toEqual({ code: 'unrenewed', epoch: 1, labels: ['carol'] })
    for (const error of await ends) expect(error?.code).toBe('MCBN_CONSENT_ENDED')
  })

  it('by pausing the machine beyond the lease: the first byte finds it over', async () => {
    const { clock, serverClock, stream, ends, client, server } = await underWay()
    clock.suspend(LEASE_MS + 1)
    stream.write('after the pause')
    expect((await client.ended).code).toBe('expired')
    for (const error of await ends)
      expect(error?.message).toMatch(/expired.*the machine was paused/)
    // The server hears nothing, and finds out by its own next look.
    serverClock.suspend(LEASE_MS + 1)
    serverClock.advance(1_000)
    expect((await server.ended).code).toBe('expired')
  })

  it('by setting the clock back: the monotonic one goes on', async () => {
    const { clock, ends, client } = await underWay()
    clock.setWall(-86_400_000)
    clock.stop(LEASE_MS + 1)
    clock.wake()
    expect((await client.ended).code).toBe('expired')
    for (const error of await ends) expect(error?.code).toBe('MCBN_CONSENT_ENDED')
  })
})
