// Processes and threads with DTLS in them: how they begin, stand still and end.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { connect, createServer } from '../../src/dtls/index.js'
import { slowdown } from '../support/pace.js'
import { run, start, startTypescript, typescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { dial, dialOpen, echo, freshKey, identity, LOOPBACK, listen, roundTrip } from './support.js'

const children = 'test/dtls/children'
/** Sanitizers make everything slower, and memory no measure. */

describe('dtls/process', () => {
  it.each([
    ['close', 0],
    ['unref', 0],
    ['exit', 0],
    ['opening', 0],
    ['lookup', 0],
    ['garbage', 0],
    ['throw', 1],
  ])('ends by itself: %s', async (way, code) => {
    const child = await run(process.execPath, typescript(`${children}/exit.ts`, way))
    expect(child.exit, child.report()).toEqual({ code, signal: null })
    expect(child.stdout).toContain('open\n')
  })

  it('an open server keeps the process alive, unref undoes it, ref as well', () => {
    const server = createServer({ psk: {} })
    expect(server.unref()).toBe(server)
    expect(server.ref()).toBe(server)
  })
})

describe('dtls/threads', () => {
  it('several worker threads at once, some terminated in the middle of traffic', async () => {
    const child = await run(process.execPath, typescript(`${children}/workers.ts`), {
      lifetime: 60_000 * slowdown,
    })
    expect(child.exit, child.report()).toEqual({ code: 0, signal: null })
    const { finished, terminated } = JSON.parse(child.stdout)
    expect(finished).toEqual([true, true, true])
    expect(terminated).toEqual([1, 1, 1, 1, 1, 1])
  })

  it('a thousand clients in one process share one thread', async () => {
    const count = slowdown > 1 ? 100 : 1_000
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, recvBufferSize: 1 << 22 })
    const ciphers = 'PSK-AES128-GCM-SHA256'
    const sockets = Array.from({ length: count }, () =>
      dial({ port, ciphers, psk: { identity, key } }),
    )
    await Promise.all(sockets.map((socket) => socket.opened))
    await waitFor('all', () => server.stats.sessions === count)
    await Promise.all(sockets.slice(0, 100).map((socket) => roundTrip(socket)))
    for (const socket of sockets) socket.destroy()
    await waitFor('none', () => server.stats.sessions === 0)
  })
})

describe('dtls/a blocked event loop', () => {
  it('of the server delays messages, but no handshake with a key of the table', async () => {
    const child = startTypescript(`${children}/blocked-server.ts`)
    const port = Number((await child.output(/port (\d+)/))[1])
    const key = Buffer.alloc(32, 5)
    const psk = { identity, key }
    child.write('3000')
    await child.output('blocking')
    const sockets = await Promise.all(Array.from({ length: 20 }, () => dialOpen({ port, psk })))
    expect(child.stdout).not.toContain('awake')
    const echoes = sockets.map((socket) => roundTrip(socket))
    await sleep(50)
    await child.output('awake')
    await Promise.all(echoes)
    child.endInput()
  })

  it('of a client does not keep its handshake from being finished', async () => {
    const key = freshKey()
    // In this process server and client are blocked together: only their I/O threads run.
    const { server, port } = await echo({ psk: { [identity]: key } })
    const socket = connect({ host: LOOPBACK, port, psk: { identity, key } })
    await new Promise((resolve) => setImmediate(resolve))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    expect(server.stats.handshakesCompleted).toBe(1)
    await socket.opened
    await socket.close()
  })
})

describe('dtls/memory', () => {
  it('is flat: after 10,000 connections as after 2,000', async () => {
    const [early, late] = slowdown > 1 ? [200, 600] : [2_000, 10_000]
    const script = typescript(`${children}/memory.ts`, `${early}`, `${late}`)
    const child = start(process.execPath, ['--expose-gc', ...script], { lifetime: 120_000 })
    await child.exited
    const { stats, ...resident } = JSON.parse(child.stdout)
    expect(stats).toMatchObject({ sessions: 0, handshakesFailed: 0 })
    expect(stats.handshakesCompleted).toBe(late)
    if (slowdown === 1) {
      // A session left behind would cost 70 KB, 8,000 of them 560 MB. The allocators' own reserves differ
      // from release to release, by up to 40 MB.
      expect(resident.late - resident.early).toBeLessThan(100 * 1_048_576)
    }
  }, 120_000)

  it('of one process: servers come and go', async () => {
    for (let round = 0; round < 30; round += 1) {
      const key = freshKey()
      const server = createServer({ psk: { [identity]: key } })
      const port = await listen(server)
      const client = await dialOpen({ port, psk: { identity, key } })
      await server.close()
      await client.closed
    }
  })
})
