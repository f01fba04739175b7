// docs/ARCHITECTURE.md has the layers of src/consent/ as a table: each folder, and the folders that it may
// import from, types included. These tests keep table and code the same, in both directions.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const ROOT = 'src/consent'

/** Lowest first: a folder may import from folders above its line only, and from those it names. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  descriptor: ['base'],
  shares: ['base', 'descriptor'],
  attestation: ['base'],
  policy: ['base', 'descriptor', 'attestation'],
  release: ['base', 'descriptor', 'shares', 'attestation'],
  audit: ['base'],
  store: ['base', 'descriptor', 'shares', 'policy', 'release', 'audit'],
  ceremony: ['base', 'descriptor', 'shares', 'store'],
  participant: [
    ...['base', 'descriptor', 'shares', 'attestation', 'policy', 'release', 'audit', 'store'],
  ],
  workload: ['base', 'descriptor', 'shares', 'attestation', 'release', 'audit'],
}

const folders = Object.keys(LAYERS)
const files = readdirSync(join(repositoryRoot, ROOT), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => `${ROOT}/${file}`)

describe('structure/consent', () => {
  it('has a line for each folder, and only the index beside them', () => {
    const entries = readdirSync(join(repositoryRoot, ROOT), { withFileTypes: true })
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
    expect(names.sort()).toEqual([...folders].sort())
    expect(entries.filter((entry) => entry.isFile()).map(({ name }) => name)).toEqual(['index.ts'])
  })

  it('goes one way: no layer names one below its line', () => {
    const upward = Object.entries(LAYERS).flatMap(([folder, imports]) =>
      imports
        .filter((name) => !folders.slice(0, folders.indexOf(folder)).includes(name))
        .map((name) => `${folder} -> ${name}`),
    )
    expect(upward).toEqual([])
  })

  for (const [folder, allowed] of Object.entries(LAYERS)) {
    it(`${folder} imports ${allowed.join(', ') || 'no other folder'}, each of them`, () => {
      const imported = files
        .filter((file) => folderOf(file) === folder)
        .flatMap(importsOf)
        .map(folderOf)
        .filter((name) => name !== undefined && name !== folder)
      expect([...new Set(imported)].sort()).toEqual([...allowed].sort())
    })
  }

  it('stands in docs/ARCHITECTURE.md as it stands here', () => {
    const document = readFileSync(join(repositoryRoot, 'docs/ARCHITECTURE.md'), 'utf8')
    const rows = [...document.matchAll(/^\| `([a-z]+)\/` \| ([a-z, ]+|nothing) \|/gm)]
    const shown = rows.map(([, folder, imports]) => [folder, imports])
    expect(shown).toEqual(
      Object.entries(LAYERS).map(([folder, imports]) => [folder, imports.join(', ') || 'nothing']),
    )
  })
})

/** Types of src/consent/base/time.ts, and `string` for a date as text. */
const UNITS = ['UnixMilliseconds', 'UnixSeconds', 'ElapsedMilliseconds', 'Seconds'] as const
/** Names of moments, and of the one duration on the wire that is no `...Seconds`. */
const OF_TIME = /(At|Since|Until|From)$|^(at|now|expires|notBefore|notAfter|retryAfter)$/

describe('structure/units', () => {
  const fields = files.flatMap((file) =>
    [...read(file).matchAll(/readonly (\w+)\??: (\w+)\b/g)].map(([, name = '', type = '']) => ({
      ...{ file, name, type },
    })),
  )
  const units = (name: string): readonly string[] => [
    ...new Set(fields.filter((field) => field.name === name).map(({ type }) => type)),
  ]
  const timed = fields.filter(({ type }) => (UNITS as readonly string[]).includes(type))

  it('finds the times it is about to judge', () => {
    const names = timed.map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining(['withdrawnAt', 'issuedAt', 'expiresAt', 'sentAt']),
    )
  })

  it('tells the unit of each time by its type', () => {
    const untold = fields.filter(({ name, type }) => OF_TIME.test(name) && type === 'number')
    expect(untold).toEqual([])
  })

  it('has one unit for each name', () => {
    const names = [...new Set(timed.map(({ name }) => name))]
    const mixed = names.map((name) => [name, units(name).filter((type) => type !== 'string')])
    expect(mixed.filter(([, types]) => types?.length !== 1)).toEqual([])
  })

  it('has seconds in documents and names only', () => {
    const documents = /^src\/consent\/(descriptor\/types|release\/messages)\.ts$/
    const inDocuments = new Set(
      fields.filter(({ file }) => documents.test(file)).map(({ name }) => name),
    )
    const elsewhere = timed
      .filter(({ type }) => type === 'UnixSeconds' || type === 'Seconds')
      .filter(({ name }) => !name.endsWith('Seconds') && !inDocuments.has(name))
    expect(elsewhere).toEqual([])
  })
})

function read(file: string): string {
  return readFileSync(join(repositoryRoot, file), 'utf8')
}

/** All imports, those of types too: a circle of types is a circle for readers. */
function importsOf(file: string): string[] {
  const statements = /^\s*(?:import|export)\s+(?:type\s)?(?:[^'"]*?\sfrom\s+)?['"](\.[^'"]+)['"]/gm
  const dynamic = /\bimport\(\s*['"](\.[^'"]+)['"]\s*\)/g
  return [statements, dynamic]
    .flatMap((pattern) => [...read(file).matchAll(pattern)])
    .map(([, path]) => relative(repositoryRoot, resolve(repositoryRoot, dirname(file), `${path}`)))
}

function folderOf(path: string): string | undefined {
  const [source, consent, folder, ...rest] = path.split('/')
  return source === 'src' && consent === 'consent' && rest.length > 0 ? folder : undefined
}
