import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { expectFailure, expectSuccess, KEY, mcbn, OTHER_KEY, PSK } from './command.js'

const TLS = 'tls://127.0.0.1:1'

describe('cli/usage', () => {
  describe('answers a wrong command line with exit code 2 and one line on stderr', () => {
    it.each<readonly [string, readonly string[], RegExp]>([
      ['no command', [], /expected a command: listen, connect, .*; see mcbn --help/],
      ['an unknown command', ['lisen'], /unknown command 'lisen' \(Did you mean listen\?\)/],
      [
        'a misspelt option where that option is required',
        ['workload', 'client', '--conect', 'tls://127.0.0.1:1'],
        /unknown option '--conect' \(Did you mean --connect\?\); see mcbn workload client --help/,
      ],
      [
        'help about a misspelt command',
        ['help', 'imgae'],
        /unknown command 'imgae' \(Did you mean image\?\)/,
      ],
      [
        'help about a misspelt part',
        ['image', 'help', 'digset'],
        /unknown command 'digset' \(Did you mean digest\?\); see mcbn image --help/,
      ],
      ['a digest cut short', ['image', 'verify', 'sha256:abc'], /sha256: and 64 lower-case hex/],
      ['no url', ['connect', ...PSK], /missing required argument 'url'; see mcbn connect --help/],
      ['a wrong url', ['connect', 'http://host:1', ...PSK], /expected tls:\/\/ .* or dtls:\/\//],
      ['port 0 for connect', ['connect', 'tls://127.0.0.1:0', ...PSK], /port 0 is for mcbn listen/],
      ['an argument too many', ['listen', TLS, 'x', ...PSK], /too many arguments/],
      ['no key', ['connect', TLS], /expected --psk <identity>:<hexkey>, --psk-file, or --share/],
      ['a short key', ['listen', TLS, '--psk', 'a:0011'], /16 to 512 bytes, got 2/],
      [
        'an identity of 64,001 bytes',
        ['listen', TLS, '--psk', `${'a'.repeat(64_001)}:${KEY}`],
        /64000/,
      ],
      [
        'two identities to connect with',
        ['connect', TLS, '--psk', `a:${KEY}`, '--psk', `b:${OTHER_KEY}`],
        /expected one identity to connect with, got 2; choose with --identity/,
      ],
      ['--echo with --http', ['listen', TLS, ...PSK, '--echo', '--http'], /cannot be used with/],
      ['--http over DTLS', ['listen', 'dtls://127.0.0.1:0', ...PSK, '--http'], /needs a stream/],
      [
        'TLS versions over DTLS',
        ['connect', 'dtls://127.0.0.1:1', ...PSK, '--min-version', 'TLSv1.2'],
        /expected DTLSv1.2 or DTLSv1.3 with dtls:\/\/, got TLSv1.2/,
      ],
      [
        'DTLS versions over TLS',
        ['connect', TLS, ...PSK, '--max-version', 'DTLSv1.3'],
        /expected TLSv1.2 or TLSv1.3 with tls:\/\/, got DTLSv1.3/,
      ],
      [
        'an empty range of versions',
        ['connect', TLS, ...PSK, '--min-version', 'TLSv1.3', '--max-version', 'TLSv1.2'],
        /leave nothing to speak/,
      ],
      [
        'an unknown version',
        ['connect', TLS, ...PSK, '--min-version', 'TLSv1.1'],
        /Allowed choices are TLSv1.2, TLSv1.3, DTLSv1.2, DTLSv1.3/,
      ],
      [
        'a timeout that is not a number',
        ['connect', TLS, ...PSK, '--handshake-timeout', '10s'],
        /expected milliseconds from 0 to 2147483647, got "10s"/,
      ],
      [
        'a timeout beyond all timers',
        ['connect', TLS, ...PSK, '--handshake-timeout', '2147483648'],
        /expected milliseconds from 0 to 2147483647/,
      ],
      ['ciphers that select nothing', ['connect', TLS, ...PSK, '--ciphers', 'NOPE'], /NOPE/],
      ['an empty ALPN name', ['connect', TLS, ...PSK, '--alpn', 'h2,'], /names of 1 to 255 bytes/],
      [
        'a key log that cannot be written',
        ['connect', TLS, ...PSK, '--keylog', '/nonexistent/keys.log'],
        /--keylog: cannot append/,
      ],
      [
        'a key derived for another protocol',
        [
          ...['connect', TLS, '--identity', 'a', '--protocol', 'dtls12'],
          ...['--share', `alice=${KEY}`, '--share', `bob=${OTHER_KEY}`],
          ...['--descriptor-hash', KEY, '--network', 'test', '--epoch', '1'],
        ],
        /--protocol dtls12: this key is not for the versions/,
      ],
    ])('%s', async (_, args, reason) => {
      const child = await mcbn(args)
      expectFailure(child, 2, reason)
      expect(child.stderr).toMatch(/see mcbn .*--help\n$/)
    })
  })

  it('never repeats a key, wherever it was mistyped', async () => {
    for (const args of [
      ['connect', TLS, `--pks=Client1:${KEY}`],
      ['workload', 'client', `--conect=tls://Client1:${KEY}@127.0.0.1:1`],
      ['workload', 'client', '--conect', `tls://Client1:${KEY}@127.0.0.1:1`],
      ['connect', TLS, '--psk', KEY],
      ['connect', TLS, '--psk', `Client1:${KEY}z`],
      ['connect', `tls://Client1:${KEY}@127.0.0.1:1`, ...PSK],
      ['connect', TLS, ...PSK, `Client1:${KEY}`],
    ]) {
      const child = await mcbn(args)
      expectFailure(child, 2, /./)
      expect(child.stderr).not.toContain(KEY.slice(0, 16))
    }
  })

  it('names the line of a key file that is wrong, and not the key', async () => {
    const file = join(temporaryFolder(), 'keys.txt')
    writeFileSync(file, `# keys\nClient1:${KEY}\nClient2:${KEY.slice(1)}\n`)
    const child = await mcbn(['connect', TLS, '--psk-file', file, '--identity', 'Client1'])
    expectFailure(child, 1, /line 3/)
    expect(child.stderr).not.toContain(KEY.slice(1, 16))
  })

  it('answers a file that is missing with exit code 1, and no word of --help', async () => {
    const none = join(temporaryFolder(), 'none')
    for (const args of [
      ['image', 'digest', none],
      ['connect', TLS, '--psk-file', none],
      ['combine', none, none],
    ]) {
      const child = await mcbn(args)
      expectFailure(child, 1, /no such file or folder/)
      expect(child.stderr).not.toContain('--help')
    }
  })

  it('refuses a folder as key log', async () => {
    const folder = join(temporaryFolder(), 'log')
    mkdirSync(folder)
    expectFailure(await mcbn(['connect', TLS, ...PSK, '--keylog', folder]), 2, /EISDIR/)
  })

  describe('tells how it is used, with exit code 0', () => {
    it.each<readonly [string, readonly RegExp[]]>([
      ['', [/listen/, /connect/, /derive/, /demo/]],
      ['listen', [/--echo/, /--http/, /--psk <identity:key>/, /--hint/, /milliseconds/, /port 0/]],
      ['connect', [/--servername/, /--psk-file/, /one datagram/, /silent for 2 s/, /hex:/]],
      ['derive', [/--scheme/, /--share-file/, /--json/]],
      ['bench', [/round-trip/, /node:dgram/, /--seconds/, /servers that are yours/, /--psk/]],
      ['demo', [/Carol/, /--json/, /only if every step held/]],
    ])('mcbn %s --help', async (command, told) => {
      const child = await mcbn(command === '' ? ['--help'] : [command, '--help'])
      expectSuccess(child)
      const text = child.stdout.replace(/\s+/g, ' ')
      for (const expression of told) expect(text).toMatch(expression)
      // Nobody's terminal is known here: 80 columns, except for commands that are shown to be typed.
      const wide = child.stdout.split('\n').filter((line) => line.length > 80)
      expect(wide.filter((line) => !/^ {2}(mcbn|echo) /.test(line))).toEqual([])
    })

    it('mcbn --version', async () => {
      const child = await mcbn(['--version'])
      expectSuccess(child)
      expect(child.stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/)
    })
  })
})
