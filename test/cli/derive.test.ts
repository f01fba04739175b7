import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveCommand } from '../../src/cli/derive.js'
import { derivePsk } from '../../src/psk/derive.js'

const ALICE = '2c6f63f8c0f53a565db041b91c0a95add8913fc102670589db3982228dbfed90'
const BOB = 'b15244faf36e5e4b178d3891701d245f2e45e881d913b6c35c0ea0ac14224cc2'
const CAROL = '3e2078d5cd04beabfa4a7a1486bc626d679184df2e0a2b9942d913d4b835516c'
const KEY = '6d1bbd1e6235c9d9ec8cdbdf9b32d4d08304a7f305f7c6c67775130d914f4dc4'
const CONCAT = ['--scheme', 'sha256-concat']
const MCBN = ['--descriptor-hash', 'ab'.repeat(32), '--network', 'example', '--epoch', '3']

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcbn-cli-derive-'))
  for (const [name, share] of Object.entries({ alice: ALICE, bob: BOB, carol: CAROL })) {
    writeFileSync(join(folder, name), `${share}\n`)
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const path = (name: string) => join(folder, name)

async function run(...args: string[]): Promise<string> {
  let out = ''
  const command = deriveCommand()
    .exitOverride()
    .configureOutput({ writeOut: (chunk) => (out += chunk), writeErr: () => {} })
  await command.parseAsync(args, { from: 'user' })
  return out
}

describe('cli/derive', () => {
  it.each<[string, string[], object]>([
    ['no share', [], { code: 'MCBN_OPTION_CONFLICT', kind: 'usage' }],
    ['one share', [...CONCAT, '--share', ALICE], { code: 'MCBN_SHARE_INVALID' }],
    ['a scheme nobody knows', ['--scheme', 'md5'], { code: 'commander.invalidArgument' }],
    ['an argument', [ALICE], { code: 'commander.excessArguments' }],
    [
      'mcbn/1 without --protocol',
      [...MCBN, '--share', `a=${ALICE}`, `b=${BOB}`],
      { code: 'MCBN_OPTION_CONFLICT' },
    ],
    [
      'a label that is not canonical',
      [...MCBN, '--protocol', 'kcv', '--share', `Alice=${ALICE}`, `bob=${BOB}`],
      { code: 'MCBN_SHARE_INVALID', participant: 'Alice' },
    ],
    [
      'standard input twice',
      [...CONCAT, '--share-file', '-', '-'],
      { code: 'MCBN_OPTION_CONFLICT' },
    ],
    [
      'a share file that is not there',
      [...CONCAT, '--share-file', '/nonexistent/share'],
      { code: 'MCBN_OPTION_RANGE', kind: 'usage' },
    ],
  ])('refuses %s and prints nothing', async (_what, args, error) => {
    let out = ''
    const command = deriveCommand()
      .exitOverride()
      .configureOutput({ writeOut: (chunk) => (out += chunk), writeErr: () => {} })
    await expect(command.parseAsync(args, { from: 'user' })).rejects.toMatchObject(error)
    expect(out).toBe('')
  })

  it('prints the key as one line of hex, from arguments in either style and from files', async () => {
    const forms = [
      ['--share', ALICE, '--share', BOB, '--share', CAROL],
      ['--share', ALICE, BOB, CAROL],
      ['--share-file', path('alice'), path('bob'), path('carol')],
      ['--share', ALICE, '--share-file', path('bob'), '--share', CAROL],
      ['--share', `alice=${ALICE}`, '--share-file', `bob=${path('bob')}`, '--share', CAROL],
    ]
    for (const form of forms) expect(await run(...CONCAT, ...form)).toBe(`${KEY}\n`)
  })

  it('derives mcbn/1 by default', async () => {
    const labelled = ['--share-file', `bob=${path('bob')}`, `alice=${path('alice')}`]
    const key = derivePsk(
      { alice: ALICE, bob: BOB },
      { descriptorHash: Buffer.alloc(32, 0xab), network: 'example', epoch: 3, protocol: 'dtls12' },
    )
    const out = await run(...MCBN, '--protocol', 'dtls12', ...labelled)
    expect(out).toBe(`${key.toString('hex')}\n`)
    expect(JSON.parse(await run('--json', ...MCBN, '--protocol', 'dtls12', ...labelled))).toEqual({
      scheme: 'mcbn/1',
      participants: ['alice', 'bob'],
      network: 'example',
      epoch: 3,
      protocol: 'dtls12',
      key: key.toString('hex'),
    })
  })

  it('names a check value a check value in JSON, never a key', async () => {
    const all = [...MCBN, '--protocol', 'kcv', '--json', '--share', `a=${ALICE}`, `b=${BOB}`]
    const shown = JSON.parse(await run(...all)) as object
    expect(shown).toHaveProperty('kcv')
    expect(shown).not.toHaveProperty('key')
  })

  it('says in --help what is visible to whom, and how to keep shares out of arguments', async () => {
    let help = ''
    deriveCommand()
      .configureOutput({ writeOut: (chunk) => (help += chunk) })
      .outputHelp()
    expect(help).toMatch(/visible to other users/)
    expect(help).toMatch(/output is a secret/)
    expect(help).toContain('--share-file')
  })

  it('reads one share from standard input', async () => {
    const module = fileURLToPath(new URL('../../src/cli/derive.ts', import.meta.url))
    const program = `import(${JSON.stringify(module)}).then((m) => m.deriveCommand().parseAsync(process.argv.slice(1), { from: 'user' }))`
    const args = [...CONCAT, '--share-file', path('alice'), '-', path('carol')]
    const child = spawn(process.execPath, ['--import', 'tsx', '--eval', program, '--', ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin.end(`${BOB}\n`)
    expect(await text(child.stdout)).toBe(`${KEY}\n`)
  })
})
