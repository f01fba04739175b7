// mcbn participant export-audit, and where serve notes heads.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readAudit, verifyAudit } from '../../src/consent/audit/log.js'
import { openStore } from '../../src/consent/store/open.js'
import { expectFailure, expectSuccess, mcbn } from './command.js'
import { type Folder, folder, serving } from './participant-fixture.js'

/** Some segments of an audit. */
async function withLines({ dir, lock }: Folder, lines: number): Promise<string> {
  const store = await openStore(dir, lock, { fsync: false })
  for (let at = 0; at < lines; at++) await store.audit.append({ type: 'stopped' })
  await store.close()
  const later = readdirSync(dir).filter((name) => /^audit\.\d+\.jsonl$/.test(name))
  return ['audit.jsonl', ...later.sort()].reduce(
    (all, name) => all + readFileSync(join(dir, name), 'utf8'),
    '',
  )
}

describe('cli/participant export-audit', () => {
  it('writes no line that was altered, and ends there', async () => {
    const alice = await folder()
    const all = await withLines(alice, 1_500)
    const file = join(alice.dir, 'audit.jsonl')
    const lines = readFileSync(file, 'utf8').split('\n')
    const place = lines.findIndex((line) => line.includes('"seq":700,'))
    lines[place] = (lines[place] ?? '').replace('"stopped"', '"started"')
    writeFileSync(file, lines.join('\n'))
    const exported = await mcbn(['participant', 'export-audit', '--dir', alice.dir])
    expect(exported.exit.code).toBe(1)
    expect(exported.stderr).toMatch(/MCBN_AUDIT_BROKEN/)
    // The altered line still fits the one before; the next one shows it.
    const held = exported.stdout.split('\n').slice(0, 699).join('\n')
    expect(all.startsWith(held)).toBe(true)
    expect(exported.stdout.split('\n').length).toBeLessThanOrEqual(701)
    // It is found outside of the part that was asked for, too.
    const part = ['participant', 'export-audit', '--dir', alice.dir, '--from', '1', '--to', '10']
    expect((await mcbn(part)).exit.code).toBe(1)
  })

  it('writes all lines, or a part of them, as they are kept', async () => {
    const alice = await folder()
    const all = await withLines(alice, 1_500)
    const command = ['participant', 'export-audit', '--dir', alice.dir]
    const whole = await mcbn(command)
    expectSuccess(whole)
    expect(whole.stdout).toBe(all)
    const out = join(alice.parent, 'audit-export.jsonl')
    const written = await mcbn([...command, '--out', out])
    expectSuccess(written)
    expect(statSync(out).mode & 0o777).toBe(0o600)
    const head = await verifyAudit(out)
    expect(written.stdout).toContain(`verified up to ${head.lines}:${head.head}`)
    const part = await mcbn([...command, '--from', '1100', '--to', '1200'])
    expectSuccess(part)
    expect(part.stdout).toBe(all.split('\n').slice(1_099, 1_200).join('\n').concat('\n'))
    const { broken } = await readAudit([Buffer.from(part.stdout)])
    expect(broken?.message).toMatch(/line 1/)
    expectFailure(await mcbn([...command, '--out', out]), 1, /EEXIST/)
    for (const range of [
      ['--from', '0'],
      ['--from', '5', '--to', '4'],
      ['--to', 'x'],
    ]) {
      expectFailure(await mcbn([...command, ...range]), 2, /--from|--to/)
    }
    expect(existsSync(join(alice.dir, 'lock'))).toBe(true)
  })

  it('passes over the end of a line that is being written', async () => {
    const alice = await folder()
    const all = await withLines(alice, 3)
    const file = join(alice.dir, 'audit.jsonl')
    writeFileSync(file, `${readFileSync(file, 'utf8')}{"event":"sto`)
    const whole = await mcbn(['participant', 'export-audit', '--dir', alice.dir])
    expectSuccess(whole)
    expect(whole.stdout).toBe(all)
  })
})

describe('cli/participant serve --audit-heads <url>', () => {
  it('does not serve a folder that was put back, nor without an answer', async () => {
    const kept: string[] = []
    let asked = 0
    const server = createServer(async (request, response) => {
      if (request.method === 'GET') asked += 1
      for await (const chunk of request) kept.push(`${chunk}`)
      response.writeHead(request.headers.authorization === 'Bearer t0ken' ? 200 : 401)
      response.end(kept.join(''))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const alice = await folder()
    const { parent, dir, env } = alice
    writeFileSync(join(parent, 'token'), 't0ken\n', { mode: 0o600 })
    const heads = ['--audit-heads', url, '--audit-heads-token-file', join(parent, 'token')]
    const file = join(dir, 'audit.jsonl')
    const before = readFileSync(file)
    const { child } = await serving(alice, ...heads)
    // Once, before the participant was made: an address that is slow or dear is not asked for nothing.
    expect(asked).toBe(1)
    expect(await child.stop()).toEqual({ code: 0, signal: null })
    // At its end it has noted that it stopped.
    expect(kept.at(-1)).toMatch(/^4:/)
    writeFileSync(file, before)
    const serve = ['participant', 'serve', '--dir', dir, '--listen', '127.0.0.1:0']
    expectFailure(await mcbn([...serve, ...heads], { env }), 1, /expected at least 4 lines/)
    const without = await mcbn([...serve, ...heads.slice(0, 2)], { env })
    expectFailure(without, 1, /expected 200 and noted heads, or 404, got 401/)
    for (const [typed, reason] of [
      [['--audit-heads', 'http://heads.example/'], /--audit-heads: expected an https:/],
      [[...heads.slice(2), '--audit-heads', 'file'], /--audit-heads-token-file: expected/],
      [['--audit-log', 'https://log.example/'], /--audit-log: expected --audit-log-key/],
    ] as const) {
      expectFailure(await mcbn([...serve, ...typed], { env }), 2, reason)
    }
  })
})
