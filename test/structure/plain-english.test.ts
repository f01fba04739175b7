// The prose of comments, titles, messages and pages (CONTRIBUTING.md, "Plain English"): these turns read as if
// translated. Lines are joined first, so that a line's end hides nothing.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const ODD: readonly { readonly what: RegExp; readonly better: string }[] = [
  { what: /\bwho(?:so)?ever\b/i, better: 'anyone who, the caller, the holder' },
  {
    what: /\bof (?:its|their|his|her|our|my|your|one's|mcbn's) own\b/i,
    better: 'its own X, a separate X',
  },
  { what: /\bto be had\b/i, better: 'there is no X, X cannot be fetched' },
  { what: /\bthat which\b/i, better: 'what' },
  { what: /\bbut for\b/i, better: 'except, unless' },
  { what: /\b(?:its|his|her|whose) [a-z]+ is none\b/i, better: 'is not a X, is invalid' },
  { what: /\b(?:a|an) [a-z]+(?: [a-z]+)? that is none\b/i, better: 'an invalid X' },
  {
    what: /(?:^|[/*'`] |[.;] )Who (?!goes there)[a-z][^?.]{0,160}(?:\.|$)/,
    better: 'the sender, a client that',
  },
  {
    what: /\b(?:for|of|to|from|by|with) who (?:is|has|can|needs|asks|holds|gets|reads|comes)\b/i,
    better: 'a name for them',
  },
]

const FOLDERS = ['src', 'native', 'docs', 'test', 'bench', 'scripts', 'examples', 'fuzz']
const PAGES = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md']
const TEXT = /\.(?:ts|mts|mjs|js|css|html|cc|h|c|go|sh|md)$/
/** They name the words that they forbid. */
const EXEMPT = new Set(['test/structure/plain-english.test.ts', 'CONTRIBUTING.md'])

describe('structure/plain English', () => {
  it('has none of the turns that make a newcomer stumble', () => {
    const found = files().flatMap((file) =>
      problems(file, joined(readFileSync(`${ROOT}${file}`, 'utf8'))),
    )
    expect(found).toEqual([])
  })

  it.each([
    ['// Whoever calls it\n// wipes it.', 'Whoever'],
    ['// Each has a thread of\n// its own.', 'of its own'],
    [' * The keys are not to be\n * had now.', 'to be had'],
    ['// Who has no key, gets nothing.', 'Who has'],
    ["it('serves for who holds a lease')", 'for who holds'],
  ])('finds it in %j', (text, words) => {
    expect(problems('x.ts', joined(text)).join()).toContain(words)
  })

  it.each([
    '// Who may call this? The loop thread.',
    '// A thread on its own.',
    '// the client, who has a key',
  ])('lets %j pass', (text) => {
    expect(problems('x.ts', joined(text))).toEqual([])
  })
})

function problems(file: string, text: string): string[] {
  return ODD.flatMap(({ what, better }) => {
    const found = new RegExp(what.source, `${what.flags}g`)
    return [...text.matchAll(found)].map((hit) => {
      const around = text.slice(Math.max(0, hit.index - 30), hit.index + 50)
      return `${file}: "${around}": better: ${better}`
    })
  })
}

/** Comments and paragraphs on one line each. */
function joined(text: string): string {
  return text.replace(/\n[ \t]*(?:\/\/|\*(?!\/)|#)?[ \t]*(?=\S)/g, ' ')
}

function files(): string[] {
  const listed = existsSync(`${ROOT}.git`)
    ? execFileSync('git', ['ls-files', ...FOLDERS, ...PAGES], { cwd: ROOT, encoding: 'utf8' })
    : ''
  return listed.split('\n').filter((name) => {
    return (
      TEXT.test(name) &&
      !EXEMPT.has(name) &&
      existsSync(`${ROOT}${name}`) &&
      statSync(`${ROOT}${name}`).isFile()
    )
  })
}
