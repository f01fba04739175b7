// Every attack of the list has its own test, by number, that asserts something and says which it is.

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const folder = new URL('./', import.meta.url)
const ATTACKS = 33

const files = readdirSync(folder).filter((name) => /^\d.*\.test\.ts$/.test(name))
const numberOf = (name: string) => Number(/^(\d\d)-/.exec(name)?.[1])

/** Comments and texts assert nothing. */
function code(name: string): string {
  return readFileSync(new URL(name, folder), 'utf8').replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, '')
}

describe('consent/attacks', () => {
  it('has one file for each number from 01 to 33, and no other', () => {
    const numbers = files.map(numberOf).sort((a, b) => a - b)
    expect(numbers).toEqual(Array.from({ length: ATTACKS }, (_, at) => at + 1))
  })

  it.each(files)('%s says its number, runs, and asserts', (name) => {
    const text = code(name)
    expect(text).toMatch(new RegExp(`'attack ${numberOf(name)}: |"attack ${numberOf(name)}: `))
    expect(
      text.match(/\bit(\.each\b.*|\.runIf\b.*|\.skipIf\b.*)?\(/g)?.length ?? 0,
    ).toBeGreaterThan(0)
    expect(text.match(/\bexpect\w*\(/g)?.length ?? 0).toBeGreaterThan(1)
    expect(text).not.toMatch(/\b(it|describe|test)\.(only|skip|todo|fails)\b/)
  })
})
