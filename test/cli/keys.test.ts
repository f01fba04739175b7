import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addKeyOptions, chooseCredential } from '../../src/cli/keys.js'
import { McbnError } from '../../src/errors.js'
import { derivePsk, type KeyProtocol } from '../../src/psk/derive.js'

const ALICE = '2c6f63f8c0f53a565db041b91c0a95add8913fc102670589db3982228dbfed90'
const BOB = 'b15244faf36e5e4b178d3891701d245f2e45e881d913b6c35c0ea0ac14224cc2'
const KEY = '00112233445566778899aabbccddeeff'
const OTHER = 'ffeeddccbbaa99887766554433221100'
const CONCAT = ['--scheme', 'sha256-concat', '--share', ALICE, '--share', BOB]
const MCBN = ['--descriptor-hash', 'ab'.repeat(32), '--network', 'example', '--epoch', '3']
const LABELLED = ['--share', `alice=${ALICE}`, '--share', `bob=${BOB}`]

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcbn-cli-keys-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

async function read(...args: string[]) {
  return await readFor(['dtls12'], args)
}

async function readFor(protocols: readonly KeyProtocol[], args: readonly string[]) {
  const command = new Command('listen').argument('[url]').exitOverride()
  const readKeys = addKeyOptions(command)
  command.parse(['dtls://127.0.0.1:1', ...args], { from: 'user' })
  return await readKeys(protocols)
}

async function keysOf(...args: string[]): Promise<Record<string, string>> {
  const { keys } = await read(...args)
  return Object.fromEntries([...keys].map(([id, key]) => [id, key.toString('hex')]))
}

async function refusal(...args: string[]): Promise<McbnError> {
  const error = await read(...args).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(McbnError)
  return error as McbnError
}

describe('cli/keys refusals', () => {
  it.each<[string, string[], RegExp]>([
    ['no key at all', [], /expected --psk/],
    ['a key without an identity', ['--psk', KEY], /got no colon/],
    ['an empty identity', ['--psk', `:${KEY}`], /identity: expected 1 to 64000 bytes, got 0/],
    ['a short key', ['--psk', `a:${KEY.slice(2)}`], /expected 16 to 512 bytes, got 15/],
    ['a passphrase', ['--psk', 'a:correct horse battery'], /ascii:<key>/],
    ['the second of two', ['--psk', `a:${KEY}`, '--psk', 'b:00'], /--psk \(number 2\) key/],
    ['an identity twice', ['--psk', `a:${KEY}`, '--psk', `a:${OTHER}`], /one key an identity/],
    ['a key file that is not there', ['--psk-file', '/nonexistent/keys'], /cannot be read/],
    ['shares without an identity', CONCAT, /^--identity: expected with --share/],
    ['an identity that is too long', [...CONCAT, '--identity', 'x'.repeat(64_001)], /got 64001/],
    ['a key in two parts', ['--psk', `a:${KEY}:${OTHER}`], /colon within its digits/],
    ['colons in a key', ['--psk', `a:${KEY.replace(/..(?=.)/g, '$&:')}`], /leave the colons out/],
    ['a format without a file', ['--psk-file-format', 'gnutls', '--psk', `a:${KEY}`], /--psk-file/],
    ['shares without labels for mcbn/1', [...MCBN, '--share', ALICE], /expected <label>=<share>/],
    [
      'mcbn/1 without a network',
      [...LABELLED, '--descriptor-hash', '00'],
      /^--network: expected with mcbn/,
    ],
    ['one label twice', [...MCBN, ...LABELLED, '--share', `bob=${ALICE}`], /got two/],
    ['an epoch in words', [...LABELLED, ...MCBN, '--epoch', 'three'], /^--epoch/],
    ['an epoch of 33 bits', [...LABELLED, ...MCBN, '--epoch', '4294967296'], /^epoch/],
    ['a network for sha256-concat', [...CONCAT, '--network', 'n'], /^--network: expected only/],
    ['standard input, which is the peer’s', ['--share-file', '-'], /belongs to the connection/],
    ['one share alone', ['--scheme', 'hmac-chain', '--share', ALICE], /at least 2/],
    ['an upper-case share', [...CONCAT, '--share', ALICE.toUpperCase()], /participant 3.*lower/],
  ])('refuses %s', async (_what, args, message) => {
    const error = await refusal(...args)
    expect(error.kind).toBe('usage')
    expect(error.message).toMatch(message)
    const shown = inspect(error, { depth: 9 }).toLowerCase()
    for (const secret of [ALICE, BOB, KEY, OTHER, 'correct horse']) {
      expect(shown).not.toContain(secret.slice(2, 14))
    }
  })

  it('refuses a key file without a key, and one with a bad line, by line', async () => {
    const empty = file('empty', '# nothing yet\n')
    expect((await refusal('--psk-file', empty)).message).toMatch(/at least one line/)
    const bad = file('bad', `a:${KEY}\nb:12\n`)
    expect(await refusal('--psk-file', bad)).toMatchObject({
      code: 'MCBN_PSK_FILE_INVALID',
      line: 2,
    })
  })

  it('refuses a share file with more than one line end', async () => {
    const two = file('two-ends', `${ALICE}\n\n`)
    const error = await refusal('--scheme', 'hmac-chain', '--share-file', two, '--share', BOB)
    expect(error).toMatchObject({ code: 'MCBN_SHARE_INVALID', participant: 'participant 1' })
  })
})

