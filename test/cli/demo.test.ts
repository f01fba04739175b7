// mcbn demo, as a newcomer runs it.

import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { spellingsOf } from '../../src/cli/demo/finder.js'
import { searchFolder } from '../../src/cli/demo/search.js'
import { slowdown } from '../support/pace.js'
import { temporaryFolder } from '../support/paths.js'
import { type Child, startTypescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { startMcbn } from './command.js'

const STEPS = [
  'ceremony',
  'ask',
  'tls',
  'dtls',
  'wrong-image',
  'altered',
  'replay',
  'withdraw',
  'threshold',
  'blocked',
  'blame',
  'search',
]
/** Three participants, three machines, the vendor, Frank. */
const PROCESSES = 8
/** Milliseconds: a minute is what is promised of a machine that has nothing else to do. */
const LIMIT = 180_000 * slowdown

/** A demo whose temporary files are in its own folder. */
function startDemo(...args: string[]): { readonly child: Child; readonly folder: string } {
  const folder = temporaryFolder()
  const child = startMcbn(['demo', ...args], { env: { TMPDIR: folder }, lifetime: LIMIT })
  return { child, folder }
}

/** Processes whose parent is this one, by Linux's /proc. */
function childrenOf(parent: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // Not the compiler that the TypeScript loader starts.
        if (!/-process\.[jt]s/.test(readFileSync(`/proc/${name}/cmdline`, 'utf8'))) return false
        // pid (name) state ppid ...; the name may contain anything, so from its last parenthesis on.
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        return Number(stat.slice(stat.lastIndexOf(')') + 1).split(' ')[2]) === parent
      } catch {
        return false // it has ended meanwhile
      }
    })
    .map(Number)
}

async function allProcesses({ process }: Child): Promise<number[]> {
  return await waitFor('all processes', () => {
    const pids = childrenOf(process.pid)
    return pids.length >= PROCESSES ? pids : undefined
  })
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Opens a participant's page as a browser does, and signs in by its link. */
async function signIn(link: string) {
  const { origin, hash } = new URL(link)
  const page = await fetch(origin)
  expect(page.status).toBe(200)
  expect(await page.text()).toContain('<title>mcbn participant</title>')
  expect((await fetch(`${origin}/web/audit`)).status).toBe(401)
  const headers: Record<string, string> = { 'content-type': 'application/json', origin }
  const post = async (path: string, body: object) => {
    const options = { method: 'POST', headers, body: JSON.stringify(body) }
    const answer = await fetch(`${origin}${path}`, options)
    expect(answer.status, path).toBe(200)
    return answer
  }
  const login = await post('/web/login', { secret: hash.replace('#login=', '') })
  headers['cookie'] = login.headers.getSetCookie().join('; ').split(';')[0] ?? ''
  headers['x-mcbn-key'] = ((await login.json()) as { key: string }).key
  return {
    /** Waits until both workloads have asked. */
    async approveBoth() {
      const pending = await waitFor('server and client on the page', async () => {
        const state = await fetch(`${origin}/web/state`, { headers })
        const { pending } = (await state.json()) as { pending: { id: string; seen: string }[] }
        return pending.length === 2 ? pending : undefined
      })
      for (const { id, seen } of pending) await post('/web/approve', { id, seen })
    },
    withdraw: (label: string) => post('/web/withdraw', { confirm: `withdraw ${label}` }),
  }
}

/** What a demo leaves behind; the loader that runs TypeScript keeps a cache there too. */
function leftIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('mcbn-'))
}

/** The objects that `--json` prints, a line each. */
function objectsOf(stdout: string) {
  const whole = stdout.slice(0, stdout.lastIndexOf('\n'))
  return whole.split('\n').map((line) => JSON.parse(line))
}

function expectHeld(steps: ReturnType<typeof objectsOf>): void {
  expect(steps.every(({ outcome }) => outcome === 'held')).toBe(true)
  const facts = Object.fromEntries(steps.map(({ name, facts }) => [name, facts]))
  expect(facts['ask']).toMatchObject({ need: 3, have: 2, missing: 'carol', listening: 0 })
  expect(facts['tls']).toMatchObject({ protocol: 'TLSv1.3', status: 200 })
  expect(facts['dtls']).toMatchObject({ protocol: 'DTLSv1.2' })
  expect(facts['altered']).toMatchObject({ release: 'alice', tls: 'MCBN_PROTOCOL_ERROR' })
  expect(facts['replay']).toMatchObject({ again: 'invalid', old: 'policy', foreign: 'policy' })
  expect(facts['withdraw']).toMatchObject({ reason: 'withdrawn', participant: 'carol' })
  expect(facts['threshold']).toMatchObject({ need: 2, leases: 2 })
  expect(facts['threshold'].kcv).not.toBe(facts['tls'].kcv)
  expect(facts['blocked']).toMatchObject({ reason: 'unrenewed' })
  expect(facts['blame']).toMatchObject({ blamed: 'bob', leases: 'alice,carol' })
  expect(facts['search']).toMatchObject({ found: false })
  expect(facts['search'].secrets).toBeGreaterThan(20)
  expect(facts['search'].seenByFrank).toBeGreaterThan(50_000)
}

