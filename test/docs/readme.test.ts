// What the README shows is what runs, and what the documents point to is there.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const documents = [
  'README.md',
  'CHANGELOG.md',
  'native/README.md',
  ...readdirSync(join(repositoryRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

function read(file: string): string {
  return readFileSync(join(repositoryRoot, file), 'utf8')
}

/** A folder without files is not in git: anyone who clones does not have it. */
function isThere(path: string): boolean {
  const full = join(repositoryRoot, path)
  if (!existsSync(full)) return false
  return !statSync(full).isDirectory() || readdirSync(full).length > 0
}

describe('docs/readme', () => {
  const blocks = [...read('README.md').matchAll(/```ts\n(.*?)```/gs)].map(([, block]) => `${block}`)

  it('shows first a whole program, examples/shares-to-connection.ts as it is', () => {
    expect(blocks[0]).toBe(read('examples/shares-to-connection.ts'))
  })

  it('shows then what examples/consent.ts ends with, word for word', () => {
    expect(blocks[1]).toMatch(/^const \[client, server\] = await/)
    expect(read('examples/consent.ts')).toContain(blocks[1])
  })

  it('lists every example', () => {
    const listed = [...read('README.md').matchAll(/^\| \[[^\]]+\]\(examples\/([^)]+)\)/gm)]
    expect(listed.map(([, name]) => `${name}`).sort()).toEqual(
      readdirSync(join(repositoryRoot, 'examples')).sort(),
    )
  })

  it('names only npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = documents.flatMap((file) =>
      [...read(file).matchAll(/npm run ([\w:]+)/g)].map(([, script]) => `${script}`),
    )
    expect(named).not.toEqual([])
    expect(named.filter((script) => !(script in scripts))).toEqual([])
  })
})

/** Whether `files` of package.json takes it into the package, or npm does without being asked. */
function isPacked(path: string): boolean {
  const { files } = JSON.parse(read('package.json')) as { files: readonly string[] }
  const takes = (pattern: string): boolean =>
    pattern.endsWith('*.md')
      ? dirname(path) === dirname(pattern) && path.endsWith('.md')
      : path === pattern || path.startsWith(`${pattern}/`)
  const out = files.filter((each) => each.startsWith('!')).map((each) => each.slice(1))
  const always = ['README.md', 'LICENSE', 'package.json']
  return [...files, ...always].some(takes) && !out.some(takes)
}

describe('docs/links', () => {
  for (const file of documents) {
    it(`${file} points only to what is there, in the package too`, () => {
      const targets = [...read(file).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)]
      const missing = targets
        .map(([, target]) => normalize(join(dirname(file), `${target}`)))
        .filter((target) => !isThere(target) || !isPacked(target))
      expect(missing).toEqual([])
    })

    it(`${file} names only files and folders that are there`, () => {
      // In backquotes, from the root: `src/tls/`, `native/engine/event.h`.
      const named = read(file).matchAll(/`((?:src|native|test|examples|scripts|fuzz)\/[\w./-]*)`/g)
      const missing = [...named].map(([, path]) => `${path}`).filter((path) => !isThere(path))
      expect(missing).toEqual([])
    })
  }
})
