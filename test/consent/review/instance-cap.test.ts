// Shares that are out count until the last one that left has expired, also when a later one was shorter: the
// operator can keep the later one back, and then the workload goes by the earlier.

import { describe, expect, it } from 'vitest'
import { LeaseTable, leaseOf } from '../../../src/consent/participant/leases.js'
import { History } from '../../../src/consent/store/history.js'
import type { Lease } from '../../../src/consent/store/lease.js'
import { instanceKey } from '../../../src/consent/store/lease.js'
import { factsOf, TestClock } from '../participant/fixture.js'

function leaseFor(clock: TestClock, seconds: number, project: string): Omit<Lease, 'renewals'> {
  const issuedAt = Math.floor(clock.wall() / 1000)
  const facts = factsOf('client', clock.wall(), { instance: '1', project })
  const terms = { epoch: 1, issuedAt, notAfter: issuedAt + seconds, leaseSeconds: seconds }
  return leaseOf('client', facts, { releaseId: `for ${seconds}`, ...terms })
}

function keyOf(instance: string, project = 'p'): string {
  return instanceKey('client', factsOf('client', 0, { instance, project })) ?? ''
}

function heard(...leases: readonly Omit<Lease, 'renewals'>[]): History {
  const history = new History()
  for (const [at, lease] of leases.entries()) {
    const line = { seq: at + 1, time: '', event: 'released', prev: '' }
    history.hear({ ...line, ...lease, renewals: at })
  }
  return history
}

describe('review/instance cap', () => {
  it('keeps a place for the longest share that is out', () => {
    const clock = new TestClock()
    const leases = new LeaseTable(clock)
    leases.reserve(keyOf('1'), 'client', 1)?.commit(leaseFor(clock, 3_600, 'p'))
    clock.pass(60_000)
    const renewed = leases.reserve(keyOf('1'), 'client', 1)?.commit(leaseFor(clock, 60, 'p'))
    expect(renewed).toMatchObject({ releaseId: 'for 60', renewals: 1 })
    clock.pass(120_000)
    expect(leases.reserve(keyOf('2'), 'client', 1)).toBeUndefined()
    clock.pass(3_600_000 - 180_000)
    expect(leases.reserve(keyOf('2'), 'client', 1)).toBeDefined()
  })

  it('also over a restart with a shorter lease', () => {
    const clock = new TestClock()
    const first = leaseFor(clock, 3_600, 'p')
    clock.pass(60_000)
    const history = heard(first, leaseFor(clock, 60, 'p'))
    clock.pass(120_000)
    const leases = new LeaseTable(clock, history.leases(clock.wall()))
    expect(leases.list()).toMatchObject([{ releaseId: 'for 60', expiresAt: first.expiresAt }])
    expect(leases.reserve(keyOf('2'), 'client', 1)).toBeUndefined()
  })

  it('counts machines of the same name in two projects as two, also over a restart', () => {
    const clock = new TestClock()
    const history = heard(leaseFor(clock, 600, 'one'), leaseFor(clock, 600, 'two'))
    const leases = new LeaseTable(clock, history.leases(clock.wall()))
    expect(leases.list()).toHaveLength(2)
    expect(leases.reserve(keyOf('3'), 'client', 2)).toBeUndefined()
  })
})
