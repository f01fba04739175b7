import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { McbnError } from '../../src/errors.js'
import { loadPskFile, parsePskFile } from '../../src/psk/file.js'
import { requirePeer } from '../support/peers.js'

const KEY = '00112233445566778899aabbccddeeff'
const OTHER = 'ffeeddccbbaa99887766554433221100'
const good = (identity: string, key = KEY) => `${identity}:${key}`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcbn-psk-file-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function refusal(run: () => unknown): McbnError {
  try {
    run()
  } catch (error) {
    if (error instanceof McbnError) return error
    throw error
  }
  throw new Error('expected a refusal')
}

function parsed(text: string): Record<string, string> {
  return Object.fromEntries([...parsePskFile(text)].map(([id, key]) => [id, key.toString('hex')]))
}

describe('file/refusals name the line and hide the key', () => {
  it.each<[string, string, number, RegExp]>([
    ['no colon', `${good('a')}\n${KEY}${OTHER}`, 2, /got no colon/],
    ['a stranger among comments', `# keys\n\n${KEY}`, 3, /got no colon/],
    ['no identity', `:${KEY}`, 1, /identity: expected 1 to 64000 bytes, got 0/],
    ['no key', `${good('a')}\r\nb:`, 2, /got 0/],
    ['a key of 15 bytes', `a:${KEY.slice(2)}`, 1, /expected 16 to 512 bytes, got 15/],
    ['a key of 513 bytes', `a:${'07'.repeat(513)}`, 1, /got 513/],
    ['a key of zeros', `a:${'0'.repeat(32)}`, 1, /zero/],
    ['an odd number of digits', `a:${KEY}0`, 1, /even number/],
    ['a key that is no hex', `a:passphrase-passphrase`, 1, /ascii:<key>/],
    ['a space before the key', `a: ${KEY}`, 1, /white space/],
    ['a space inside the key', `a:${KEY.slice(0, 16)} ${KEY.slice(16)}`, 1, /white space/],
    ['a comment after the key', `a:${KEY} # of Alice`, 1, /white space/],
    ['an identity of 64,001 bytes', good('x'.repeat(64_001)), 1, /got 64001/],
    ['a space before the identity', good(' a'), 1, /white space around it/],
    ['a space after the identity', good('a '), 1, /white space/],
    ['a NUL in the identity', good('a\0b'), 1, /control character/],
    ['a lone carriage return', `${good('a')}\r${good('b')}`, 1, /several/],
    ['the same identity twice', `${good('a')}\n#\n${good('a', OTHER)}`, 3, /already on line 1/],
    // What two programs read differently; docs/INTEROP.md says how each does.
    ['a hex identity', good('#6162'), 1, /comment to mosquitto.*GnuTLS.*stunnel/],
    ['a commented-out key', `${good('b')}\n#${good('Client1')}`, 2, /say which format/],
    ['a commented-out key that is marked', `#${good('a:hex')}`, 1, /say which format/],
    ['a commented-out key with colons', '#a:00:11:22:33', 1, /say which format/],
    ['an odd hex identity', good('#616'), 1, /say which format/],
    ['a blank after the key', `${good('a')} `, 1, /white space/],
    ['a tab after the key', `${good('a')}\t`, 1, /white space/],
    ['a key in two parts', `a:${KEY}:${OTHER}`, 1, /colon within its digits/],
    ['colons in the identity', good('urn:dev:7'), 1, /several.*hex:<key>/],
    [
      'colons between the digits',
      `a:${KEY.replace(/..(?=.)/g, '$&:')}`,
      1,
      /colons between them; leave the colons out/,
    ],
    ['a line separator in the identity', good('a\u2028b'), 1, /control character/],
    ['a change of direction in the identity', good('a\u202eb'), 1, /control character/],
    ['a blank without width in the identity', good('a\u200bb'), 1, /control character/],
  ])('refuses %s', (_what, text, line, message) => {
    const error = refusal(() => parsePskFile(text))
    expect(error).toMatchObject({ code: 'MCBN_PSK_FILE_INVALID', kind: 'usage', line })
    expect(error.message).toMatch(new RegExp(`^line ${line}: `))
    expect(error.message).toMatch(message)
    const shown = `${inspect(error, { depth: 9 })} ${JSON.stringify(error)}`
    for (const secret of ['0011223344', '99aabbccdd', 'ffeeddccbb', 'passphrase', '0707']) {
      expect(shown).not.toContain(secret)
    }
  })

  it('refuses a file that is not there, with the reason', () => {
    const error = refusal(() => loadPskFile(join(folder, 'missing')))
    expect(error).toMatchObject({
      code: 'MCBN_PSK_FILE_INVALID',
      cause: expect.objectContaining({ code: 'ENOENT' }),
    })
    expect(error.message).toContain('missing')
  })

  it('refuses a file that is not UTF-8, with the line', () => {
    const path = join(folder, 'latin1')
    writeFileSync(path, Buffer.from(`${good('a')}\n${good('caf\u00e9')}\n${good('b')}\n`, 'latin1'))
    expect(refusal(() => loadPskFile(path))).toMatchObject({
      code: 'MCBN_PSK_FILE_INVALID',
      line: 2,
    })
  })

  it('refuses an unknown format, and an unknown option', () => {
    const read = (options: object) => () => parsePskFile(good('a'), options)
    expect(refusal(read({ format: 'psktool' }))).toMatchObject({ code: 'MCBN_OPTION_RANGE' })
    expect(refusal(read({ fromat: 'gnutls' }))).toMatchObject({ code: 'MCBN_OPTION_UNKNOWN' })
  })

  it('refuses bytes where text is expected', () => {
    const parse = parsePskFile as unknown as (text: Buffer) => unknown
    expect(refusal(() => parse(Buffer.from(good('a')))).code).toBe('MCBN_OPTION_TYPE')
  })
})

