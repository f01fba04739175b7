// How long a participant's no makes a workload wait, and who may say so.

import { describe, expect, it } from 'vitest'
import type { Refused } from '../../../src/consent/release/messages.js'
import { Member, type MemberHost } from '../../../src/consent/workload/member.js'
import type { Progress } from '../../../src/consent/workload/types.js'
import { FakeClock } from './fake-clock.js'

/** One member whose participant gives one answer, again and again. */
async function waitAfter(refused: Omit<Refused, 'label'>) {
  const clock = new FakeClock()
  const over = new AbortController()
  const heard: Omit<Progress, 'epoch'>[] = []
  let declined = 0
  const host: MemberHost = {
    clock,
    retry: { initial: 500, max: 15_000, jitter: 0 },
    requestTimeout: 1_000,
    signal: over.signal,
    joining: true,
    check: () => true,
    lease: () => undefined,
    remaining: () => 0,
    ask: () => Promise.resolve({ refused: { label: 'bob', ...refused } }),
    accept: () => undefined,
    onGone: () => undefined,
    onDeclined: () => {
      declined += 1
    },
    onAttesterFailed: () => undefined,
    onProgress: (progress) => void heard.push(progress),
  }
  const member = new Member('bob', host)
  const running = member.run()
  await expect.poll(() => clock.waiting).toBe(1)
  over.abort()
  await running
  return { wait: heard.at(-1)?.retryIn, declined, gone: member.gone }
}

const signature = 'signed'

describe('consent/member', () => {
  it('waits half a minute at most because of an unsigned busy: anybody can have said it', async () => {
    const { wait } = await waitAfter({ code: 'busy', retryAfter: 86_400 })
    expect(wait).toBe(30_000)
  })

  it('waits one lease at most because of a signed answer', async () => {
    const { wait } = await waitAfter({ code: 'not-yet', retryAfter: 86_400, signature })
    expect(wait).toBe(600_000)
    expect((await waitAfter({ code: 'manual', retryAfter: 10, signature })).wait).toBe(10_000)
  })

  it("asks again slowly where a participant's policy says no: policies change", async () => {
    const { wait, declined, gone } = await waitAfter({ code: 'policy', signature })
    expect(wait).toBeGreaterThanOrEqual(60_000)
    expect(wait).toBeLessThan(120_000)
    expect({ declined, gone }).toEqual({ declined: 1, gone: undefined })
  })

  it('asks again at another moment than others whom the same policy has refused', async () => {
    const all = await Promise.all(
      Array.from({ length: 24 }, () => waitAfter({ code: 'policy', signature })),
    )
    const waits = all.map(({ wait = 0 }) => wait)
    // Of a million possible ones: two alike happen once in thousands of runs, five never.
    expect(new Set(waits).size).toBeGreaterThan(20)
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(60_000)
    expect(Math.max(...waits)).toBeLessThan(120_000)
  })
})
