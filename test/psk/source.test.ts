import { inspect } from 'node:util'
import { describe, expect, expectTypeOf, it } from 'vitest'
import type { PskEntry, PskKey, PskLookup, PskSource } from '../../src/psk/index.js'
import { resolvePskAnswer, resolvePskCredential, resolvePskSource } from '../../src/psk/source.js'

const key = () => Buffer.alloc(32, 7)

describe('source/refusals', () => {
  it.each([null, undefined, 5, 'text', Buffer.alloc(32, 7)])('refuses %o as psk', (psk) => {
    expect(() => resolvePskSource(psk as unknown as PskSource)).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_TYPE' }),
    )
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['an empty identity', { '': key() }, 'MCBN_IDENTITY_INVALID'],
    ['an identity of 257 bytes', { ['x'.repeat(257)]: key() }, 'MCBN_IDENTITY_INVALID'],
    ['a short key', { Client1: Buffer.alloc(15, 7) }, 'MCBN_KEY_INVALID'],
    ['a short key in an entry', { Client1: { key: Buffer.alloc(15, 7) } }, 'MCBN_KEY_INVALID'],
    ['a key as text', { Client1: 'ab'.repeat(32) }, 'MCBN_KEY_INVALID'],
    ['null: a table has no unknown identities', { Client1: null }, 'MCBN_KEY_INVALID'],
    ['an unknown hash', { Client1: { key: key(), hash: 'sha512' } }, 'MCBN_OPTION_RANGE'],
  ])('refuses %s, by name', (_what, table, code) => {
    const run = () => resolvePskSource(table as Record<string, PskKey>)
    expect(run).toThrow(expect.objectContaining({ code }))
    expect(run).toThrow(`psk[${JSON.stringify(Object.keys(table)[0]?.slice(0, 64))}]`)
  })

  it('refuses a credential without identity or key', () => {
    const resolve = resolvePskCredential as (credential: unknown) => unknown
    expect(() => resolve(null)).toThrow(expect.objectContaining({ code: 'MCBN_OPTION_TYPE' }))
    expect(() => resolve({ key: key() })).toThrow(
      expect.objectContaining({ code: 'MCBN_IDENTITY_INVALID' }),
    )
    expect(() => resolve({ identity: 'a' })).toThrow(
      expect.objectContaining({ code: 'MCBN_KEY_INVALID' }),
    )
  })

  it('shows no key bytes', () => {
    const secret = 'a secret that is much too long '.repeat(20)
    try {
      resolvePskSource({ Client1: Buffer.from(secret) })
      expect.unreachable()
    } catch (error) {
      expect(inspect(error, { depth: 9 })).not.toContain('secret that')
    }
  })
})

describe('source/tables', () => {
  it('resolves objects and Maps alike, with defaults', () => {
    const expected = {
      kind: 'table',
      entries: [
        { identity: Buffer.from('é'), key: key(), hash: 'sha256', peer: undefined },
        { identity: Buffer.from('b'), key: key(), hash: 'sha384', peer: 5 },
      ],
    }
    const table = { é: { key: key() }, b: { key: key(), hash: 'sha384', peer: 5 } } as const
    expect(resolvePskSource<number>(table)).toEqual(expected)
    expect(resolvePskSource<number>(new Map(Object.entries(table)))).toEqual(expected)
  })

  it('copies keys and looks at own properties only', () => {
    const given = key()
    const table = Object.assign(Object.create({ inherited: key() }), { own: given })
    const resolved = resolvePskSource(table as Record<string, PskKey>)
    given.fill(0)
    expect(resolved).toMatchObject({ entries: [{ identity: Buffer.from('own'), key: key() }] })
  })

  it('passes a lookup through', () => {
    const lookup: PskLookup = () => null
    expect(resolvePskSource(lookup)).toEqual({ kind: 'lookup', lookup })
  })

  it('resolves what a lookup gives', () => {
    expect(resolvePskAnswer(key())).toEqual({ key: key(), hash: 'sha256', peer: undefined })
    const entry: PskEntry<string> = { key: key(), peer: 'p', hash: 'sha384' }
    expect(resolvePskAnswer(entry)).toEqual({ key: key(), hash: 'sha384', peer: 'p' })
  })

  it('resolves a credential, the identity as bytes', () => {
    expect(resolvePskCredential({ identity: 'é', key: key() })).toEqual({
      identity: Buffer.from('é'),
      key: key(),
      hash: 'sha256',
    })
  })
})

describe('source/types', () => {
  it('take what API users write', () => {
    expectTypeOf<{ Client1: Buffer }>().toExtend<PskSource>()
    expectTypeOf<Map<string, Buffer>>().toExtend<PskSource>()
    expectTypeOf<() => Promise<null>>().toExtend<PskSource>()
    expectTypeOf<() => { key: Buffer; peer: number }>().toExtend<PskSource<number>>()
    expectTypeOf<() => { key: Buffer; peer: string }>().not.toExtend<PskSource<number>>()
    expectTypeOf<string>().not.toExtend<PskKey>()
  })
})
