import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../src/consent/base/base64url.js'
import { Challenges } from '../../../src/consent/participant/challenges.js'
import type { ReleaseRequest } from '../../../src/consent/release/messages.js'
import { ask, TestClock } from './fixture.js'

const { request } = await ask('client')
const { request: other } = await ask('client')

function fresh(answered = 8, seconds = 60, key?: Buffer) {
  const clock = new TestClock()
  const challenges = new Challenges({ clock, answered, seconds, ...(key && { key }) })
  const issued = (about: ReleaseRequest = request) => toBase64url(challenges.issue(about).c)
  return { clock, challenges, issued }
}

function take(challenges: Challenges, c: string): Buffer | undefined {
  const opened = challenges.open(c, request)
  if (opened !== undefined) challenges.spend(c)
  return opened
}

describe('participant/challenges', () => {
  it('gives 32 fresh bytes, keeps nothing, and takes them once', () => {
    const { challenges, issued } = fresh()
    const c = issued()
    expect(c).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(issued()).not.toBe(c)
    expect(challenges.remembered).toBe(0)
    expect(toBase64url(take(challenges, c) ?? Buffer.alloc(0))).toBe(c)
    expect(take(challenges, c)).toBeUndefined()
    expect(challenges.remembered).toBe(1)
  })

  it('is good for the request that it was given for, and for no other', () => {
    const { challenges, issued } = fresh()
    const c = issued()
    for (const [name, value] of Object.entries(other)) {
      if (request[name as keyof ReleaseRequest] === value) continue
      expect(challenges.open(c, { ...request, [name]: value })).toBeUndefined()
    }
    expect(challenges.open(c, { ...request, renews: other.r })).toBeUndefined()
    expect(challenges.open(c, request)).toBeDefined()
  })

  it('is good with no bit turned, and under no other key', () => {
    const { challenges, issued } = fresh()
    const bytes = Buffer.from(issued(), 'base64url')
    for (let bit = 0; bit < 256; bit += 1) {
      const turned = Buffer.from(bytes)
      turned.writeUInt8((turned[bit >> 3] as number) ^ (1 << (bit & 7)), bit >> 3)
      expect(challenges.open(toBase64url(turned), request)).toBeUndefined()
    }
    expect(fresh().challenges.open(toBase64url(bytes), request)).toBeUndefined()
  })

  it('is good at all who have the key', () => {
    const key = Buffer.alloc(32, 7)
    const c = fresh(8, 60, key).issued()
    expect(fresh(8, 60, key).challenges.open(c, request)).toBeDefined()
  })

  it('expires by the clock that nobody can set back', () => {
    const { clock, challenges, issued } = fresh()
    const c = issued()
    clock.now -= 3_600_000
    clock.pass(59_999)
    expect(challenges.open(c, request)).toBeDefined()
    clock.pass(1)
    expect(challenges.open(c, request)).toBeUndefined()
    expect(take(challenges, c)).toBeUndefined()
  })

  it('says when, and never later than it holds', () => {
    const { clock, challenges } = fresh()
    clock.now += 999
    expect(challenges.issue(request).expires).toBe(Math.floor((clock.now + 60_000) / 1000))
  })

  it('remembers all that released, and so many that came to nothing, until they are over', () => {
    const { clock, challenges, issued } = fresh(2)
    const answered = (released: boolean) => {
      const c = issued()
      take(challenges, c)
      challenges.settle(c, released)
      return c
    }
    const real = Array.from({ length: 5 }, () => answered(true))
    const [oldest = '', ...junk] = Array.from({ length: 3 }, () => answered(false))
    expect(challenges.remembered).toBe(7)
    expect(challenges.open(oldest, request)).toBeDefined()
    for (const c of [...real, ...junk]) expect(challenges.open(c, request)).toBeUndefined()
    clock.pass(60_000)
    expect(challenges.remembered).toBe(0)
  })
})
