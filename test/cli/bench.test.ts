// What `mcbn bench` prints and how it ends. Speed is not asserted: the machine may be busy.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { waitFor } from '../support/wait.js'
import { expectFailure, expectSuccess, KEY, listening, mcbn, PSK, startMcbn } from './command.js'

const LIMIT = 120_000
const QUICK = ['--seconds', '0.1', '--sessions', '1000'] as const

/** Of the measuring processes that a command has started. By Linux's /proc. */
function peersOf(pid: number | undefined): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children
    .trim()
    .split(' ')
    .filter((child) => child !== '')
    .filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('peer-process'))
    .map(Number)
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('cli/bench', () => {
  it(
    'measures everything on loopback, one JSON object a figure',
    async () => {
      const child = await mcbn(['bench', '--json', ...QUICK], { lifetime: LIMIT })
      expectSuccess(child)
      const objects = child.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      expect(objects.map(({ name }) => name)).toEqual([
        ...['machine', 'stream', 'echo', 'round-trip', 'handshakes'],
        ...['memory-server', 'memory-client'],
      ])
      const [machine, ...figures] = objects
      expect(machine).toMatchObject({ node: process.version })
      for (const { mcbn: figure, cipher } of figures) {
        expect(figure).toBeTypeOf('number')
        expect(cipher).toMatch(/PSK/)
      }
      const byName = Object.fromEntries(figures.map((figure) => [figure.name, figure]))
      for (const name of ['stream', 'echo', 'round-trip']) {
        const { mcbn: ours, dgram, ratio } = byName[name]
        expect(Math.min(ours, dgram, ratio), name).toBeGreaterThan(0)
      }
      expect(byName['stream'].processor.receiver).toBeGreaterThan(0)
      expect(byName['round-trip'].more.p99).toBeGreaterThanOrEqual(byName['round-trip'].mcbn)
      expect(byName['echo'].more.lost).toBeLessThan(1)
      expect(byName['handshakes'].mcbn).toBeGreaterThan(0)
      // OpenSSL's own sessions take 50 to 120 KB.
      expect(byName['memory-server'].mcbn).toBeLessThan(40)
      expect(byName['memory-client'].mcbn).toBeLessThan(40)
    },
    LIMIT,
  )

  it(
    'prints one table in a pipe, of what was asked for, with the suite that was asked for',
    async () => {
      const args = ['bench', 'round-trip', '--size', '1200', '--ciphers', 'PSK-AES128-CCM8']
      const child = await mcbn([...args, ...QUICK], { lifetime: LIMIT })
      expectSuccess(child)
      expect(child.stdout).toMatch(/^Node v\d+.*OpenSSL/)
      expect(child.stdout).toMatch(/^PSK-AES128-CCM8, messages of 1,200 B/m)
      expect(child.stdout).toMatch(/round-trip .* [\d,]+ us .* [\d,]+ us .* \d+\.\d\d /)
      expect(child.stdout).not.toMatch(/stream|handshakes|memory-server/)
      expect(child.stdout).not.toContain('\u001b')
      expect(Math.max(...child.stdout.split('\n').map(({ length }) => length))).toBeLessThan(120)
    },
    LIMIT,
  )

  it(
    'measures a server of the user’s own by URL',
    async () => {
      const { url } = await listening('dtls://127.0.0.1:0', '--echo')
      const child = await mcbn(['bench', url, ...PSK, '--json', ...QUICK], { lifetime: LIMIT })
      expectSuccess(child)
      const [, ...figures] = child.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      expect(figures.map(({ name }) => name)).toEqual(['round-trip', 'echo', 'handshakes'])
      for (const figure of figures) {
        expect(figure.mcbn).toBeGreaterThan(0)
        expect(figure).not.toHaveProperty('ratio')
      }
      expect(child.stdout).not.toContain(KEY)
    },
    LIMIT,
  )

  it('says in one line that a server does not echo, or is not there', async () => {
    const { url } = await listening('dtls://127.0.0.1:0')
    const [silent, nobody] = await Promise.all([
      mcbn(['bench', 'round-trip', url, ...PSK, ...QUICK]),
      mcbn(['bench', 'dtls://127.0.0.1:9', ...PSK, ...QUICK]),
    ])
    expectFailure(silent, 1, /expected every message back, got none; serve with mcbn listen --echo/)
    expectFailure(nobody, 1, /MCBN_CONNECTION_FAILED/)
  })

  it('ends its processes when it is interrupted', async () => {
    const child = startMcbn(['bench', 'stream', '--seconds', '60'], { lifetime: LIMIT })
    const peers = await waitFor('its processes', () => {
      const pids = peersOf(child.process.pid)
      return pids.length === 4 ? pids : undefined
    })
    child.process.kill('SIGINT')
    expect((await child.exited).code).toBe(130)
    expect(child.stdout).toBe('')
    await waitFor('their end', () => peers.every((pid) => !alive(pid)))
  })

  it.each<readonly [string, readonly string[], RegExp]>([
    ['an unknown measurement', ['speed'], /expected stream, echo, .* or a url, got "speed"/],
    ['a time of no length', ['--seconds', '0'], /--seconds: expected a number from 0\.1 to 60/],
    ['half a session', ['--sessions', '1000.5'], /--sessions: expected a whole number/],
    ['a message too large', ['--size', '1400'], /--size: expected a whole number from 4 to 1300/],
    ['ciphers that select nothing', ['stream', '--ciphers', 'NOPE'], /NOPE.*MCBN_CIPHERS_INVALID/],
    ['a tls:// url', ['tls://127.0.0.1:1', ...PSK], /expected a dtls:\/\/ url/],
    ['a url without keys', ['dtls://127.0.0.1:1'], /expected --psk/],
    ['keys without a url', [...PSK], /expected a dtls:\/\/ url that they are for/],
    ['two urls', ['dtls://127.0.0.1:1', 'dtls://127.0.0.1:2', ...PSK], /expected one url, got 2/],
    ['memory of a remote server', ['memory', 'dtls://127.0.0.1:1', ...PSK], /needs both sides/],
  ])('refuses %s with exit code 2', async (_, args, reason) => {
    expectFailure(await mcbn(['bench', ...args]), 2, reason)
  })
})
