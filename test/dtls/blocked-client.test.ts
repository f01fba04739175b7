// A client whose system buffer is full holds back nobody but itself, though many clients share an I/O thread; a
// server's goes on as soon as there is room. On
// loopback no buffer is ever full: root can make a slow network, in its own namespaces.

import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { findProgram } from '../support/peers.js'
import { run, typescript } from '../support/process.js'

const possible =
  process.platform === 'linux' &&
  ['ip', 'tc', 'nsenter', 'unshare'].every((name) => findProgram(name) !== undefined) &&
  spawnSync('unshare', [
    '-n',
    'tc',
    'qdisc',
    'add',
    'dev',
    'lo',
    'root',
    'tbf',
    'rate',
    '1mbit',
    'burst',
    '4kb',
    'limit',
    '1mb',
  ]).status === 0
if (!possible)
  console.warn('\n!!! SKIPPED dtls/blocked client: needs root, iproute2 and network namespaces\n')

describe.skipIf(!possible)('dtls/blocked client', () => {
  it('does not hold back the other clients of its I/O thread', async () => {
    const child = await run('unshare', [
      '-n',
      process.execPath,
      ...typescript('test/dtls/children/slow-network.ts'),
    ])
    expect(child.exit.code, child.report()).toBe(0)
    const { waiting, echoes, slowest } = JSON.parse(child.stdout) as Record<string, number>
    // It is blocked for longer than the others are measured.
    expect(waiting).toBeGreaterThan(0)
    expect(echoes).toBeGreaterThan(100)
    expect(slowest).toBeLessThan(1_000)
  })
})

describe.skipIf(!possible)('dtls/blocked server', () => {
  it('goes on when it finds room while it reads, and keeps the order of messages', async () => {
    const child = await run('unshare', [
      '-n',
      process.execPath,
      ...typescript('test/dtls/children/slow-server.ts'),
    ])
    expect(child.exit.code, child.report()).toBe(0)
    expect(JSON.parse(child.stdout)).toEqual({ came: 300, inOrder: true, waiting: 0 })
  })
})