describe('file/lines', () => {
  it.each<[string, string, Record<string, string>]>([
    ['nothing', '', {}],
    ['only comments', '# a\n   # b\n\n\t\n#', {}],
    ['one line without an end', good('a'), { a: KEY }],
    ['LF', `${good('a')}\n${good('b', OTHER)}\n`, { a: KEY, b: OTHER }],
    ['CRLF', `${good('a')}\r\n${good('b', OTHER)}\r\n`, { a: KEY, b: OTHER }],
    ['a byte order mark', `\ufeff${good('a')}\n`, { a: KEY }],
    ['upper-case digits', good('a', KEY.toUpperCase()), { a: KEY }],
    ['an identity of 64,000 bytes', good('x'.repeat(64_000)), { ['x'.repeat(64_000)]: KEY }],
    ['joiners, which scripts need', good('a\u200db'), { 'a\u200db': KEY }],
    ['a space inside the identity', good('Client one'), { 'Client one': KEY }],
    ['an identity beyond ASCII', good('café 網'), { 'café 網': KEY }],
    ['a key marked hex:', `a:hex:${KEY}`, { a: KEY }],
    ['a key marked ascii:', `a:ascii:${KEY}`, { a: Buffer.from(KEY).toString('hex') }],
    [
      'an ascii: key with colons',
      'a:ascii:0123:4567:89ab:cdef',
      { a: Buffer.from('0123:4567:89ab:cdef').toString('hex') },
    ],
    ['colons before a marked key', `urn:dev:7:hex:${KEY}`, { 'urn:dev:7': KEY }],
    ['a commented-out line, with a space', `# ${good('Client1')}\n${good('b')}`, { b: KEY }],
    ['a comment with a colon', `# note: see below\n${good('b')}`, { b: KEY }],
    ['names that objects inherit', `${good('constructor')}\n`, { constructor: KEY }],
  ])('reads %s', (_what, text, expected) => {
    expect(parsed(text)).toEqual(expected)
  })

  it('keeps __proto__ an ordinary identity', () => {
    expect([...parsePskFile(good('__proto__')).keys()]).toEqual(['__proto__'])
  })

  it('keeps the order of the file', () => {
    const text = ['z', 'a', '10', '9'].map((id) => good(id)).join('\n')
    expect([...parsePskFile(text).keys()]).toEqual(['z', 'a', '10', '9'])
  })

  it('reads 10,000 lines', () => {
    const text = Array.from({ length: 10_000 }, (_, at) => good(`device-${at}`)).join('\n')
    expect(parsePskFile(text).size).toBe(10_000)
  })
})

describe('file/on disk', () => {
  it('reads by path and by URL', () => {
    const path = join(folder, 'keys')
    writeFileSync(path, `\ufeff# keys\r\n${good('café')}\r\n`)
    for (const where of [path, pathToFileURL(path)]) {
      expect([...loadPskFile(where)]).toEqual([['café', Buffer.from(KEY, 'hex')]])
    }
  })

  it.skipIf(!requirePeer('psktool'))('reads what psktool of GnuTLS writes', () => {
    const path = join(folder, 'psktool')
    // Of these, psktool writes the name with the colon as # and hex digits.
    for (const name of ['Client1', 'a:b', 'café x']) {
      execFileSync('psktool', ['--username', name, '--pskfile', path, '--keysize', '32'])
    }
    const keys = loadPskFile(path, { format: 'gnutls' })
    expect([...keys.keys()]).toEqual(['Client1', 'a:b', 'café x'])
    for (const key of keys.values()) expect(key.length).toBe(32)
  })
})
