// Where tests live (docs/ARCHITECTURE.md, "Tests mirror the sources").

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const page = readFileSync(join(repositoryRoot, 'docs/ARCHITECTURE.md'), 'utf8')
const section = page.slice(page.indexOf('## Tests mirror the sources'))
/** Folder of the sources to the folder of its tests, where the names differ; from the first table. */
const elsewhere = new Map(rows('| sources | tested in |'))
/** Folders of tests that belong to no folder of the sources; from the second table. */
const whole = new Map(rows('| folder | what it tests |'))

describe('structure/test folders', () => {
  it('has the tests of every folder of sources under the same name, or where the page says', () => {
    const sources = [
      ...foldersOf('src'),
      ...foldersOf('src/consent').map((name) => `consent/${name}`),
    ]
    const missing = sources
      .filter((name) => name !== 'consent')
      .flatMap((name) => elsewhere.get(`src/${name}/`)?.match(/test\/[\w/]+/g) ?? [`test/${name}/`])
      .filter((folder) => !hasTests(folder))
    expect(missing).toEqual([])
  })

  it('has no folder of tests without sources, except those that the page names', () => {
    const unknown = [
      ...foldersOf('test').map((name) => `test/${name}/`),
      ...foldersOf('test/consent').map((name) => `test/consent/${name}/`),
    ].filter(
      (folder) =>
        !existsSync(join(repositoryRoot, folder.replace('test/', 'src/'))) && !whole.has(folder),
    )
    expect(unknown).toEqual([])
  })

  it('names no folder that is gone', () => {
    const named = [...elsewhere.keys(), ...whole.keys()]
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((folder) => !existsSync(join(repositoryRoot, folder)))).toEqual([])
  })
})

function rows(heading: string): [string, string][] {
  const table = section.slice(section.indexOf(heading)).split('\n\n')[0] ?? ''
  return table
    .split('\n')
    .slice(2)
    .flatMap((line) => {
      const [, folders = '', what = ''] = line.split('|')
      return [...folders.matchAll(/`([^`]+)`/g)].map(([, folder = '']): [string, string] => [
        folder,
        what,
      ])
    })
}

function foldersOf(folder: string): string[] {
  return readdirSync(join(repositoryRoot, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
}

function hasTests(folder: string): boolean {
  const path = join(repositoryRoot, folder)
  return (
    existsSync(path) && readdirSync(path).some((name) => /(?:\.test\.ts|_test\.cc)$/.test(name))
  )
}
