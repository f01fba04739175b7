// docs/ERRORS.md says the same as src/errors.ts.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MCBN_ERROR_KINDS } from '../../src/errors.js'
import { repositoryRoot } from '../support/paths.js'

interface Row {
  readonly code: string
  readonly kind: string
  readonly meaning: string
  readonly advice: string
}

/** The tables of the document; the kind is the first word of the heading above. */
function documented(): Row[] {
  const rows: Row[] = []
  let kind = ''
  for (const line of readFileSync(join(repositoryRoot, 'docs/ERRORS.md'), 'utf8').split('\n')) {
    kind = line.match(/^## (\w+):/)?.[1] ?? kind
    const cells = line.match(/^\| `(MCBN_\w+)` \| (.*) \| (.*) \|$/)
    if (cells)
      rows.push({ code: `${cells[1]}`, kind, meaning: `${cells[2]}`, advice: `${cells[3]}` })
  }
  return rows
}

/** Code and comment of every entry of CODES. */
function declared(): Map<string, string> {
  const source = readFileSync(join(repositoryRoot, 'src/errors.ts'), 'utf8')
  const entries = source.matchAll(/^ {2}\/\*\* (.*) \*\/\n {2}(MCBN_\w+): '/gm)
  return new Map([...entries].map(([, comment, code]) => [`${code}`, `${comment}`]))
}

describe('docs/errors', () => {
  it('has every code once, under its kind', () => {
    const kinds = documented().map(({ code, kind }) => [code, kind])
    expect(Object.fromEntries(kinds)).toEqual(MCBN_ERROR_KINDS)
    expect(kinds).toHaveLength(Object.keys(MCBN_ERROR_KINDS).length)
  })

  it('advises what the source advises, and says what happened', () => {
    const advice = new Map(documented().map((row) => [row.code, row.advice]))
    expect(advice).toEqual(declared())
    for (const { code, meaning } of documented()) expect(meaning, code).toMatch(/\w.*[.]/)
  })
})