/** What a person reads in a pipe where these steps were taken. */
async function expectPlainLines(steps: readonly object[]): Promise<void> {
  const told = [...steps.slice(0, -1), { ...steps.at(-1), also: ['more of the last'] }]
  const teller = startTypescript('test/cli/demo-teller.ts', [JSON.stringify(told)])
  expect(await teller.exited, teller.report()).toEqual({ code: 0, signal: null })
  const { stdout } = teller
  expect(stdout.match(/^✔ \d+\. /gm)).toHaveLength(STEPS.length)
  expect(stdout).toMatch(
    /carol has not decided yet \(waits for a person\) \(MCBN_CONSENT_INSUFFICIENT\)/,
  )
  expect(stdout).toMatch(/TLSv1\.3, TLS_\w+, through Frank: GET \/ -> 200/)
  expect(stdout).toMatch(/DTLSv1\.2, [\w-]*PSK[\w-]*, through Frank/)
  expect(stdout).toMatch(/^ {5}more of the last$/m)
  expect(stdout).toMatch(/bob sent a bad share/)
  expect(stdout).toMatch(/\d+ secrets looked for, .* none found/)
  expect(stdout).toMatch(/^Every step held \(12 of 12, \d+\.\d s\)\.$/m)
  expect(stdout).not.toContain('\u001b')
}

describe('cli/demo', () => {
  it(
    'says which step failed, with exit code 1, where a process cannot live',
    async () => {
      const { child, folder } = startDemo()
      const [first = 0] = await allProcesses(child)
      process.kill(first, 'SIGKILL')
      expect((await child.exited).code, child.report()).toBe(1)
      expect(child.stdout).toMatch(/^✖ \d+\. /m)
      expect(child.stdout).toMatch(/\d of 12 steps held/)
      expect(child.stderr).toMatch(/^mcbn: demo: step \d+ \([a-z-]+\) failed: .*SIGKILL.*\n$/)
      expect(leftIn(folder)).toEqual([])
    },
    LIMIT,
  )

  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    'leaves no process and no file behind after %s',
    async (signal) => {
      const { child, folder } = startDemo()
      const processes = await allProcesses(child)
      child.process.kill(signal)
      const { code } = await child.exited
      expect(code).toBe({ SIGINT: 130, SIGTERM: 143, SIGKILL: null }[signal])
      await waitFor('no process', () => processes.every((pid) => !alive(pid)))
      await waitFor('no file', () => leftIn(folder).length === 0)
    },
    LIMIT,
  )

  it(
    'tells the whole story, and with --web leaves three pages to look at, until Ctrl-C',
    async () => {
      const { child, folder } = startDemo('--json', '--web')
      await child.output(/^\{"name":"web","pages":.*\}$/m, LIMIT)
      const told = objectsOf(child.stdout)
      expect(told.map(({ name }) => name)).toEqual([...STEPS, 'summary', 'web'])
      const [summary, web] = told.slice(STEPS.length)
      expectHeld(told.slice(0, STEPS.length))
      expect(summary).toMatchObject({ outcome: 'held', steps: STEPS.length, held: STEPS.length })
      await expectPlainLines(told.slice(0, STEPS.length))

      expect(Object.keys(web.pages)).toEqual(['alice', 'bob', 'carol'])
      const people = await Promise.all(Object.values<string>(web.pages).map(signIn))
      await child.output(/no connection; .*alice has not decided/)
      for (const person of people) await person.approveBoth()
      await child.output(/connected: TLS 1\.3 and DTLS 1\.2/)
      await people[2]?.withdraw('carol')
      await child.output(/closed \(.*\): no consent of carol/)
      await child.output(/no connection; .*carol has withdrawn/)
      const processes = childrenOf(child.process.pid)
      child.process.kill('SIGINT')
      expect((await child.exited).code).toBe(0)
      // Ctrl-C is the usual end: no line of a crash.
      expect(child.stderr).toBe('')
      await waitFor('no process', () => processes.every((pid) => !alive(pid)))
      expect(leftIn(folder)).toEqual([])
    },
    LIMIT,
  )
})

describe('cli/demo/search', () => {
  const secret = randomBytes(32)
  const known = randomBytes(32)

  it.each([...spellingsOf(secret)])('finds a secret as %s', (_name, written) => {
    const folder = temporaryFolder()
    const content = Buffer.concat([Buffer.from('before '), written, Buffer.from(' after')])
    writeFileSync(join(folder, 'file'), content)
    expect(searchFolder(folder, [secret], known).found).toBe(true)
  })

  it('finds nothing where nothing is, and tells whether it can find at all', () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), known.toString('base64url'))
    expect(searchFolder(folder, [secret], known)).toEqual({
      secrets: 1,
      found: false,
      control: true,
      spellings: spellingsOf(secret).size,
      files: 1,
      bytes: 43,
    })
    expect(searchFolder(folder, [secret], secret).control).toBe(false)
  })
})
