// mcbn workload: both workloads in their own processes, participants behind HTTP, a launcher's socket
// for each.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Role } from '../../src/consent/descriptor/types.js'
import { need } from '../consent/network.js'
import { consentRig, type Rig, type RigOptions } from '../consent/workload/rig.js'
import { temporaryFolder } from '../support/paths.js'
import { freeTcpPort } from '../support/ports.js'
import { expectFailure, mcbn, startMcbn } from './command.js'
import { logLines } from './log-lines.js'

interface Setup {
  readonly rig: Rig
  readonly folder: string
  /** The options of a role, without --listen or --connect. */
  args(role: Role, more?: readonly string[]): string[]
}

async function setup(options: RigOptions = {}): Promise<Setup> {
  const rig = await consentRig(options)
  const folder = temporaryFolder()
  const descriptor = join(folder, 'network.json')
  writeFileSync(descriptor, JSON.stringify(rig.network.signed))
  return {
    rig,
    folder,
    args: (role, more = []) => [
      'workload',
      role,
      '--descriptor',
      descriptor,
      '--descriptor-hash',
      rig.network.verified.hashHex,
      '--attester',
      `local:${rig.socketPath(role)}`,
      ...Object.entries(rig.urls).flatMap(([label, url]) => ['--participant', `${label}=${url}`]),
      ...more,
    ],
  }
}

/** With the last attester only. */
function alone(typed: readonly string[]): readonly string[] {
  return typed.filter((_, at) => ![at, at - 1].includes(typed.indexOf('--attester')))
}

