import { describe, expect, it } from 'vitest'
import { LineCutter } from '../../src/cli/lines.js'

/** Cuts chunks of text and gives back the lines, the rest, and the limits that were exceeded. */
function cutAll(chunks: readonly string[], limit = 100) {
  const tooLong: number[] = []
  const cutter = new LineCutter((exceeded) => tooLong.push(exceeded))
  const lines = chunks.flatMap((chunk) => cutter.cut(Buffer.from(chunk), limit)).map(String)
  return { lines, rest: cutter.rest()?.toString(), tooLong }
}

describe('cli/lines', () => {
  it('drops a line over the limit up to its newline, once, and goes on with the next', () => {
    const { lines, rest, tooLong } = cutAll(['ok\n12345', '67890', '1\nnext\n'], 10)
    expect({ lines, rest, tooLong }).toEqual({
      lines: ['ok\n', 'next\n'],
      rest: undefined,
      tooLong: [10],
    })
  })

  it('counts the newline: a line of exactly the limit passes, one byte more does not', () => {
    expect(cutAll(['123456789\n'], 10).lines).toEqual(['123456789\n'])
    expect(cutAll(['1234567890\n'], 10)).toEqual({ lines: [], rest: undefined, tooLong: [10] })
  })

  it('has no rest of a line that was dropped', () => {
    expect(cutAll(['12345678901'], 10)).toEqual({ lines: [], rest: undefined, tooLong: [10] })
  })

  it.each([
    ['keeps newlines in the lines', ['a\nb\n'], ['a\n', 'b\n'], undefined],
    ['joins a line over chunks', ['hel', 'lo', '\nwor', 'ld\n'], ['hello\n', 'world\n'], undefined],
    ['keeps a newline alone as a line', ['\n\n'], ['\n', '\n'], undefined],
    ['leaves carriage returns alone', ['a\r\nb\rc\n'], ['a\r\n', 'b\rc\n'], undefined],
    ['gives the rest without a newline', ['a\nb'], ['a\n'], 'b'],
    ['gives no rest of nothing', [], [], undefined],
  ] as const)('%s', (_, chunks, lines, rest) => {
    expect(cutAll(chunks)).toEqual({ lines, rest, tooLong: [] })
  })

  it('gives the same lines however the bytes are cut into chunks (seed 7)', () => {
    const text = 'one\n\ntwo\r\nthree three three\n\n\nfour'
    let state = 7
    for (let round = 0; round < 200; round += 1) {
      const chunks: string[] = []
      for (let at = 0; at < text.length; ) {
        state = (state * 1103515245 + 12345) & 0x7fffffff
        const length = 1 + (state % 9)
        chunks.push(text.slice(at, at + length))
        at += length
      }
      const { lines, rest } = cutAll(chunks)
      expect([...lines, rest]).toEqual([
        'one\n',
        '\n',
        'two\r\n',
        'three three three\n',
        '\n',
        '\n',
        'four',
      ])
    }
  })
})
