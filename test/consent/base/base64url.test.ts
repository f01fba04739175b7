import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { fromBase64url, isBase64url, toBase64url } from '../../../src/consent/base/base64url.js'

describe('consent/base64url', () => {
  it('reads back what it wrote, for every remainder of 3', () => {
    for (const length of [0, 1, 2, 3, 16, 31, 32, 48, 64]) {
      const bytes = randomBytes(length)
      const text = toBase64url(bytes)
      expect(text).toMatch(/^[A-Za-z0-9_-]*$/)
      expect(fromBase64url(text, length)).toEqual(bytes)
    }
  })

  it('writes a part of a larger buffer, not all of it', () => {
    expect(toBase64url(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toBe('AgM')
  })

  it('returns bytes outside the shared pool', () => {
    expect(fromBase64url('AQI', 2)?.buffer.byteLength).toBe(2)
  })

  it('has one text for one value: unused bits are zero (RFC 4648 section 3.5)', () => {
    expect(fromBase64url('AQ', 1)).toEqual(Buffer.from([1]))
    for (const last of 'RSTUVWXYZabcdef') expect(fromBase64url(`A${last}`, 1)).toBeUndefined()
  })

  it('takes exactly the texts that Node writes for the bytes it reads in them, whatever the last character', () => {
    for (const length of [1, 2, 3, 16, 31, 32, 64]) {
      const begin = 'Az0_-9'.repeat(16).slice(0, Math.ceil((length * 4) / 3) - 1)
      for (let code = 0; code < 256; code += 1) {
        const text = `${begin}${String.fromCharCode(code)}`
        const bytes = Buffer.from(text, 'base64url')
        const isOne = bytes.length === length && bytes.toString('base64url') === text
        expect(isBase64url(text, length), `${length} bytes, ${code}`).toBe(isOne)
      }
    }
  })

  it.each([
    ['padding', 'AQI=', 2],
    ['the other alphabet', '+/8', 2],
    ['white space', 'AQ ', 2],
    ['a line end', 'AQI\n', 2],
    ['one byte less', 'AQ', 2],
    ['one byte more', 'AQID', 2],
    ['nothing', '', 2],
    ['a length of 4n + 1', 'A', 1],
    ['something else than ASCII', 'AQé', 2],
    ['no text', 7, 2],
    ['null', null, 2],
    ['a list', ['AQI'], 2],
  ])('refuses %s', (_, text, length) => {
    expect(fromBase64url(text, length)).toBeUndefined()
  })
})
