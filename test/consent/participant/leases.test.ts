import { describe, expect, it } from 'vitest'
import { LeaseTable, leaseOf } from '../../../src/consent/participant/leases.js'
import type { Lease } from '../../../src/consent/store/lease.js'
import { instanceKey } from '../../../src/consent/store/lease.js'
import { seeded } from '../../support/random.js'
import { factsOf, TestClock } from './fixture.js'

const SECONDS = 600

function lease(clock: TestClock, instance: string): Omit<Lease, 'renewals'> {
  const issuedAt = Math.floor(clock.wall() / 1000)
  return leaseOf('client', factsOf('client', clock.wall(), { instance }), {
    releaseId: 'x',
    epoch: 1,
    issuedAt,
    notAfter: issuedAt + SECONDS,
    leaseSeconds: SECONDS,
  })
}

function key(instance: string): string {
  return instanceKey('client', factsOf('client', 0, { instance })) ?? ''
}

describe('participant/leases', () => {
  it('reserves before anything is sent: two at once cannot both have the last place', () => {
    const leases = new LeaseTable(new TestClock())
    expect(leases.reserve(key('1'), 'client', 1)).toBeDefined()
    expect(leases.reserve(key('2'), 'client', 1)).toBeUndefined()
  })

  it('lets no more through than the cap, of those that are kept together beside what another replica gave', () => {
    const clock = new TestClock()
    const leases = new LeaseTable(clock)
    const [first, second] = [key('1'), key('2')].map((own) => leases.reserve(own, 'client', 2))
    leases.adopt({ ...lease(clock, '3'), renewals: 0 })
    expect(leases.fits(key('1'), 'client', 2)).toBe(true)
    // Neither of the two is a lease yet.
    expect(leases.fits(key('2'), 'client', 2)).toBe(false)
    first?.abandon()
    expect(leases.fits(key('2'), 'client', 2)).toBe(true)
    expect(second?.commit(lease(clock, '2'))).toMatchObject({ renewals: 0 })
    expect(leases.fits(key('1'), 'client', 2)).toBe(false)
    expect(leases.list()).toHaveLength(2)
  })

  it('gives the place back when nothing left', () => {
    const leases = new LeaseTable(new TestClock())
    leases.reserve(key('1'), 'client', 1)?.abandon()
    expect(leases.reserve(key('2'), 'client', 1)).toBeDefined()
  })

  it('counts rounds of one instance at the same time as one', () => {
    const leases = new LeaseTable(new TestClock())
    const first = leases.reserve(key('1'), 'client', 1)
    const second = leases.reserve(key('1'), 'client', 1)
    first?.abandon()
    first?.abandon()
    expect(leases.reserve(key('2'), 'client', 1)).toBeUndefined()
    second?.abandon()
    expect(leases.reserve(key('2'), 'client', 1)).toBeDefined()
  })

  it('renews in the same place, and counts renewals', () => {
    const clock = new TestClock()
    const leases = new LeaseTable(clock)
    expect(leases.reserve(key('1'), 'client', 1)?.commit(lease(clock, '1')).renewals).toBe(0)
    clock.pass(300_000)
    const renewal = leases.reserve(key('1'), 'client', 1)
    expect(renewal?.renews?.instance).toBe('1')
    expect(renewal?.commit(lease(clock, '1'))).toMatchObject({ renewals: 1 })
    expect(leases.list()).toHaveLength(1)
    clock.pass(599_999)
    expect(leases.reserve(key('2'), 'client', 1)).toBeUndefined()
    clock.pass(1)
    expect(leases.list()).toEqual([])
    expect(leases.reserve(key('2'), 'client', 1)).toBeDefined()
  })

  it('frees each place in the moment in which its own lease is over, whatever the others are', () => {
    const clock = new TestClock()
    const leases = new LeaseTable(clock)
    const random = seeded(5)
    const places = 200
    const endOf = new Map<string, number>()
    const give = (instance: string): void => {
      const expiresAt = clock.wall() + 1 + Math.floor(random() * 100_000)
      const [renewalHash, returnHash] = [`renewal ${random()}`, `return ${random()}`]
      const releases = [{ expiresAt, renewalHash, returnHash }]
      endOf.set(instance, Math.max(expiresAt, endOf.get(instance) ?? 0))
      const given = { ...lease(clock, instance), expiresAt, releases }
      leases.reserve(key(instance), 'client', places)?.commit(given)
    }
    for (let at = 0; at < places; at += 1) give(`${at}`)
    for (let step = 0; step < 300; step += 1) {
      clock.pass(Math.floor(random() * 1_000))
      // One that is given back, one that comes again, one that is begun and left.
      const [gone, again, left] = [0, 1, 2].map(() => `${Math.floor(random() * places)}`)
      const held = leases.of(key(`${gone}`))
      if (held !== undefined) {
        leases.giveBack(held, held.releases?.map(({ returnHash }) => returnHash) ?? [])
        endOf.delete(`${gone}`)
      }
      if (step % 2 === 0) give(`${again}`)
      leases.reserve(key(`${left}`), 'client', places)?.abandon()
      const live = [...endOf].filter(([, end]) => end > clock.wall()).map(([instance]) => instance)
      const listed = leases.list().map(({ instance }) => instance)
      expect(listed.sort(), `step ${step}`).toEqual(live.sort())
      const free = places - live.length
      const reserved = Array.from({ length: free + 1 }, (_, at) =>
        leases.reserve(key(`new ${at}`), 'client', places),
      )
      expect(reserved.map((each) => each !== undefined)).toEqual([...Array(free).fill(true), false])
      for (const each of reserved) each?.abandon()
    }
  })

  it('counts each role by itself', () => {
    const leases = new LeaseTable(new TestClock())
    expect(leases.reserve(key('1'), 'client', 1)).toBeDefined()
    expect(leases.reserve('other', 'server', 1)).toBeDefined()
  })

  it.each(['wall', 'monotonic'] as const)('frees no place because the %s clock jumped', (which) => {
    const clock = new TestClock()
    const leases = new LeaseTable(clock)
    leases.reserve(key('1'), 'client', 1)?.commit(lease(clock, '1'))
    if (which === 'wall') clock.now += 86_400_000
    else clock.ticks += 86_400_000
    expect(leases.reserve(key('2'), 'client', 1)).toBeUndefined()
  })

  it('goes on counting what was out before a restart', () => {
    const clock = new TestClock()
    const before = { ...lease(clock, '1'), renewals: 3 }
    const leases = new LeaseTable(clock, [before])
    expect(leases.list()).toEqual([before])
    expect(leases.reserve(key('2'), 'client', 1)).toBeUndefined()
    expect(leases.reserve(key('1'), 'client', 1)?.renews).toEqual(before)
    clock.pass(SECONDS * 1000)
    expect(leases.list()).toEqual([])
  })

  it('tells instances of two projects and two issuers apart, and counts none without a name', () => {
    const facts = factsOf('client', 0)
    const keys = [
      facts,
      { ...facts, project: 'other' },
      { ...facts, issuer: 'https://other.test' },
      { ...facts, instance: '2' },
    ].map((changed) => instanceKey('client', changed))
    expect(new Set([...keys, instanceKey('server', facts)]).size).toBe(5)
    expect(instanceKey('client', { ...facts, instance: undefined })).toBeUndefined()
    expect(instanceKey('client', { ...facts, instance: '' })).toBeUndefined()
  })
})
