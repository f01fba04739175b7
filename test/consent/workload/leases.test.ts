// Time is a fake clock's; sockets, HTTP, tokens and signatures are real.

import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Network, Progress } from '../../../src/consent/workload/index.js'
import { waitFor } from '../../support/wait.js'
import { need } from '../network.js'
import { echoDtls, echoTls, endOf, openDtls, openTls, rejection, talk } from './connections.js'
import { FakeClock } from './fake-clock.js'
import { frankBefore } from './proxy.js'
import { consentRig, type Rig, type RigOptions } from './rig.js'

const LEASE = 600
const LEASE_MS = LEASE * 1_000

async function withFakeClock(options: RigOptions = {}): Promise<{ rig: Rig; clock: FakeClock }> {
  const clock = new FakeClock()
  return { clock, rig: await consentRig({ clock, leaseSeconds: LEASE, ...options }) }
}

/** A client and a server with a TLS and a DTLS connection between them. */
async function connected(rig: Rig, changed: Parameters<Rig['join']>[1] = {}) {
  const client = await rig.join('client', changed)
  const server = await rig.join('server')
  const tls = await echoTls(server)
  const dtls = await echoDtls(server)
  const stream = await openTls(client, tls.port)
  const datagrams = await openDtls(client, dtls.port)
  return { client, server, tls, dtls, stream, datagrams }
}

/** Lets both networks renew all their leases: half a lease goes by, then the network does its part. */
async function renewed(networks: readonly Network[], clock: FakeClock): Promise<void> {
  const before = networks.map(renewals)
  clock.advance(LEASE_MS * 0.61)
  await waitFor('all leases are renewed', () =>
    networks.every((network, at) => renewals(network) >= (before[at] ?? 0) + network.leases.length),
  )
}

function renewals(network: Network): number {
  return network.leases.reduce((sum, lease) => sum + lease.renewals, 0)
}

