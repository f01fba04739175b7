// docs/RELIABILITY.md names a test for each thing that attacks found: the file is there, and has that case.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const page = readFileSync(join(repositoryRoot, 'docs/RELIABILITY.md'), 'utf8')

/** The cells of the table with that heading. */
function rows(heading: string): string[][] {
  const from = page.indexOf(heading)
  if (from === -1) throw new Error(`no table ${heading}`)
  const table = page.slice(from).split('\n\n')[0] as string
  const lines = table.split('\n').slice(2)
  return lines.map((line) => line.split('|').slice(1, -1))
}

/** A file with the parts of each string literal of C++ put together. */
function textOf(file: string): string {
  return readFileSync(join(repositoryRoot, file), 'utf8').replaceAll(/"\s*\n\s*"/g, '')
}

/** [file, case] of all rows; "the same" is the file named before. */
function cases(): [string, string][] {
  let file = ''
  const found: [string, string][] = []
  for (const [, , tests = ''] of rows('| what happened | commit | test: its cases |')) {
    for (const [, path, name] of tests.matchAll(/`(test\/[^`]+)`|"([^"]+)"/g)) {
      if (path !== undefined) file = path
      if (name !== undefined) found.push([file, name])
    }
  }
  return found
}

describe('docs/RELIABILITY.md', () => {
  it('has a test for each row of what attacks found', () => {
    const table = rows('| what happened | commit | test: its cases |')
    expect(table.length).toBeGreaterThan(30)
    for (const [what = '', , tests = ''] of table) {
      expect(/`test\/|the same: "/.test(tests), what).toBe(true)
    }
  })

  it.each(cases())('%s has the case "%s"', (file, name) => {
    expect(existsSync(join(repositoryRoot, file))).toBe(true)
    expect(textOf(file)).toContain(name)
  })

  it('names files that are there where a guard was taken away', () => {
    const entries = readdirSync(join(repositoryRoot, 'test'), { recursive: true }) as string[]
    const files = new Set(entries.map((file) => basename(file)))
    const named = rows('| guard taken away | test that failed |').flatMap(([, tests = '']) => [
      ...tests.matchAll(/`([^`]+\.(?:test\.ts|cc))`/g),
    ])
    expect(named.length).toBeGreaterThan(30)
    for (const [, file = ''] of named) expect(files).toContain(basename(file))
  })
})
