// A server whose JavaScript stands still: what its I/O thread goes on doing, and what it keeps meanwhile.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { slowdown } from '../support/pace.js'
import { type Child, startTypescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { collect, dialOpen, identity } from './support.js'

const psk = { identity, key: Buffer.alloc(32, 5) }
const ciphers = 'PSK-AES128-GCM-SHA256'
/** Milliseconds. */
const BLOCK = 3_000 * slowdown
/** Bytes that wait for JavaScript at most (docs/ARCHITECTURE.md, limits). */
const QUEUE = 64 * 1_048_576

interface Counted {
  /** To the listeners. */
  readonly delivered: number
  /** Decrypted, by all sessions. */
  readonly received: number
  readonly handshakesFailed: number
  readonly sessions: number
  readonly dropped: Readonly<Record<string, number>>
  readonly resident: number
}

async function blockable(): Promise<{ child: Child; port: number; stats(): Promise<Counted> }> {
  const child = startTypescript('test/dtls/children/blocked-server.ts', [], { lifetime: 60_000 })
  const port = Number((await child.output(/port (\d+)/))[1])
  const stats = async (): Promise<Counted> => {
    const before = child.stdout.length
    child.write('stats')
    await waitFor('the figures', () => child.stdout.slice(before).includes('}\n'))
    return JSON.parse(child.stdout.slice(before).trim())
  }
  return { child, port, stats }
}

async function block(child: Child): Promise<void> {
  child.write(`${BLOCK}`)
  await child.output('blocking')
}

describe('dtls/blocked-loop', () => {
  it('loses no handshake, no live session and none of their messages', async () => {
    const { child, port, stats } = await blockable()
    const live = await Promise.all(
      Array.from({ length: 50 }, () => dialOpen({ port, psk, ciphers })),
    )
    await block(child)
    const fresh: DtlsSocket[] = []
    const lane = async (): Promise<void> => {
      while (fresh.length < 200) {
        fresh.push(await dialOpen({ port, psk, ciphers }))
      }
    }
    const echoes = live.map((socket) => collect(socket))
    for (let count = 0; count < 10; count += 1) {
      for (const socket of live) socket.send(`message ${count}`)
    }
    await Promise.all(Array.from({ length: 8 }, lane))
    // All of them while the server's JavaScript stood still: none had to wait for it.
    expect(child.stdout).not.toContain('awake')
    await child.output('awake', BLOCK + 10_000)
    await waitFor('all echoes', () => echoes.every(({ length }) => length === 10))
    const late = fresh.map((socket) => collect(socket))
    for (const socket of fresh) socket.send('after')
    await waitFor('every new session', () => late.every(({ length }) => length === 1))
    const { handshakesFailed, sessions } = await stats()
    expect({ handshakesFailed, sessions }).toEqual({
      handshakesFailed: 0,
      sessions: live.length + fresh.length,
    })
    expect([...live, ...fresh].every(({ stats }) => stats.retransmits <= 2)).toBe(true)
  })

  it('keeps 64 MB of what floods in meanwhile, and counts the rest as dropped', async () => {
    const { child, port, stats } = await blockable()
    const socket = await dialOpen({ port, psk, ciphers, sendBufferSize: 1 << 20 })
    const before = await stats()
    await block(child)
    const message = Buffer.alloc(1_300, 'm')
    const batch = Array.from({ length: 200 }, () => message)
    let sent = 0
    // Half as much again as is kept, in trains with pauses: the kernel's own buffer is not what is tested.
    while (sent * message.length < 1.5 * QUEUE) {
      if (socket.bufferedAmount < 500_000) sent += socket.sendMany(batch)
      await sleep(1)
    }
    await child.output('awake', BLOCK + 20_000)
    const after = await waitFor('the end of it', async () => {
      const seen = await stats()
      await sleep(100)
      return (await stats()).delivered === seen.delivered ? seen : undefined
    })
    const dropped = after.dropped['messages'] ?? 0
    // Not a message is unaccounted for: each that was decrypted was delivered or counted.
    expect(after.delivered + dropped).toBe(after.received)
    expect(dropped).toBeGreaterThan(0)
    expect(after.delivered * message.length).toBeLessThan(1.3 * QUEUE)
    expect(after.delivered * message.length).toBeGreaterThan(0.5 * QUEUE)
    if (slowdown === 1) expect(after.resident - before.resident).toBeLessThan(2 * QUEUE)
    // And it goes on.
    const echoes = collect(socket)
    socket.send('still here')
    await waitFor('an echo', () => echoes.length === 1)
    expect(sent).toBeGreaterThan(after.delivered)
  })
})
