import { describe, expect, it } from 'vitest'
import {
  canonicalBytes,
  NotCanonical,
  parseCanonical,
} from '../../../src/consent/base/canonical.js'

const text = (value: object) => canonicalBytes(value).toString('utf8')
const parse = (source: string) => parseCanonical(Buffer.from(source, 'utf8'))

describe('consent/canonical', () => {
  it('sorts keys by UTF-16 code units and writes no spaces (RFC 8785 section 3.2.3)', () => {
    // The RFC's own example; sorting by code points would put U+FB33 before U+1F600.
    const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33']
    const object = Object.fromEntries([...sorted].reverse().map((key) => [key, 0]))
    expect(text(object)).toBe(`{${sorted.map((key) => `${JSON.stringify(key)}:0`).join(',')}}`)
    expect(text({ b: [1, 'x', true], a: { d: 0, c: -1 } })).toBe(
      '{"a":{"c":-1,"d":0},"b":[1,"x",true]}',
    )
  })

  it('escapes text as the RFC says (section 3.2.2.2)', () => {
    expect(text({ a: '\u0000\u0008\t\n\u000b\f\r"\\/\u007f€\u2028' })).toBe(
      '{"a":"\\u0000\\b\\t\\n\\u000b\\f\\r\\"\\\\/\u007f€\u2028"}',
    )
  })

  it('leaves out what is undefined', () => {
    expect(text({ a: undefined, b: 1 })).toBe('{"b":1}')
  })

  it.each([
    ['a fraction', { a: 1.5 }],
    ['an integer beyond 2^53 - 1', { a: 2 ** 53 }],
    ['minus zero', { a: -0 }],
    ['NaN', { a: Number.NaN }],
    ['infinity', { a: Number.POSITIVE_INFINITY }],
    ['null', { a: null }],
    ['undefined in a list', { a: [undefined] }],
    ['a hole in a list', { a: new Array(1) }],
    ['a bigint', { a: 1n }],
    ['a function', { a: () => 1 }],
    ['a symbol', { a: Symbol('a') }],
    ['a lone surrogate', { a: '\ud800' }],
    ['a lone surrogate in a key', { '\udc00': 1 }],
    ['a date', { a: new Date(0) }],
    ['a map', { a: new Map() }],
    ['bytes', { a: Buffer.from('a') }],
    ['an object with toJSON', { a: { toJSON: () => 'b' } }],
  ])('refuses %s', (_, value) => {
    expect(() => canonicalBytes(value)).toThrow(NotCanonical)
  })

  it('refuses more than 32 levels, of whatever depth', () => {
    const nested = (levels: number) => {
      let value: object = {}
      for (let level = 0; level < levels; level += 1) value = { a: value }
      return value
    }
    expect(() => canonicalBytes(nested(32))).not.toThrow()
    expect(() => canonicalBytes(nested(33))).toThrow(NotCanonical)
    expect(() => parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toThrow(NotCanonical)
  })

  it('reads back what it wrote', () => {
    const value = { a: [1, { b: 'ü😀' }], c: true, d: -9007199254740991 }
    expect(parseCanonical(canonicalBytes(value))).toEqual(value)
  })

  it.each([
    ['a space', '{"a": 1}'],
    ['a line end', '{"a":1}\n'],
    ['another order', '{"b":1,"a":1}'],
    ['a key twice', '{"a":1,"a":1}'],
    ['1.0', '{"a":1.0}'],
    ['1e3', '{"a":1e3}'],
    ['an escape that is not needed', '{"a":"\\u0041"}'],
    ['an escaped slash', '{"a":"\\/"}'],
    ['a byte order mark', '\ufeff{}'],
    ['null', 'null'],
    ['text', '"a"'],
    ['nothing', ''],
    ['half a document', '{"a":'],
    ['an escaped lone surrogate', '{"a":"\\ud800"}'],
  ])('refuses bytes with %s', (_, source) => {
    expect(() => parse(source)).toThrow(NotCanonical)
  })

  it('refuses bytes that are not UTF-8', () => {
    expect(() => parseCanonical(Buffer.from('7b2261223a22ff227d', 'hex'))).toThrow(NotCanonical)
    // An overlong form of "a".
    expect(() => parseCanonical(Buffer.from('7b22c1a1223a317d', 'hex'))).toThrow(NotCanonical)
  })

  it('keeps __proto__ an ordinary key', () => {
    const value = parse('{"__proto__":{"polluted":true}}') as object
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  it('never quotes the document in its message', () => {
    expect(() => parse('{"secret": "hunter2"}')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
    )
    expect(() => canonicalBytes({ a: 'hunter2\ud800' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter2') }),
    )
  })
})
