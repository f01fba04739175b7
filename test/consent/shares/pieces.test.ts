import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { combinePieces, describePiece, splitSecret } from '../../../src/consent/shares/pieces.js'

const secret = randomBytes(32)

/** The piece with another body, and a check that fits it: a forger's, not a typing error. */
async function forged(line: string): Promise<string> {
  const [prefix, set, index, t, n] = line.split(':')
  const other = await splitSecret(randomBytes(32), { threshold: Number(t), pieces: Number(n) })
  const body = other[Number(index) - 1]?.split(':')[5]
  const text = [prefix, set, index, t, n, body].join(':')
  const { createHash } = await import('node:crypto')
  return `${text}:${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
}

describe('pieces', () => {
  it.each([
    [2, 2],
    [2, 3],
    [3, 5],
    [5, 5],
  ])('%i of %i: every choice brings the secret back, fewer never do', async (threshold, n) => {
    const pieces = await splitSecret(secret, { threshold, pieces: n })
    for (let chosen = 0; chosen < 2 ** n; chosen += 1) {
      const some = pieces.filter((_, at) => (chosen >> at) & 1)
      if (some.length >= threshold) expect(await combinePieces(some)).toEqual(secret)
      else await expect(combinePieces(some)).rejects.toMatchObject({ code: 'MCBN_SHARE_INVALID' })
    }
  })

  it.each([16, 64])('splits %i bytes', async (length) => {
    const other = randomBytes(length)
    const pieces = await splitSecret(other, { threshold: 2, pieces: 3 })
    expect(await combinePieces(pieces.slice(1))).toEqual(other)
  })

  it('takes them in any order, twice, with white space around', async () => {
    const [a = '', b = ''] = await splitSecret(secret, { threshold: 2, pieces: 2 })
    expect(await combinePieces([` ${b}\r`, a, b])).toEqual(secret)
  })

  it('says which are missing', async () => {
    const pieces = await splitSecret(secret, { threshold: 3, pieces: 5 })
    const { set } = describePiece(`${pieces[0]}`)
    await expect(combinePieces([`${pieces[3]}`, `${pieces[0]}`])).rejects.toThrow(
      `expected 3 of set ${set}, got 2 (number 4, 1)`,
    )
    await expect(combinePieces([])).rejects.toThrow(/got none/)
  })

  it('says which one is mistyped, by its number, for each of its characters', async () => {
    const [a = '', b = ''] = await splitSecret(secret, { threshold: 2, pieces: 2 })
    for (let at = 'mcbn-piece-1:'.length; at < b.length; at += 1) {
      const mistyped = `${b.slice(0, at)}${b[at] === '1' ? '2' : '1'}${b.slice(at + 1)}`
      await expect(combinePieces([a, mistyped])).rejects.toThrow(/piece 2 of the input/)
    }
  })

  it('says which one is of another set, or contradicts another', async () => {
    const [a = ''] = await splitSecret(secret, { threshold: 2, pieces: 2 })
    const [, other = ''] = await splitSecret(secret, { threshold: 2, pieces: 2 })
    await expect(combinePieces([a, other])).rejects.toThrow(
      `piece 2 of set ${describePiece(other).set}: expected set ${describePiece(a).set}`,
    )
    await expect(combinePieces([a, await forged(a)])).rejects.toThrow(/got two that differ/)
  })

  it('names a forged piece as soon as there is one more than needed; never gives a wrong secret', async () => {
    const pieces = await splitSecret(secret, { threshold: 2, pieces: 4 })
    const bad = await forged(`${pieces[1]}`)
    await expect(combinePieces([`${pieces[0]}`, bad])).rejects.toThrow(
      /at least one is not genuine/,
    )
    await expect(combinePieces([`${pieces[0]}`, bad, `${pieces[3]}`])).rejects.toThrow(
      /piece 2 of set .* does not fit the others/,
    )
  })

  it.each([
    [{ threshold: 1, pieces: 2 }, /threshold: expected an integer from 2 to 2/],
    [{ threshold: 3, pieces: 2 }, /threshold/],
    [{ threshold: 2, pieces: 256 }, /pieces: expected an integer from 2 to 255/],
    [{ threshold: 2.5, pieces: 3 }, /threshold/],
  ])('refuses %j', async (options, why) => {
    await expect(splitSecret(secret, options)).rejects.toThrow(why)
  })

  it('refuses secrets that are too short or too long', async () => {
    for (const length of [0, 15, 65]) {
      await expect(
        splitSecret(randomBytes(length), { threshold: 2, pieces: 2 }),
      ).rejects.toMatchObject({
        code: 'MCBN_OPTION_RANGE',
      })
    }
  })
})
