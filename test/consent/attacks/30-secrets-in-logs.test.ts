// Frank reads every log, every crash report, every file that is not sealed. A whole round of consent, with all
// its errors, in a process that prints each object and error in every way there is: no share, no key, no
// seed, no passphrase and no token may be in what it wrote.

import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { filesBelow, spellingsOf, whereFound } from '../../../src/cli/demo/finder.js'
import { temporaryFolder } from '../../support/paths.js'
import { run, typescript } from '../../support/process.js'

const program = fileURLToPath(new URL('programs/whole-round.ts', import.meta.url))

interface Kept {
  readonly secrets: Readonly<Record<string, string>>
  readonly tokens: readonly string[]
}

describe('attack 30: secrets in logs, errors, util.inspect, JSON', () => {
  it('finds none in all that a whole round writes', { timeout: 120_000 }, async () => {
    const folder = temporaryFolder()
    const data = join(folder, 'data')
    mkdirSync(data, { mode: 0o700 })
    const secretsFile = join(folder, 'secrets.json')
    const child = await run(process.execPath, typescript(program, data, secretsFile), {
      lifetime: 100_000,
      env: { NODE_DEBUG: undefined, NODE_DEBUG_NATIVE: undefined, SSLKEYLOGFILE: undefined },
    })
    expect(child.exit, child.stderr.slice(-2_000)).toEqual({ code: 0, signal: null })
    expect(child.stdout).toMatch(/^whole round done$/m)

    const { secrets, tokens } = JSON.parse(readFileSync(secretsFile, 'utf8')) as Kept
    const wanted = new Map(
      Object.entries(secrets).map(([name, hex]) => [name, Buffer.from(hex, 'hex')]),
    )
    // 3 shares, 6 seeds, 3 keys, PRK, lock; and of two ceremonies 6 seeds, shares and polynomials each.
    expect(wanted.size).toBeGreaterThan(30)
    expect(tokens.length).toBeGreaterThanOrEqual(6)
    for (const [at, token] of tokens.entries()) {
      const [, payload = '', signature = ''] = token.split('.')
      wanted.set(`payload of token ${at}`, Buffer.from(payload))
      wanted.set(`signature of token ${at}`, Buffer.from(signature, 'base64url'))
    }
    const files = filesBelow(data)
    // Looked at: sealed secrets and audits of all participants among them.
    expect(files.map(({ name }) => name)).toEqual(
      expect.arrayContaining(
        ['alice', 'bob', 'carol'].flatMap((label) => [
          `${label}/audit.jsonl`,
          `${label}/secrets.json`,
        ]),
      ),
    )
    const output = [
      { name: 'stdout', bytes: child.stdoutBytes },
      { name: 'stderr', bytes: Buffer.from(child.stderr, 'utf8') },
    ]
    expect(output[0]?.bytes.length).toBeGreaterThan(100_000)
    expect(whereFound([...output, ...files], wanted)).toEqual([])
  })

  const secret = randomBytes(32)
  const half = secret.subarray(16)
  it.each([...spellingsOf(secret)])('would find a secret that is there as %s', (_, bytes) => {
    const amid = Buffer.concat([Buffer.from('\n"before" '), bytes, Buffer.from(' after\n')])
    const places = [{ name: 'here', bytes: amid }]
    expect(whereFound(places, new Map([['the key', secret]]))).not.toEqual([])
    expect(whereFound(places, new Map([['another', randomBytes(32)]]))).toEqual([])
  })

  it.each<[string, Buffer | string]>([
    ['as it is', Buffer.concat([Buffer.from('..'), secret, Buffer.from('..')])],
    ['in hex', `key ${secret.toString('hex')}.`],
    ['in hex', `key ${secret.toString('hex').toUpperCase()}.`],
    ['in hex', `<Buffer ${secret.toString('hex').replaceAll(/(..)/g, '$1 ').trim()}>`],
    ['in hex', `half ${half.toString('hex')}`],
    ['as numbers', JSON.stringify(secret)],
    ['as numbers', `[\n  ${[...secret].join(', ').replaceAll(/((?:\d+, ){8})/g, '$1\n  ')}\n]`],
    ['as one number', `${BigInt(`0x${Buffer.from(secret).reverse().toString('hex')}`)}n`],
    ['in base64', secret.toString('base64')],
    ['in base64', secret.toString('base64url')],
    ['in base64', Buffer.concat([randomBytes(7), secret, randomBytes(5)]).toString('base64')],
    ['in base64', Buffer.concat([randomBytes(8), secret, randomBytes(5)]).toString('base64url')],
  ])('would find a secret that is there %s', (spelling, text) => {
    const places = [{ name: 'here', bytes: Buffer.from(text as string, 'latin1') }]
    const found = whereFound(places, new Map([['the key', secret]]))
    expect(found.join()).toContain(`the key in here, ${spelling}`)
    const other = new Map([['another', randomBytes(32)]])
    expect(whereFound(places, other)).toEqual([])
  })
})
