// docs/THREAT-MODEL.md promises a test for every attack. This one keeps the promise checkable: all are listed,
// each under its own number with its own file, and every file that the page names exists.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const docs = join(repositoryRoot, 'docs')
const attacks = join(repositoryRoot, 'test/consent/attacks')
const page = readFileSync(join(docs, 'THREAT-MODEL.md'), 'utf8')

/** Number, test file and what stops it, for each row of an attack. */
const rows = [...page.matchAll(/^\| (\d+) \| (.+?) \| (.+?) \| `(\S+)` \|$/gm)].map(
  ([, number, attack, stopped, file]) => ({
    number: Number(number),
    attack: `${attack}`,
    stopped: `${stopped}`,
    file: `${file}`,
  }),
)

describe('docs/threat-model', () => {
  it('lists all 33 attacks, each once', () => {
    expect(rows.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 33 }, (_, at) => at + 1),
    )
  })

  it.each(rows)('$number. $attack: has its own test, and says what stops it', (row) => {
    const { number, file, stopped } = row
    expect(existsSync(join(attacks, file)), file).toBe(true)
    expect(file).toMatch(new RegExp(`^${String(number).padStart(2, '0')}-.+\\.test\\.ts$`))
    expect(stopped.length).toBeGreaterThan(15)
  })

  it('leaves no test of an attack out', () => {
    const tests = readdirSync(attacks)
    const named = rows.map(({ file }) => file).sort()
    expect(tests.filter((name) => /^\d\d-.*\.test\.ts$/.test(name)).sort()).toEqual(named)
  })

  it('names no file, of tests or documents, that is not there', () => {
    const links = [...page.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => `${target}`)
    const paths = [...page.matchAll(/`(test\/[\w./-]+)`/g)].map(([, path]) => `../${path}`)
    expect(paths.length).toBeGreaterThan(0)
    const missing = [...links, ...paths].filter((target) => !existsSync(join(docs, target)))
    expect(missing).toEqual([])
  })

  it('says what is not stopped', () => {
    const [, rest = ''] = page.split('## What is not stopped')
    for (const what of [
      /t participants who collude/,
      /Hostile code with an approved digest/,
      /A broken TEE, and an operator who owns the hardware/,
      /In n-of-n one participant can stop everything/,
      /clocks both stand still/,
      /Peers of one role/,
      /Quantum computers/,
    ]) {
      expect(rest).toMatch(what)
    }
  })
})