describe('cli/workload', () => {
  it('serves and connects with the consent of all: TLS and DTLS, the same key check value', async () => {
    const { args } = await setup()
    const server = startMcbn(
      args('server', [
        ...['--listen', 'tls://127.0.0.1:0', '--listen', 'dtls://127.0.0.1:0'],
        ...['--echo', '--json'],
      ]),
    )
    const [, tls] = await server.output(/"listening","url":"(tls:[^"]+)"/)
    const [, dtls] = await server.output(/"listening","url":"(dtls:[^"]+)"/)
    const [, kcv] = await server.output(/"event":"joined".*"kcv":"([0-9a-f]{64})"/)
    for (const url of [`${tls}`, `${dtls}`]) {
      const client = await mcbn(args('client', ['--connect', url, '--json']), { input: 'hello\n' })
      expect(client.exit, client.report()).toEqual({ code: 0, signal: null })
      expect(client.stdout).toBe('hello\n')
      expect(client.stderr).toContain(`"kcv":"${kcv}"`)
    }
    await server.stop()
    expect(await server.exited).toEqual({ code: 0, signal: null })
  })

  it('tells each step to people who want to know, and keeps an audit', async () => {
    const { args, folder } = await setup()
    const audit = join(folder, 'audit.jsonl')
    const server = startMcbn(
      args('server', ['--listen', 'tls://127.0.0.1:0', '--http', '--verbose', '--audit', audit]),
    )
    await server.output(/^listening on tls:\/\/127\.0\.0\.1:\d+$/m)
    for (const label of ['alice', 'bob', 'carol']) {
      expect(server.stderr).toContain(`asking ${label}\n`)
      expect(server.stderr).toContain(`${label} wants evidence\n`)
      expect(server.stderr).toMatch(
        new RegExp(`^\\S+Z ${label} released its share, for \\d+ s$`, 'm'),
      )
    }
    expect(server.stderr).toMatch(
      /^\S+Z joined "test network", epoch 1, as server; key check value [0-9a-f]{64}$/m,
    )
    expect((await server.stop()).code).toBe(0)
    const { AuditLog } = await import('../../src/consent/audit/log.js')
    const log = await AuditLog.open(audit)
    expect(log.recent().map(({ event }) => event)).toEqual([
      ...['released', 'released', 'released', 'joined', 'ended'],
    ])
    await log.close()
  })

  it('ends with one line that says who refused, and nothing listens', async () => {
    const { args, rig } = await setup()
    await need(rig.participants, 'bob').withdraw()
    const port = await freeTcpPort()
    const server = await mcbn(args('server', ['--listen', `tls://127.0.0.1:${port}`, '--echo']))
    expectFailure(
      server,
      1,
      /^mcbn: expected the shares of 3 participants, got \d: .*bob refused \(withdrawn\).*\(MCBN_CONSENT_INSUFFICIENT\); ask those that are named/,
    )
  })

  it('names the socket of an attester that is not there, and blames no participant', async () => {
    const { args, folder } = await setup()
    const none = join(folder, 'nope.sock')
    const child = await mcbn(
      args('client', ['--attester', `local:${none}`, '--connect', 'tls://127.0.0.1:1']).filter(
        (_, at, all) => at !== all.indexOf('--attester') && at !== all.indexOf('--attester') + 1,
      ),
    )
    expectFailure(
      child,
      1,
      /local attester: the socket \S+nope\.sock failed; does mcbn attester local run there\?.*; check --attester/,
    )
  })

  it('gives up at its deadline, with the silent ones for machines', async () => {
    const { args } = await setup()
    const away = `http://127.0.0.1:${await freeTcpPort()}`
    const child = await mcbn(
      [
        ...args('client').map((text) => (text.startsWith('carol=') ? `carol=${away}` : text)),
        ...['--connect', 'tls://127.0.0.1:1', '--deadline', '2', '--json'],
      ],
      {},
    )
    expect(child.exit, child.report()).toEqual({ code: 1, signal: null })
    expect(child.stdout).toBe('')
    const events = logLines(child.stderr)
    expect(events.find(({ event }) => event === 'insufficient')).toMatchObject({
      need: 3,
      have: 2,
      silent: 'carol',
    })
    expect(events.at(-1)).toMatchObject({ event: 'error', code: 'MCBN_CONSENT_INSUFFICIENT' })
  })

  it('cuts its connections and ends when a participant withdraws, saying who', async () => {
    const { args, rig } = await setup({ leaseSeconds: 5 })
    const server = startMcbn(args('server', ['--listen', 'tls://127.0.0.1:0', '--echo']))
    const [, url] = await server.output(/^listening on (\S+)$/m)
    const client = startMcbn(args('client', ['--connect', `${url}`]))
    client.write('hello\n')
    await client.output(/^hello$/m)
    await need(rig.participants, 'alice').withdraw()
    const ended = /the consent of epoch 1 was withdrawn by alice; .*\(MCBN_CONSENT_ENDED\)/
    await server.output(ended)
    expect(await server.exited).toEqual({ code: 1, signal: null })
    expect((await client.exited).signal).toBeNull()
  })

  it('stops at a signal while it still waits for consent', async () => {
    const { args } = await setup({ rulesOf: { carol: { approval: 'manual' } } })
    const server = startMcbn(
      args('server', ['--listen', 'tls://127.0.0.1:0', '--echo', '--verbose', '--deadline', '600']),
    )
    await server.output(
      /^\S+Z carol has not decided yet \(waits for a person\); asking again in \d+ s$/m,
    )
    server.process.kill('SIGTERM')
    expect(await server.exited).toEqual({ code: 0, signal: null })
    expect(server.stdout).toBe('')
  })

  it('says what is wrong with its command line', async () => {
    const { args } = await setup()
    const listen = ['--listen', 'tls://127.0.0.1:0']
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['workload'], /expected one of its commands: server, client/],
      [['workload', 'server', ...listen], /--descriptor/],
      [args('server'), /--listen/],
      [args('client'), /--connect/],
      [args('server', [...listen, '--descriptor-hash', 'AB']), /--descriptor-hash: expected 64/],
      [
        args('server', [...listen, '--participant', 'alice']),
        /--participant: expected <label>=<url>/,
      ],
      [args('server', [...listen, '--participant', 'alice=http://x']), /alice is given twice/],
      [args('server', [...listen, '--attester', 'local']), /--attester: expected/],
      [args('server', [...listen, '--attester', 'snp local']), /--attester: expected/],
      [
        args('server', [...listen, '--attester', 'snp', '--attester', 'snp:/other']),
        /--attester: attesters: expected 2 to 4, each of another kind, got local, amd-sev-snp, amd-sev-snp/,
      ],
      [args('server', [...listen, '--attester', 'tdx']), /--attester: expected.*tdx:<collateral/],
      [
        alone(args('server', [...listen, '--attester', 'snp', '--token-type', 'PKI'])),
        /--token-type: expected none, since snp/,
      ],
      [args('server', [...listen, '--deadline', '0']), /--deadline/],
      [args('server', ['--listen', 'dtls://127.0.0.1:0', '--http']), /--http: HTTP needs a stream/],
      [args('client', ['--connect', 'tls://127.0.0.1:0']), /expected the server's port/],
      [args('server', [...listen, ...listen]), /stdin and stdout serve one url/],
    ]
    for (const [typed, message] of wrong) {
      expectFailure(await mcbn(typed, { env: { MCBN_DESCRIPTOR_HASH: undefined } }), 2, message)
    }
  })
})