describe('consent/leases', () => {
  it('renews at half the lease, again and again, and connections live on', async () => {
    const { rig, clock } = await withFakeClock()
    const { client, server, stream } = await connected(rig)
    const events: string[] = []
    client.on('renewed', ({ label }) => events.push(label))
    for (let round = 0; round < 3; round += 1) await renewed([client, server], clock)
    expect(events.length).toBeGreaterThanOrEqual(9)
    expect(await talk(stream)).toBe('hello')
    for (const { remaining } of client.leases) expect(remaining).toBeGreaterThan(LEASE_MS * 0.8)
  })

  it('counts from the moment the request was sent, however late the answer', async () => {
    const { rig, clock } = await withFakeClock()
    const frank = await frankBefore(`${rig.urls['bob']}`)
    // Before bob has released: the date that he sets is as much later.
    frank.onRequest = (path, message) => {
      if (path === '/v1/evidence') clock.advance(20_000)
      return message
    }
    const network = await rig.join('client', {
      participants: { ...rig.urls, bob: frank.url },
      requestTimeout: 60_000,
      deadline: 120_000,
    })
    const bob = network.leases.find(({ label }) => label === 'bob')
    expect(bob?.remaining).toBeLessThanOrEqual(LEASE_MS - 20_000)
  })

  it('ends unrenewed when somebody keeps the renewals back: sockets, servers and keys are gone', async () => {
    const { rig, clock } = await withFakeClock()
    const frank = await frankBefore(`${rig.urls['bob']}`)
    const { client, stream, datagrams, tls } = await connected(rig, {
      participants: { ...rig.urls, bob: frank.url },
    })
    const ends = [endOf(stream), endOf(datagrams)]
    frank.drop = true
    clock.advance(LEASE_MS * 0.61)
    await waitFor('the others are renewed', () => renewals(client) === 2)
    expect(stream.destroyed).toBe(false)
    clock.advance(LEASE_MS * 0.4)
    expect(await client.ended).toEqual({ code: 'unrenewed', epoch: 1, labels: ['bob'] })
    for (const error of await Promise.all(ends)) {
      expect(error?.code).toBe('MCBN_CONSENT_ENDED')
      expect(error?.message).toMatch(
        /could not be renewed with bob: they refused, or somebody keeps/,
      )
    }
    expect(() => client.tls.connect({ port: tls.port })).toThrow(
      expect.objectContaining({ code: 'MCBN_CONSENT_ENDED' }),
    )
    expect(client.leases).toEqual([])
  })

  it('tries a blocked renewal several times within the lease', async () => {
    const { rig, clock } = await withFakeClock()
    const frank = await frankBefore(`${rig.urls['bob']}`)
    const steps: Progress[] = []
    const network = await rig.join('client', {
      participants: { ...rig.urls, bob: frank.url },
      onProgress: (step) => steps.push(step),
    })
    frank.drop = true
    const asked = () =>
      steps.filter((step) => step.label === 'bob' && step.state === 'asking').length
    const before = asked()
    clock.advance(LEASE_MS * 0.61)
    // What is left of the lease is 234 s; the test takes its steps as slowly as the machine needs.
    const steadily = async (goal: () => boolean): Promise<void> => {
      for (let waits = 0; waits < 50 && !goal(); waits += 1) {
        clock.advance(2_000)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    await steadily(() => asked() - before >= 3)
    expect(asked() - before).toBeGreaterThanOrEqual(3)
    frank.drop = false
    await steadily(() => renewals(network) === 3)
    await waitFor('bob is renewed', () => renewals(network) === 3)
  })

  it('ends a server too: nobody connects any more, connections break, it listens no longer', async () => {
    const { rig, clock } = await withFakeClock()
    const { server, client, stream, datagrams, tls, dtls } = await connected(rig)
    const closing = [endOf(stream), endOf(datagrams)]
    for (const participant of rig.participants.values()) await participant.withdraw()
    const reasons: string[] = []
    server.on('ended', ({ code }) => reasons.push(code))
    clock.advance(LEASE_MS * 0.61)
    await server.ended
    await client.ended
    expect(reasons).toEqual(['withdrawn'])
    await Promise.all(closing)
    await waitFor('servers are closed', () => !tls.server.listening && !dtls.server.listening)
    expect(server.connections).toBe(0)
    expect(() => server.tls.createServer({})).toThrow(
      expect.objectContaining({ code: 'MCBN_CONSENT_ENDED' }),
    )
  })

  const CLOCKS: readonly (readonly [string, (clock: FakeClock) => void])[] = [
    ['a stopped process', (clock) => clock.stop(LEASE_MS + 1)],
    ['a suspended machine', (clock) => clock.suspend(LEASE_MS + 1)],
    [
      'a wall clock set back before the machine is suspended',
      (clock) => {
        clock.setWall(-LEASE_MS / 2)
        clock.advance(1_000)
        clock.suspend(LEASE_MS + 1)
      },
    ],
    [
      'a wall clock that was set back while the process stood still',
      (clock) => {
        clock.stop(LEASE_MS + 1)
        clock.setWall(-LEASE_MS)
      },
    ],
    [
      'a wall clock that was set forward',
      (clock) => {
        clock.setWall(LEASE_MS + 1)
      },
    ],
  ]
  for (const [what, happens] of CLOCKS) {
    it(`notices ${what} at the first byte, before any timer, and lets none through`, async () => {
      const { rig, clock } = await withFakeClock()
      const client = await rig.join('client')
      const server = await rig.join('server')
      const tls = await echoTls(server)
      const stream = await openTls(client, tls.port)
      const dtls = await echoDtls(server)
      const datagrams = await openDtls(client, dtls.port)
      const received: unknown[] = []
      stream.on('data', (chunk) => received.push(chunk))
      const ends = Promise.all([endOf(stream), endOf(datagrams)])
      happens(clock)
      // Both networks have the same clock. Nobody runs its timers.
      stream.write('late')
      const [first, second] = await ends
      expect(first?.code).toBe('MCBN_CONSENT_ENDED')
      expect(second?.code).toBe('MCBN_CONSENT_ENDED')
      expect((await client.ended).code).toBe('expired')
      expect(() => client.dtls.connect({ port: dtls.port })).toThrow(/expired/)
      expect(received).toEqual([])
    })
  }

  it('hears no byte that came during a pause, though no timer has run yet', async () => {
    const { rig } = await withFakeClock()
    const clientClock = new FakeClock()
    const client = await rig.join('client', { clock: clientClock })
    const server = await rig.join('server')
    const tls = server.tls.createServer({}, (socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        clientClock.stop(LEASE_MS + 1)
        socket.write('late')
      })
    })
    tls.listen(0, '127.0.0.1')
    await new Promise((resolve) => tls.once('listening', resolve))
    const stream = await openTls(client, (tls.address() as AddressInfo).port)
    const dtls = server.dtls.createServer({}, (socket) => {
      socket.on('message', () => socket.send('late'))
    })
    dtls.listen(0, '127.0.0.1')
    await new Promise<void>((resolve) => dtls.once('listening', () => resolve()))
    const heard: unknown[] = []
    stream.on('data', (data) => heard.push(data))
    const end = endOf(stream)
    stream.write('now')
    expect((await end)?.message).toMatch(/expired/)

    const other = new FakeClock()
    const second = await rig.join('client', { clock: other })
    const datagrams = await openDtls(second, dtls.address()?.port ?? 0)
    datagrams.on('message', (message) => heard.push(message))
    const secondEnd = endOf(datagrams)
    datagrams.send('now')
    other.stop(LEASE_MS + 1)
    expect((await secondEnd)?.message).toMatch(/expired/)
    expect(heard).toEqual([])
  })

  it('accepts no handshake after a pause, and ends there and then', async () => {
    const { rig } = await withFakeClock()
    const serverClock = new FakeClock()
    const client = await rig.join('client')
    // Another machine: its clock is the one that jumps.
    const server = await rig.join('server', { clock: serverClock })
    const { port } = await echoTls(server)
    serverClock.stop(LEASE_MS + 1)
    const late = client.tls.connect({ host: '127.0.0.1', port })
    const error = await rejection(late.opened)
    expect(['MCBN_HANDSHAKE_FAILED', 'MCBN_CONNECTION_FAILED', 'MCBN_PSK_MISMATCH']).toContain(
      error.code,
    )
    expect((await server.ended).code).toBe('expired')
  })

  it('adds up a clock that is set back again and again, and a machine that is suspended each time', async () => {
    const { rig, clock } = await withFakeClock()
    const frank = await frankBefore(`${rig.urls['alice']}`)
    const network = await rig.join('client', { participants: { ...rig.urls, alice: frank.url } })
    frank.drop = true
    for (let step = 0; step < 11 && network.leases.length > 0; step += 1) {
      clock.setWall(-LEASE_MS / 10)
      clock.advance(1_000)
      clock.suspend(LEASE_MS / 10)
      clock.advance(1_000)
    }
    expect((await network.ended).labels).toContain('alice')
  })

  it('survives with t leases of n, and ends when one more is lost', async () => {
    const { rig, clock } = await withFakeClock({ t: 2 })
    const client = await rig.join('client')
    const server = await rig.join('server')
    await waitFor('all leases', () => client.leases.length === 3 && server.leases.length === 3)
    const { port } = await echoTls(server)
    const stream = await openTls(client, port)
    const withdrawn: string[] = []
    client.on('withdrawn', (label) => withdrawn.push(label))
    await need(rig.participants, 'alice').withdraw()
    clock.advance(LEASE_MS * 0.61)
    await waitFor('alice is gone', () => client.leases.length === 2 && server.leases.length === 2)
    await waitFor('the others are renewed', () => renewals(client) >= 2 && renewals(server) >= 2)
    expect(withdrawn).toEqual(['alice'])
    expect(await talk(stream)).toBe('hello')
    const end = endOf(stream)
    await need(rig.participants, 'carol').withdraw()
    clock.advance(LEASE_MS * 0.61)
    expect(await client.ended).toEqual({ code: 'withdrawn', epoch: 1, labels: ['alice', 'carol'] })
    expect((await end)?.message).toMatch(/withdrawn by alice, carol; another epoch without them/)
  })

  it("ends with the descriptor's validity, whatever the leases say", async () => {
    const clock = new FakeClock()
    const start = Math.floor(clock.wall() / 1_000)
    const rig = await consentRig({
      clock,
      leaseSeconds: LEASE,
      fields: { validity: { notBefore: start - 60, notAfter: start + 100 } },
    })
    const network = await rig.join('client')
    for (const { remaining } of network.leases) expect(remaining).toBeLessThanOrEqual(101_000)
    clock.advance(40_000)
    clock.advance(62_000)
    expect(['expired', 'unrenewed']).toContain((await network.ended).code)
  })

  it('does not hammer participants whose clocks are behind: little is left of each lease', async () => {
    const clock = new FakeClock()
    const rig = await consentRig({ clock, leaseSeconds: LEASE })
    // The workload's clock is nine minutes ahead: the dates of its leases are only a minute away.
    const ahead = new FakeClock(clock.wall() + 540_000)
    let asked = 0
    const network = await rig.join('client', {
      clock: ahead,
      onProgress: ({ state }) => {
        if (state === 'asking') asked += 1
      },
    })
    expect(network.leases.every(({ remaining }) => remaining <= 60_000)).toBe(true)
    asked = 0
    for (let step = 0; step < 20; step += 1) {
      ahead.advance(1_000)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    expect(asked).toBe(0)
    ahead.advance(20_000)
    await waitFor('each has been asked once', () => asked === 3)
  })

  it('listens no more, however it is told to', async () => {
    const { rig } = await withFakeClock()
    const network = await rig.join('server')
    const late = network.tls.createServer({})
    const starting = network.tls.createServer({})
    starting.listen(0, 'localhost')
    await network.close()
    late.listen(0, '127.0.0.1')
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect([late.listening, starting.listening]).toEqual([false, false])
  })

  it('keeps no timer and no lease after close', async () => {
    const { rig, clock } = await withFakeClock()
    const network = await rig.join('server')
    const before = clock.waiting
    const { server } = await echoTls(network)
    await network.close()
    await network.close()
    expect(await network.ended).toEqual({ code: 'closed', epoch: 1, labels: [] })
    expect(server.listening).toBe(false)
    expect(network.leases).toEqual([])
    expect(clock.waiting).toBeLessThan(before)
  })
})
