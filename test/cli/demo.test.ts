// mcbn demo, as a newcomer runs it.

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Child } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { expectSuccess, mcbn, startMcbn } from './command.js'

const STEPS = ['shares', 'derive', 'tls', 'dtls', 'share-missing', 'share-wrong', 'still-serving']

/** Processes whose parent is this one, by Linux's /proc. */
function childrenOf(parent: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        // pid (name) state ppid ...; the name may contain anything, so from its last parenthesis on.
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        return Number(stat.slice(stat.lastIndexOf(')') + 1).split(' ')[2]) === parent
      } catch {
        return false // it has ended meanwhile
      }
    })
    .map(Number)
}

/** The server's and the client's process, as soon as both are there. */
async function workloadsOf({ process }: Child): Promise<number[]> {
  return await waitFor('two workloads', () => {
    const pids = childrenOf(process.pid)
    return pids.length >= 2 ? pids : undefined
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

describe('cli/demo', () => {
  it('tells the whole story in a pipe: every step held, plain lines, exit code 0', async () => {
    const began = performance.now()
    const child = await mcbn(['demo'])
    expectSuccess(child)
    expect(performance.now() - began).toBeLessThan(20_000)
    const { stdout } = child
    expect(stdout.match(/^✔ \d\. /gm)).toHaveLength(STEPS.length)
    expect(stdout).toMatch(/TLSv1\.3, TLS_\w+: GET \/ -> 200/)
    expect(stdout).toMatch(/DTLSv1\.2, [\w-]*PSK[\w-]*: "This is a UDP message" came back/)
    expect(stdout).toMatch(/Without Carol's share .*\n.*MCBN_PSK_MISMATCH/)
    expect(stdout).toMatch(/wrong share .*\n.*MCBN_PSK_MISMATCH/)
    expect(stdout).toMatch(/Every step held \(7 of 7, \d+\.\d s\)\.\n$/)
    expect(stdout).not.toContain('\u001b')
  })

  it('gives one JSON object a step and one for the whole with --json', async () => {
    const child = await mcbn(['demo', '--json'])
    expectSuccess(child)
    const objects = child.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(objects.map(({ name }) => name)).toEqual([...STEPS, 'summary'])
    expect(objects.every(({ outcome }) => outcome === 'held')).toBe(true)
    expect(objects[2]).toMatchObject({ step: 3, facts: { protocol: 'TLSv1.3', status: 200 } })
    expect(objects[3]).toMatchObject({ step: 4, facts: { protocol: 'DTLSv1.2' } })
    expect(objects.at(-1)).toMatchObject({ steps: STEPS.length, held: STEPS.length })
  })

  it('makes other shares each time', async () => {
    const [one, two] = await Promise.all([mcbn(['demo', '--json']), mcbn(['demo', '--json'])])
    const kcv = (text: string) => JSON.parse(text.split('\n')[1] ?? '').facts.kcv
    expect(kcv(one.stdout)).toMatch(/^[0-9a-f]{64}$/)
    expect(kcv(one.stdout)).not.toBe(kcv(two.stdout))
  })

  it('says which step failed, with exit code 1, where a process cannot live', async () => {
    const child = startMcbn(['demo'])
    await child.output(/1\. Alice/)
    const workloads = await workloadsOf(child)
    for (const pid of workloads) process.kill(pid, 'SIGKILL')
    expect((await child.exited).code, child.report()).toBe(1)
    expect(child.stdout).toMatch(/^✖ \d\. /m)
    expect(child.stdout).toMatch(/[0-6] of 7 steps held/)
    expect(child.stderr).toMatch(/^mcbn: demo: step \d \([a-z-]+\) failed: .*SIGKILL.*\n$/)
  })

  it.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    'leaves no process behind after %s',
    async (signal) => {
      const child = startMcbn(['demo'])
      await child.output(/1\. Alice/)
      const workloads = await workloadsOf(child)
      child.process.kill(signal)
      const { code } = await child.exited
      expect(code).toBe({ SIGINT: 130, SIGTERM: 143, SIGKILL: null }[signal])
      await waitFor('no workload', () => workloads.every((pid) => !alive(pid)))
    },
  )
})