describe('cli/keys', () => {
  it.each<[string, string[], Record<string, string>]>([
    ['hex digits', ['--psk', `a:${KEY}`], { a: KEY }],
    ['hex:', ['--psk', `a:hex:${KEY}`], { a: KEY }],
    ['ascii:', ['--psk', `a:ascii:${KEY}`], { a: Buffer.from(KEY).toString('hex') }],
    ['several', ['--psk', `a:${KEY}`, '--psk', `b:${OTHER}`], { a: KEY, b: OTHER }],
    ['an identity with colons', ['--psk', `urn:dev:7:${KEY}`], { 'urn:dev:7': KEY }],
    ['an identity that begins with #', ['--psk', `#6162:${KEY}`], { '#6162': KEY }],
  ])('reads --psk: %s', async (_what, args, expected) => {
    expect(await keysOf(...args)).toEqual(expected)
  })

  it('reads --psk-file, also together with --psk', async () => {
    const path = file('keys', `# keys\na:${KEY}\n`)
    expect(await keysOf('--psk-file', path, '--psk', `b:${OTHER}`)).toEqual({ a: KEY, b: OTHER })
    expect((await refusal('--psk-file', path, '--psk', `a:${KEY}`)).code).toBe(
      'MCBN_OPTION_CONFLICT',
    )
  })

  it('reads --psk-file as the program of --psk-file-format does', async () => {
    const path = file('format', `#6162:${KEY}\n`)
    expect((await refusal('--psk-file', path)).message).toMatch(/say which format/)
    const as = (format: string) => keysOf('--psk-file', path, '--psk-file-format', format)
    expect(await as('gnutls')).toEqual({ ab: KEY })
    expect(await as('stunnel')).toEqual({ '#6162': KEY })
    await expect(as('mosquitto')).rejects.toThrow(/at least one line/)
    await expect(as('psktool')).rejects.toThrow(/Allowed choices are mosquitto, stunnel, gnutls/)
  })

  it('derives from --share and --share-file in the order given', async () => {
    const bob = file('bob', `${BOB}\n`)
    const identity = ['--scheme', 'hmac-chain', '--identity', 'a']
    const key = (list: string[]) => derivePsk(list, { scheme: 'hmac-chain' }).toString('hex')
    expect(await keysOf(...identity, '--share', ALICE, '--share-file', bob)).toEqual({
      a: key([ALICE, BOB]),
    })
    expect(await keysOf(...identity, '--share-file', bob, '--share', ALICE)).toEqual({
      a: key([BOB, ALICE]),
    })
  })

  it('derives mcbn/1 for the protocol of the URL, or the one asked for, and says which', async () => {
    const expected = (protocol: 'dtls12' | 'dtls13' | 'tls13') =>
      derivePsk(
        { alice: ALICE, bob: BOB },
        { descriptorHash: Buffer.alloc(32, 0xab), network: 'example', epoch: 3, protocol },
      )
    const all = [...LABELLED, ...MCBN, '--identity', 'a']
    const plain = await read(...all)
    expect(plain.derived?.identity).toBe('a')
    expect([...(plain.derived?.byProtocol.keys() ?? [])]).toEqual(['dtls12'])
    expect(plain.keys.get('a')).toEqual(expected('dtls12'))
    const asked = await read(...all, '--protocol', 'tls13')
    expect([...(asked.derived?.byProtocol.keys() ?? [])]).toEqual(['tls13'])
    expect(asked.keys.get('a')).toEqual(expected('tls13'))
    const both = await readFor(['dtls13', 'dtls12'], all)
    expect(both.derived?.byProtocol).toEqual(
      new Map([
        ['dtls13', expected('dtls13')],
        ['dtls12', expected('dtls12')],
      ]),
    )
    expect(both.keys.get('a')).toEqual(expected('dtls13'))
  })

  it('chooses what a client presents: the only identity, or the one named', async () => {
    const two = ['--psk', `a:${KEY}`, '--psk', `b:${OTHER}`]
    const key = Buffer.from(KEY, 'hex')
    expect(chooseCredential(await read('--psk', `a:${KEY}`))).toEqual({ identity: 'a', key })
    expect(chooseCredential(await read(...two, '--identity', 'a'))).toEqual({ identity: 'a', key })
    const several = await read(...two)
    expect(() => chooseCredential(several)).toThrow(/got 2; choose with --identity/)
    const stranger = await read(...two, '--identity', 'c')
    expect(() => chooseCredential(stranger)).toThrow(/--identity: expected one of/)
  })

  it('says in --help that arguments are visible', () => {
    let help = ''
    const command = new Command('listen').configureOutput({ writeOut: (text) => (help += text) })
    addKeyOptions(command)
    command.outputHelp()
    expect(help).toMatch(/visible to other users/)
    for (const option of [
      '--psk ',
      '--psk-file',
      '--share ',
      '--share-file',
      '--scheme',
      '--identity',
    ]) {
      expect(help).toContain(option)
    }
  })
})
