import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { signDescriptor, verifySignedDescriptor } from '../../src/consent/descriptor/signed.js'
import { parsePolicy } from '../../src/consent/policy/parse.js'
import { parseWithdrawal } from '../../src/consent/release/parse.js'
import { verifyWithdrawal } from '../../src/consent/release/sign.js'
import { openStore } from '../../src/consent/store/open.js'
import { need, testNetwork } from '../consent/network.js'
import { network, workloadOf } from '../consent/participant/fixture.js'
import { temporaryFolder } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'
import type { Child } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { expectFailure, expectSuccess, mcbn, startMcbn } from './command.js'
import { logLines } from './log-lines.js'
import { folder, play, serving } from './participant-fixture.js'

async function stop(child: Child): Promise<void> {
  expect(await child.stop()).toEqual({ code: 0, signal: null })
  expect(child.stderr).toBe('')
}

describe('cli/participant', () => {
  it('makes a folder with sealed keys, and takes share and descriptor later', async () => {
    const parent = temporaryFolder()
    const dir = join(parent, 'dora')
    const keyFile = join(parent, 'key')
    writeFileSync(keyFile, randomBytes(32), { mode: 0o600 })
    const lock = ['--key-file', keyFile]
    const init = await mcbn([
      'participant',
      'init',
      '--dir',
      dir,
      '--label',
      'dora',
      ...lock,
      '--json',
    ])
    expectSuccess(init)
    const made = JSON.parse(init.stdout)
    expect(made).toMatchObject({ dir, label: 'dora', participant: join(dir, 'participant.json') })
    expect(JSON.parse(readFileSync(made.participant, 'utf8')).keys).toEqual({
      ed25519: made.ed25519,
      x25519: made.x25519,
    })
    expect(statSync(dir).mode & 0o777).toBe(0o700)

    // The others, and a descriptor that all sign; Dora with the keys of her folder.
    const store = await openStore(dir, { keyFile: readFileSync(keyFile) })
    const keys = new Map([['dora', store.keys]])
    const { signed, shares } = testNetwork({ labels: ['dora', 'emil'], keys })
    expect(signDescriptor(signed.descriptor, 'dora', store.keys)).toBe(signed.signatures['dora'])
    await store.close()
    const descriptor = join(parent, 'descriptor.json')
    writeFileSync(descriptor, JSON.stringify(signed))
    const input = `${need(shares, 'dora').toString('hex')}\n`
    const files = ['--descriptor', descriptor, '--share-file', '-']
    const at = ['--dir', dir, ...lock]
    const wrong = await mcbn(['participant', 'install', ...at, ...files], {
      input: `${'00'.repeat(32)}\n`,
    })
    expectFailure(wrong, 2, /MCBN_SHARE_INVALID/)
    const installed = await mcbn(['participant', 'install', ...at, ...files], { input })
    expectSuccess(installed)
    expect(installed.stdout).toContain(verifySignedDescriptor(signed).hashHex)
    expect(installed.stdout).not.toContain(input.trim())
    // The policy to begin with releases nothing, and is there to be edited.
    const policy = parsePolicy(readFileSync(join(dir, 'policy.json')))
    expect(policy.roles.client).toMatchObject({ approval: 'manual', projects: ['none'] })
    const status = await mcbn(['participant', 'status', '--dir', dir])
    expectSuccess(status)
    expect(status.stdout).toMatch(/^dora: not running\n {2}test network, epoch 1/)
  })

  it.runIf(requirePeer('openssl'))('asks a program for the key of its secrets', async () => {
    const parent = temporaryFolder()
    const at = (name: string) => join(parent, name)
    const wrong = ['participant', 'init', '--label', 'dora', '--dir', at('dora')]
    expectFailure(await mcbn([...wrong, '--key-command', at('none')]), 1, /got ENOENT/)
    const both = ['--key-command', at('none'), '--key-file', at('none')]
    expectFailure(await mcbn([...wrong, ...both]), 2, /--key-file: expected one of it/)
    const program = `#!/bin/sh
case $1 in
wrap) exec openssl enc -aes-256-ctr -pbkdf2 -pass pass:secret ;;
unwrap) exec openssl enc -d -aes-256-ctr -pbkdf2 -pass pass:secret ;;
esac
`
    writeFileSync(at('service'), program, { mode: 0o700 })
    expectSuccess(await mcbn([...wrong, '--key-command', at('service')]))
    const kept = JSON.parse(readFileSync(join(at('dora'), 'secrets.json'), 'utf8'))
    expect(kept.kdf.name).toBe('wrapped')
    const serve = ['participant', 'serve', '--dir', at('dora')]
    const env = { MCBN_KEY_COMMAND: at('service') }
    expectFailure(await mcbn(serve, { env }), 1, /expected share and descriptor of a ceremony/)
    writeFileSync(at('service'), program.replaceAll('secret', 'other'), { mode: 0o700 })
    expectFailure(await mcbn(serve, { env }), 1, /the key service and the files/)
  })

  it('takes a passphrase from the file that the environment names', async () => {
    const parent = temporaryFolder()
    const at = (name: string) => join(parent, name)
    const environment = (passphrase: string) => {
      writeFileSync(at(passphrase), `${passphrase}\n`, { mode: 0o600 })
      return { env: { MCBN_PASSPHRASE_FILE: at(passphrase) } }
    }
    const right = environment('correct horse battery')
    const dir = ['--dir', at('p')]
    expectSuccess(await mcbn(['participant', 'init', ...dir, '--label', 'ann'], right))
    const withdraw = ['participant', 'withdraw', ...dir, '--yes']
    expectFailure(await mcbn(withdraw, environment('another horse')), 1, /passphrase/)
    expectFailure(await mcbn(withdraw, right), 1, /expected share and descriptor/)
  })

  it('takes keys, share and descriptor of a ceremony that was held on the command line', async () => {
    const parent = temporaryFolder()
    const at = (name: string) => join(parent, name)
    mkdirSync(at('shared'))
    for (const label of ['ann', 'ben'])
      writeFileSync(at(`${label}.key`), randomBytes(32), { mode: 0o600 })
    const lockOf = (label: string) => ['--key-file', at(`${label}.key`)]
    const locks = { ann: lockOf('ann'), ben: lockOf('ben') }
    const inits = Object.entries(locks).map(([label, own]) =>
      mcbn(['ceremony', 'init', at(label), '--label', label, ...own]),
    )
    for (const init of await Promise.all(inits)) expectSuccess(init)
    const unfinished = [
      'participant',
      'init',
      '--dir',
      at('p'),
      '--ceremony',
      at('ann'),
      ...locks.ann,
    ]
    expectFailure(await mcbn(unfinished), 1, /--ceremony: expected a finished ceremony/)
    const image = (digit: string) => `sha256:${digit.repeat(64)}`
    const plan = await mcbn([
      ...['ceremony', 'plan', '--network', 'n', '--epoch', '1', '--dir', at('shared')],
      ...[
        '--participant',
        join(at('ann'), 'participant.json'),
        join(at('ben'), 'participant.json'),
      ],
      ...['--client-image', image('1'), '--server-image', image('2'), '--json'],
    ])
    expectSuccess(plan)
    const { planHash } = JSON.parse(plan.stdout)
    const runs = Object.entries(locks).map(([label, own]) =>
      mcbn([
        ...['ceremony', 'run', at(label), '--dir', at('shared')],
        ...['--plan-hash', planHash, '--timeout', '30', ...own],
      ]),
    )
    for (const run of await Promise.all(runs)) expectSuccess(run)
    const init = await mcbn([...unfinished, '--json'])
    expectSuccess(init)
    expect(JSON.parse(init.stdout)).toMatchObject({ label: 'ann', network: 'n', epoch: 1 })
    // And it runs: nothing is asked for that the ceremony did not give.
    const served = startMcbn(
      ['participant', 'serve', '--dir', at('p'), '--listen', '127.0.0.1:0'],
      { env: { MCBN_KEY_FILE: at('ann.key') } },
    )
    await served.output(/^participant ann listening on http:\/\/127\.0\.0\.1:\d+$/m)
    await stop(served)
  })

  it('serves, tells who waits, and does what its owner says from other terminals', async () => {
    const made = await folder({ approval: 'manual' })
    const { dir } = made
    const heard = join(temporaryFolder(), 'heard')
    const bell = join(temporaryFolder(), 'bell')
    writeFileSync(bell, `#!/bin/sh\ncat >>'${heard}'\n`, { mode: 0o700 })
    const { child, url } = await serving(
      made,
      ...['--web', '--notify-command', bell, '--trusted-proxy', '127.0.0.1', 'fd00::/8'],
    )
    expect(child.stdout).toMatch(/^participant alice listening on http:\/\/127\.0\.0\.1:\d+$/m)
    const [, page = ''] = await child.output(/^page: (http:\S+#login=\S+)$/m)
    expect((await fetch(page)).status).toBe(200)
    const { origin } = new URL(page)
    expect(origin).not.toBe(url)
    // The link works once: the token is for the next time.
    const [, token = ''] = await child.output(/^sign-in token, .*: (\S+)$/m)
    const login = (secret: string) =>
      fetch(`${origin}/web/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin },
        body: JSON.stringify({ secret }),
      })
    expect((await login('x'.repeat(token.length))).status).toBe(401)
    expect((await login(token)).status).toBe(200)
    expect(statSync(join(dir, 'admin.sock')).mode & 0o777).toBe(0o600)

    expect(await play(url)).toMatchObject({ code: 'manual' })
    const [, id = ''] = await child.output(/mcbn participant approve --dir \S+ ([0-9a-f]{16})$/m)
    await waitFor('the bell', () => existsSync(heard) && readFileSync(heard, 'utf8').endsWith('}'))
    expect(JSON.parse(readFileSync(heard, 'utf8'))).toMatchObject({
      type: 'consent.pending',
      data: { label: 'alice', waiting: 1 },
    })
    const status = JSON.parse(
      (await mcbn(['participant', 'status', '--dir', dir, '--json'])).stdout,
    )
    expect(status).toMatchObject({ running: true, url, pending: [{ role: 'client', times: 1 }] })
    expect(status.pending[0].id.startsWith(id)).toBe(true)
    expect(status.pending[0].facts.env).toEqual([
      ['MCBN_DESCRIPTOR_HASH', network.verified.hashHex],
    ])

    const none = await mcbn(['participant', 'approve', '--dir', dir, 'ffffffff'])
    expectFailure(none, 2, /expected at least 16 hex digits of the id, got 8/)
    const approve = await mcbn(['participant', 'approve', '--dir', dir, id, '--for', '3600'])
    expectSuccess(approve)
    expect(approve.stdout).toMatch(/^approved: client on \d+, until /)
    expect(await play(url)).toMatchObject({ label: 'alice', header: { leaseSeconds: 600 } })
    await child.output(/^released to client on /m)
    expect(await play(url, workloadOf('client', { debug: 'enabled' }))).toMatchObject({
      code: 'policy',
    })
    await child.output(/^refused client \(policy\): .*dbgstat/m)

    const refuse = await mcbn(['participant', 'refuse', '--dir', dir, id, '--json'])
    expectSuccess(refuse)
    expect(JSON.parse(refuse.stdout)).toMatchObject({ decision: 'refused' })
    expect(await play(url)).toMatchObject({ code: 'policy' })

    expectFailure(await mcbn(['participant', 'withdraw', '--dir', dir]), 2, /--yes/)
    const withdraw = await mcbn(['participant', 'withdraw', '--dir', dir, '--yes', '--json'])
    expectSuccess(withdraw)
    expect(verifyWithdrawal(parseWithdrawal(JSON.parse(withdraw.stdout)), network.verified)).toBe(
      true,
    )
    expect(await play(url)).toMatchObject({ code: 'withdrawn' })
    await child.output(/^alice has withdrawn/m)
    expect((await mcbn(['participant', 'status', '--dir', dir])).stdout).toMatch(/withdrawn since/)

    const busy = await mcbn(['participant', 'serve', '--dir', dir, '--listen', '127.0.0.1:0'], {
      env: made.env,
    })
    expectFailure(busy, 1, /MCBN_STORE_INVALID/)
    await stop(child)
    for (const encoding of ['hex', 'base64url'] as const) {
      expect(child.stdout).not.toContain(need(network.shares, 'alice').toString(encoding))
    }

    // After a restart it is still withdrawn, and its lease still counts.
    const again = await serving(made)
    expect(again.child.stdout).toMatch(/^alice has withdrawn: nothing is released$/m)
    expect(await play(again.url)).toMatchObject({ code: 'withdrawn' })
    const after = JSON.parse((await mcbn(['participant', 'status', '--dir', dir, '--json'])).stdout)
    expect(after).toMatchObject({ running: true, leases: [{ role: 'client', renewals: 0 }] })
    await stop(again.child)
  })

  it('verifies the audit, also while it is written, and says where it was altered', async () => {
    const made = await folder()
    const { dir } = made
    const { child, url } = await serving(made, '--json', '--metrics', '127.0.0.1:0')
    expect(await play(url)).toMatchObject({ label: 'alice' })
    const [first] = logLines(child.stdout)
    expect(first).toMatchObject({ event: 'listening', url })
    const { metrics } = first as unknown as { metrics: string }
    expect(await (await fetch(`${metrics}/readyz`)).json()).toEqual({ ready: true })
    const scraped = await (await fetch(`${metrics}/metrics`)).text()
    expect(scraped).toMatch(/^mcbn_participant_releases_total\{kind="first"\} 1$/m)
    expect(scraped).toMatch(/^process_start_time_seconds /m)
    const audit = await mcbn(['participant', 'audit', '--dir', dir])
    expectSuccess(audit)
    expect(audit.stdout).toMatch(/ {2}released {2}.*role=client/)
    const [, noted = ''] = audit.stdout.match(/^verified: \d+ lines, (\d+:[0-9a-f]{64})$/m) ?? []
    await stop(child)
    expect(logLines(child.stdout).map(({ event }) => event)).toEqual(['listening', 'released'])
    const auditOf = (...flags: string[]) => mcbn(['participant', 'audit', '--dir', dir, ...flags])
    const [later, asJson] = await Promise.all([
      auditOf('--noted', noted, '--last', '1'),
      auditOf('--json'),
    ])
    expectSuccess(later)
    expect(later.stdout).toMatch(/^\d+ {2}\S+ {2}stopped\nverified/)
    const json = JSON.parse(asJson.stdout)
    expect(json).toMatchObject({ verified: true })
    expect(json.last.map(({ event }: { event: string }) => event)).toContain('released')

    const file = join(dir, 'audit.jsonl')
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.split('\n').slice(0, 3).join('\n').concat('\n'))
    expectBroken(await auditOf('--noted', noted))
    writeFileSync(file, text.replace('"role":"client"', '"role":"server"'))
    const altered = await auditOf()
    expectBroken(altered)
    expect(altered.stdout).not.toMatch(/verified/)
    writeFileSync(file, text)
    appendFileSync(file, '{}\n')
    expectBroken(await auditOf())
  })

  it('withdraws from a folder at rest', async () => {
    const { dir, env, parent } = await folder()
    writeFileSync(join(parent, 'wrong'), randomBytes(32), { mode: 0o600 })
    const at = ['participant', 'withdraw', '--dir', dir, '--yes']
    expectFailure(await mcbn([...at, '--key-file', join(parent, 'wrong')]), 1, /MCBN_STORE_INVALID/)
    const withdraw = await mcbn(at, { env })
    expectSuccess(withdraw)
    expect(withdraw.stdout).toMatch(/^alice has withdrawn, at /)
    expect((await mcbn(['participant', 'status', '--dir', dir])).stdout).toMatch(
      /alice has withdrawn/,
    )
    expect(await mcbn(at, { env })).toMatchObject({ stdout: withdraw.stdout })
    expect((await mcbn(['participant', 'audit', '--dir', dir])).stdout).toMatch(/ {2}withdrawn/)
  })

  it('takes over the socket of a participant that was killed', async () => {
    const made = await folder()
    const { child } = await serving(made)
    child.process.kill('SIGKILL')
    await child.exited
    expect(existsSync(join(made.dir, 'admin.sock'))).toBe(true)
    expect((await mcbn(['participant', 'status', '--dir', made.dir])).stdout).toMatch(/not running/)
    const again = await serving(made)
    await stop(again.child)
    expect(existsSync(join(made.dir, 'admin.sock'))).toBe(false)
  })

  it('opens nothing that others can get at', async () => {
    const { dir, env } = await folder()
    chmodSync(dir, 0o755)
    const serve = ['participant', 'serve', '--dir', dir, '--listen', '127.0.0.1:0']
    expectFailure(await mcbn(serve, { env }), 1, /MCBN_STORE_INVALID/)
  })

  it.each<readonly [string, readonly string[], RegExp]>([
    ['no part', ['participant'], /init, install, serve, status/],
    ['no folder', ['participant', 'status'], /--dir/],
    ['neither label nor ceremony', ['participant', 'init', '--dir', 'x'], /--ceremony or --label/],
    [
      'half an epoch',
      ['participant', 'install', '--dir', 'x', '--descriptor', 'd'],
      /--share-file/,
    ],
    ['a wrong address', ['participant', 'serve', '--dir', 'x', '--listen', 'here'], /--listen/],
    [
      'a proxy without an address',
      ['participant', 'serve', '--dir', 'x', '--trusted-proxy', '10.0.0.0/8', 'lb.example'],
      /--trusted-proxy: expected an IP address or a network such as 10\.0\.0\.0\/8, got "lb\.example"/,
    ],
    ['a wrong port', ['participant', 'serve', '--dir', 'x', '--listen', 'a:65536'], /--listen/],
  ])('answers %s with exit code 2', async (_, args, reason) => {
    expectFailure(await mcbn(args), 2, reason)
  })

  it('tells how each part is used', async () => {
    const parts = ['init', 'install', 'serve', 'status', 'approve', 'refuse', 'withdraw', 'audit']
    for (const part of [[], ...parts.map((name) => [name])]) {
      const child = await mcbn(['participant', ...part, '--help'])
      expectSuccess(child)
      expect(child.stdout).toContain(`Usage: mcbn participant ${part[0] ?? ''}`)
      expect(child.stdout.split('\n').filter((line) => line.length > 110)).toEqual([])
    }
  })
})

/** A broken audit is no mistake of the command line, and what still holds has been printed. */
function expectBroken(child: Awaited<ReturnType<typeof mcbn>>): void {
  expect(child.exit, child.report()).toEqual({ code: 1, signal: null })
  expect(child.stderr).toMatch(/^mcbn: .*MCBN_AUDIT_BROKEN.*\n$/)
}
