import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../src/consent/base/base64url.js'
import { ChallengeTable } from '../../../src/consent/participant/challenges.js'
import { TestClock } from './fixture.js'

function table(capacity: number, seconds = 60) {
  const clock = new TestClock()
  return { clock, challenges: new ChallengeTable<string>({ clock, capacity, seconds }) }
}

function opened(challenges: ChallengeTable<string>, request: string, source = 'a'): string {
  const challenge = challenges.open(request, source)
  if (challenge === undefined) throw new Error(`${request} of ${source} got no challenge`)
  return toBase64url(challenge.c)
}

describe('participant/challenges', () => {
  it('gives 32 fresh bytes and takes them once', () => {
    const { challenges } = table(8)
    const c = opened(challenges, 'one')
    expect(c).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(opened(challenges, 'two')).not.toBe(c)
    expect(challenges.take(c)?.request).toBe('one')
    expect(challenges.take(c)).toBeUndefined()
    expect(challenges.size).toBe(1)
  })

  it('expires them by the clock that nobody can set', () => {
    const { clock, challenges } = table(8, 60)
    const c = opened(challenges, 'one')
    clock.now -= 3_600_000
    clock.pass(59_999)
    expect(challenges.has(c)).toBe(true)
    clock.pass(1)
    expect(challenges.has(c)).toBe(false)
    expect(challenges.take(c)).toBeUndefined()
    expect(challenges.size).toBe(0)
  })

  it('says when, and never later than it holds', () => {
    const { clock, challenges } = table(8, 60)
    clock.now += 999
    const challenge = challenges.open('one', 'a')
    expect(challenge?.expires).toBe(Math.floor((clock.now + 60_000) / 1000))
  })

  it('lets one source fill it when nobody else asks, and is busy for that one then', () => {
    const { challenges } = table(8)
    for (let at = 0; at < 8; at += 1) opened(challenges, `${at}`, 'flood')
    expect(challenges.open('more', 'flood')).toBeUndefined()
    expect(challenges.size).toBe(8)
  })

  it('gives newcomers a place out of the share of whoever floods, the oldest first', () => {
    const { challenges } = table(8)
    const flood = Array.from({ length: 8 }, (_, at) => opened(challenges, `${at}`, 'flood'))
    const honest = opened(challenges, 'honest', 'b')
    expect(challenges.size).toBe(8)
    expect(challenges.has(flood[0] ?? '')).toBe(false)
    expect(challenges.has(flood[1] ?? '')).toBe(true)
    for (let at = 0; at < 100; at += 1) challenges.open(`${at}`, 'flood')
    expect(challenges.take(honest)?.request).toBe('honest')
  })

  it('shares evenly, and lets nobody push out who holds as few', () => {
    const { challenges } = table(4)
    for (const source of ['a', 'b', 'c', 'd']) opened(challenges, source, source)
    expect(challenges.open('e', 'e')).toBeUndefined()
    const two = table(4).challenges
    for (let at = 0; at < 4; at += 1) opened(two, `${at}`, 'a')
    opened(two, 'x', 'b')
    opened(two, 'y', 'b')
    expect(two.open('z', 'b')).toBeUndefined()
  })

  it('makes room when the old ones expire', () => {
    const { clock, challenges } = table(2, 10)
    opened(challenges, '1', 'a')
    opened(challenges, '2', 'b')
    expect(challenges.open('3', 'c')).toBeUndefined()
    clock.pass(10_000)
    expect(challenges.open('3', 'c')).toBeDefined()
    expect(challenges.size).toBe(1)
  })
})
