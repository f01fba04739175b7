import { describe, expect, it } from 'vitest'
import { Stopwatch } from '../../../src/consent/base/stopwatch.js'
import { backoff, RETRY_DEFAULTS, renewalDelay } from '../../../src/consent/workload/backoff.js'
import { Leases } from '../../../src/consent/workload/leases.js'
import { FakeClock } from '../workload/fake-clock.js'

describe('consent/stopwatch', () => {
  it('counts what the clock says that went further, between every two looks', () => {
    const clock = new FakeClock()
    const watch = new Stopwatch(clock)
    clock.stop(1_000)
    expect(watch.now().elapsed).toBe(1_000)
    clock.suspend(5_000)
    expect(watch.now().elapsed).toBe(6_000)
    clock.setWall(-100_000)
    expect(watch.now().elapsed).toBe(6_000)
    clock.stop(2_000)
    expect(watch.now().elapsed).toBe(8_000)
    clock.suspend(100_000)
    expect(watch.now().elapsed).toBe(108_000)
  })

  it('never goes back, neither the time that passed nor the date', () => {
    const clock = new FakeClock()
    const watch = new Stopwatch(clock)
    const start = clock.wall()
    let last = watch.now()
    const moves = [100, -50, 200, -200, 240, -1_000, 10, 3_000, -249, 249, -3_000]
    for (const by of moves) {
      clock.setWall(by)
      clock.stop(1)
      const now = watch.now()
      expect(now.elapsed).toBeGreaterThanOrEqual(last.elapsed)
      expect(now.date).toBeGreaterThanOrEqual(last.date)
      expect(now.date).toBeGreaterThanOrEqual(start + now.elapsed)
      last = now
    }
  })

  it('is not hurried by looking often', () => {
    const clock = new FakeClock()
    const watch = new Stopwatch(clock)
    // A wall clock in whole milliseconds and a finer one: rounding must not be counted at each look.
    for (let look = 0; look < 10_000; look += 1) {
      clock.stop(0.1)
      watch.now()
    }
    expect(watch.now().elapsed).toBeLessThan(1_010)
    expect(watch.now().elapsed).toBeGreaterThan(990)
  })
})

describe('consent/lease table', () => {
  it('grants nothing that is over, counts renewals, and says which have ended', () => {
    const clock = new FakeClock()
    const leases = new Leases(new Stopwatch(clock))
    const grant = { label: 'alice', sentAt: 0, lasts: 1_000, endsAt: clock.wall() + 10_000 }
    expect(leases.grant({ ...grant, lasts: 0 })).toBeUndefined()
    expect(leases.grant({ ...grant, endsAt: clock.wall() })).toBeUndefined()
    expect(leases.grant(grant)).toMatchObject({ renewals: 0 })
    clock.stop(500)
    expect(leases.grant({ ...grant, sentAt: 500 })).toMatchObject({ renewals: 1 })
    expect(leases.expire()).toEqual([])
    clock.stop(999)
    expect(leases.expire()).toEqual([])
    clock.stop(1)
    expect(leases.expire().map(({ label }) => label)).toEqual(['alice'])
    expect(leases.count).toBe(0)
  })

  it('looks at the clocks at least each second, each tenth of a lease, and when one ends', () => {
    const clock = new FakeClock()
    const leases = new Leases(new Stopwatch(clock))
    expect(leases.nextLook()).toBe(1_000)
    const endsAt = clock.wall() + 1e9
    leases.grant({ label: 'alice', sentAt: 0, lasts: 600_000, endsAt })
    expect(leases.nextLook()).toBe(1_000)
    leases.grant({ label: 'bob', sentAt: 0, lasts: 5_000, endsAt })
    expect(leases.nextLook()).toBe(500)
    clock.stop(4_800)
    expect(leases.nextLook()).toBe(200)
  })
})

describe('consent/backoff', () => {
  it('doubles up to its limit, a part of each wait left to chance', () => {
    const retry = { initial: 100, max: 1_000, jitter: 0.5 }
    for (const [failures, whole] of [
      [1, 100],
      [2, 200],
      [4, 800],
      [5, 1_000],
      [500, 1_000],
    ] as const) {
      for (let round = 0; round < 50; round += 1) {
        const wait = backoff(retry, failures)
        expect(wait).toBeGreaterThan(whole / 2)
        expect(wait).toBeLessThanOrEqual(whole)
      }
    }
    const waits = new Set(Array.from({ length: 20 }, () => backoff(RETRY_DEFAULTS, 3)))
    expect(waits.size).toBeGreaterThan(1)
  })

  it('renews between half and six tenths of a lease', () => {
    for (let round = 0; round < 50; round += 1) {
      const delay = renewalDelay(600_000, 0.5)
      expect(delay).toBeGreaterThanOrEqual(300_000)
      expect(delay).toBeLessThanOrEqual(360_000)
    }
  })
})
