import { describe, expect, it } from 'vitest'
import { lengthPrefixed, publicFields } from '../../src/psk/encoding.js'

describe('psk/encoding', () => {
  it.each([
    ['a field of 65,536 bytes', [Buffer.alloc(65_536)]],
    ['a text of more bytes than characters', ['a', 'ü'.repeat(32_768)]],
  ])('refuses %s, whose length two bytes cannot say', (_, fields) => {
    const refusal = expect.objectContaining({ code: 'MCBN_OPTION_RANGE' })
    expect(() => publicFields(...fields)).toThrow(refusal)
    for (const field of fields.slice(-1)) expect(() => lengthPrefixed(field)).toThrow(refusal)
  })

  it('writes several fields as it writes each', () => {
    const fields = ['client', '', Buffer.from([1, 2, 3]), 'ü', Buffer.alloc(65_535, 7)]
    expect(publicFields(...fields)).toEqual(
      Buffer.concat(fields.map((field) => lengthPrefixed(field))),
    )
    expect(publicFields()).toHaveLength(0)
  })

  it('tells fields apart that read alike in one piece', () => {
    expect(publicFields('ab', 'c')).not.toEqual(publicFields('a', 'bc'))
  })
})
