import { createSecretKey } from 'node:crypto'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { McbnError } from '../../src/errors.js'
import { copyPskKey, parseKeyText } from '../../src/psk/key.js'

const invalid = expect.objectContaining({ code: 'MCBN_KEY_INVALID', kind: 'usage' })
const HEX = '00112233445566778899aabbccddeeff'

describe('key/refusals', () => {
  it.each([0, 1, 15, 513, 65_536])('refuses %i bytes', (length) => {
    expect(() => copyPskKey(new Uint8Array(length).fill(7))).toThrow(invalid)
    expect(() => copyPskKey(new Uint8Array(length).fill(7))).toThrow(
      `key: expected 16 to 512 bytes, got ${length}`,
    )
  })

  it.each([16, 32, 512])('refuses %i zeros', (length) => {
    expect(() => copyPskKey(new Uint8Array(length))).toThrow(invalid)
  })

  it.each([
    ['text', HEX],
    ['undefined', undefined],
    ['null', null],
    ['an array', [...Buffer.from(HEX, 'hex')]],
    ['an ArrayBuffer', new ArrayBuffer(32)],
    ['a DataView', new DataView(new ArrayBuffer(32))],
    ['a Uint16Array', new Uint16Array(16).fill(7)],
    ['a KeyObject', createSecretKey(Buffer.alloc(32, 7))],
    ['something that claims a length', { length: 32, 0: 1 }],
  ])('refuses %s', (_what, key) => {
    expect(() => copyPskKey(key as never)).toThrow(invalid)
  })

  it('refuses a detached array: its bytes are gone', () => {
    const key = new Uint8Array(32).fill(7)
    structuredClone(key.buffer, { transfer: [key.buffer] })
    expect(() => copyPskKey(key)).toThrow('got 0')
  })

  it('takes 16 and 512 bytes, one bit set anywhere, and arrays of another realm', () => {
    for (const length of [16, 512]) {
      for (const at of [0, length - 1]) {
        const key = new Uint8Array(length)
        key[at] = 1
        expect(copyPskKey(key)).toEqual(Buffer.from(key))
      }
    }
    const foreign = runInNewContext('new Uint8Array(32).fill(7)') as Uint8Array
    expect(copyPskKey(foreign)).toEqual(Buffer.alloc(32, 7))
  })

  it('copies: what the caller does to its array afterwards changes nothing', () => {
    const key = new Uint8Array(32).fill(7)
    const copy = copyPskKey(key)
    key.fill(0)
    expect(copy).toEqual(Buffer.alloc(32, 7))
    expect(copy.buffer.byteLength).toBe(32)
  })
})

describe('key/typed by a person', () => {
  it.each([
    ['hex digits', HEX, HEX],
    ['upper-case hex digits', HEX.toUpperCase(), HEX],
    ['hex:', `hex:${HEX}`, HEX],
    ['ascii: with the hex digits as the key', `ascii:${HEX}`, Buffer.from(HEX).toString('hex')],
    ['ascii: with colons and spaces', 'ascii:a: b: c: d: e: f', '613a20623a20633a20643a20653a2066'],
    [
      'ascii: with a mark inside',
      'ascii:hex:001122334455',
      Buffer.from('hex:001122334455').toString('hex'),
    ],
  ])('reads %s', (_what, text, expected) => {
    expect(parseKeyText(text).toString('hex')).toBe(expected)
  })

  it.each([
    ['nothing', '', /got 0/],
    ['15 bytes', HEX.slice(2), /got 15/],
    ['an odd number of digits', `${HEX}0`, /even number of hex digits, got 33/],
    ['a passphrase', 'correct horse battery staple', /white space between.*ascii:<key>/],
    ['a line feed', `${HEX}\n`, /white space before or after/],
    ['a 0x prefix', `0x${HEX}`, /0x prefix/],
    ['another mark', `base64:${HEX}`, /other characters/],
    ['an upper-case mark', `HEX:${HEX}`, /other characters/],
    ['the mark twice', `hex:hex:${HEX}`, /other characters/],
    ['zeros', '0'.repeat(32), /zero/],
    ['ascii: with 15 characters', 'ascii:123456789012345', /got 15/],
    ['ascii: with an umlaut', 'ascii:schlüssel-schlüssel', /from space to tilde/],
    ['ascii: with a line feed', `ascii:${HEX}\n`, /from space to tilde/],
    ['513 bytes', '07'.repeat(513), /got 513/],
  ])('refuses %s', (_what, text, message) => {
    let refused: unknown
    try {
      parseKeyText(text)
    } catch (error) {
      refused = error
    }
    expect(refused).toBeInstanceOf(McbnError)
    const error = refused as McbnError
    expect(error).toMatchObject({ code: 'MCBN_KEY_INVALID' })
    expect(error.message).toMatch(message)
    const secret = text.replace(/^(hex|ascii):/, '').trim()
    if (secret !== '') expect(`${error.message}${error.stack}`).not.toContain(secret)
  })
})
