// What people met who used the command for the first time: each test is one of their stumbles.

import { chmodSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fitHelp } from '../../src/cli/help.js'
import { combinePieces, splitSecret } from '../../src/consent/shares/pieces.js'
import { commandFile, temporaryFolder } from '../support/paths.js'
import { run, start } from '../support/process.js'
import { expectFailure, expectSuccess, KEY, listening, mcbn, PSK, startMcbn } from './command.js'

const CLOSED = 'dtls://127.0.0.1:1'
const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`

describe('a file that cannot be read ends the command with 1, and says what to do', () => {
  it.each<readonly [string, readonly string[]]>([
    ['a key file', ['connect', CLOSED, '--psk-file', '/nonexistent']],
    ['a share file', ['derive', '--share-file', '/nonexistent', '/nonexistent']],
    ['a piece', ['combine', '/nonexistent']],
    ["a participant's folder", ['participant', 'status', '--dir', '/nonexistent']],
  ])('%s', async (_, args) => {
    const child = await mcbn(args)
    expectFailure(child, 1, /check the path: there is no such file/)
    expect(child.stderr).not.toContain('--help')
  })
})

describe('dtls:// on the command line', () => {
  it('has the options of the library, and tells its figures', async () => {
    const flags = ['--mtu', '600', '--connection-id', '4', '--idle-timeout', '60000', '--stats']
    const server = startMcbn(['listen', 'dtls://127.0.0.1:0', ...PSK, '--echo', '--json', ...flags])
    const [, url = ''] = await server.output(/"url":"(dtls:[^"]+)"/)
    const input = 'hello\n'
    const client = await mcbn(['connect', url, ...PSK, '--preset', 'coap', '--json', ...flags], {
      input,
    })
    expect(client.stdout).toBe(input)
    const told = client.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(told).toMatchObject([
      { event: 'connected', cipher: 'PSK-AES128-CCM' },
      { event: 'stats', messagesSent: 1, messagesReceived: 1 },
    ])
    for (const { time } of told) expect(time).toMatch(new RegExp(`^${TIME}$`))
    await server.stop()
    expect(server.stderr).toMatch(/"event":"stats".*"handshakesCompleted":1/)
  })

  it.each(['--mtu=600', '--connection-id', '--preset=hue', '--idle-timeout=9', '--stats'])(
    '%s is refused on tls://',
    async (flag) => {
      const child = await mcbn(['connect', 'tls://127.0.0.1:1', ...PSK, flag])
      expectFailure(child, 2, /expected with a dtls:\/\/ URL/)
    },
  )

  it('speaks DTLS 1.3 where both sides are told to', async () => {
    const { server, url } = await listening(
      ...['dtls://127.0.0.1:0', '--echo', '--verbose', '--max-version', 'DTLSv1.3'],
    )
    for (const [version, ...flags] of [
      ['DTLSv1.3', '--min-version', 'DTLSv1.3'],
      ['DTLSv1.2'],
      ['DTLSv1.3', '--min-version', 'DTLSv1.2', '--max-version', 'DTLSv1.3'],
    ] as const) {
      const child = await mcbn(['connect', url, ...PSK, ...flags, '--verbose'], { input: 'x\n' })
      expect(child.exit.code, child.report()).toBe(0)
      expect(child.stderr).toContain(`(${version},`)
      await server.output(new RegExp(`connected.*${version.replace('.', '\\.')}`))
    }
  })

  it('does not offer a key check value as a key', async () => {
    expectFailure(await mcbn(['connect', CLOSED, '--protocol', 'kcv', ...PSK]), 2, /dtls13/)
  })

  it('--verbose says when', async () => {
    const { server, url } = await listening('dtls://127.0.0.1:0', '--echo', '--verbose')
    expectSuccess(await mcbn(['connect', url, ...PSK], { input: 'x\n' }))
    await server.output(new RegExp(`^${TIME} 127\\.0\\.0\\.1:\\d+ connected`, 'm'))
  })

  it('names a key file that others can use, once it has served its purpose', async () => {
    const file = join(temporaryFolder(), "it's keys")
    writeFileSync(file, `Client1:${KEY}\n`)
    chmodSync(file, 0o644)
    const { url } = await listening('dtls://127.0.0.1:0', '--echo')
    const child = await mcbn(['connect', url, '--psk-file', file], { input: 'x\n' })
    expect(child.stderr).toMatch(/^mcbn: warning: --psk-file: .*mode 644.*chmod 600 '.*'\n$/)
    chmodSync(file, 0o600)
    expectSuccess(await mcbn(['connect', url, '--psk-file', file], { input: 'x\n' }))
  })
})

describe('at a terminal', () => {
  it('Ctrl-C at a passphrase prompt ends with 130 and says nothing', async () => {
    const folder = join(temporaryFolder(), 'alice')
    const typed = `${process.execPath} ${commandFile} ceremony init ${folder} --label alice`
    const child = start('script', ['-qec', typed, '/dev/null'])
    await child.output(/Passphrase for the secrets/)
    child.process.stdin?.write('\x03')
    expect(await child.exited).toEqual({ code: 130, signal: null })
    expect(child.stdout).not.toMatch(/mcbn:|usage|--help/)
  })

  it('tells what a build is at, and only there', async () => {
    const program = `import { withProgress } from ${JSON.stringify(join(dirname(commandFile), 'progress.js'))}
      const seconds = (count) => new Promise((resolve) => setTimeout(resolve, 1_000 * count))
      await withProgress(async (onStep) => { onStep('Node.js 20'); await seconds(0.2) })`
    const file = join(temporaryFolder(), 'build.mjs')
    writeFileSync(file, program)
    const shown = await run('script', ['-qec', `${process.execPath} ${file}`, '/dev/null'])
    expect(shown.stdout).toContain('Node.js 20')
    expect(await run(process.execPath, [file])).toMatchObject({ stdout: '', stderr: '' })
  })

  it('help is broken once, at the width there is', () => {
    const text =
      'One two three\nfour five.\n\nSteps:\n  init   make keys and hand them over\n  mcbn init'
    expect(fitHelp(text, 20)).toBe(
      'One two three four\nfive.\n\nSteps:\n  init   make keys\n         and hand\n         them over\n  mcbn init',
    )
  })
})

it("participant status in a ceremony's folder says whose folder that is", async () => {
  const cwd = temporaryFolder()
  writeFileSync(join(cwd, 'key'), 'ab'.repeat(32), { mode: 0o600 })
  const begun = ['ceremony', 'init', 'mine', '--label', 'alice', '--key-file', 'key']
  const made = await mcbn(begun, { cwd })
  expect(made.exit, made.report()).toEqual({ code: 0, signal: null })
  const asked = await mcbn(['participant', 'status', '--dir', 'mine'], { cwd })
  expectFailure(asked, 1, /mine: expected .* folder, got that of a ceremony: mcbn ceremony status/)
})

it('combine says that a piece is cut, not that it is something else', async () => {
  const [one = '', two = ''] = await splitSecret(Buffer.from(KEY, 'hex'), {
    threshold: 2,
    pieces: 2,
  })
  await expect(combinePieces([one, two.slice(0, -3)])).rejects.toThrow(
    /piece 2 of the input: .* cut/,
  )
})
