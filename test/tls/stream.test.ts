// A TLS socket as a Duplex: back-pressure, half-close, endings, and the streams it can run over.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { Duplex, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TlsSocket } from '../../src/tls/index.js'
import { connect, createServer } from '../../src/tls/index.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  openPair,
  readAll,
  serve,
  slowdown,
  VERSIONS,
} from './support.js'

const MEGABYTE = 1024 * 1024

/** Two Duplexes that hand each other what is written, as a proxy or a test double would. */
function duplexPair(): [Duplex, Duplex] {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      read: () => {},
      write: (chunk, _encoding, done) => {
        other().push(chunk)
        process.nextTick(done)
      },
      final: (done) => {
        other().push(null)
        done()
      },
    })
  const left: Duplex = make(() => right)
  const right: Duplex = make(() => left)
  return [left, right]
}

describe.each(VERSIONS)('on %s', (version) => {
  const only = { minVersion: version, maxVersion: version } as const

  it('carries bytes of every size unchanged, both ways', async () => {
    const key = freshKey()
    const { port } = await echo({ ...only, psk: { [identity]: key } })
    const client = dial({ ...only, port, psk: { identity, key } })
    const sizes = [1, 2, 100, 16_383, 16_384, 16_385, 65_536, 65_537, 300_000, 1_000_000]
    const sent = sizes.map((size) => randomBytes(size))
    const received = readAll(client)
    for (const chunk of sent) client.write(chunk)
    client.end()
    expect((await received).equals(Buffer.concat(sent))).toBe(true)
    const total = sizes.reduce((sum, size) => sum + size)
    expect([client.bytesRead, client.bytesWritten]).toEqual([total, total])
  })

  it('joins the writes of a corked stretch into few records', async () => {
    const { client, server } = await openPair(only)
    let chunks = 0
    server.on('data', () => {
      chunks += 1
    })
    client.cork()
    for (let count = 0; count < 1000; count++) client.write('0123456789')
    client.uncork()
    await waitFor('all bytes', () => server.bytesRead === 10_000)
    expect(chunks).toBeLessThanOrEqual(2)
  })

  it('stays flat in memory through 256 MB', { timeout: 60_000 }, async () => {
    const { client, server } = await openPair(only)
    const block = randomBytes(MEGABYTE)
    let left = 256
    let peak = 0
    const source = new Readable({
      read() {
        this.push(left-- > 0 ? block : null)
      },
    })
    let bytes = 0
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        bytes += chunk.length
        if (bytes % (8 * MEGABYTE) < chunk.length) {
          peak = Math.max(peak, process.memoryUsage().rss)
        }
        done()
      },
    })
    const before = process.memoryUsage().rss
    await Promise.all([pipeline(source, client), pipeline(server, sink)])
    expect(bytes).toBe(256 * MEGABYTE)
    expect((peak - before) / MEGABYTE).toBeLessThan(120 * slowdown)
  })

  it('holds the writer back when the reader does not read', async () => {
    const { client, server } = await openPair(only)
    server.pause()
    const block = Buffer.alloc(64 * 1024)
    let written = 0
    while (written < 64 * MEGABYTE) {
      const more = client.write(block)
      written += block.length
      if (!more && !(await Promise.race([once(client, 'drain').then(() => true), sleep(150)])))
        break
    }
    // What the kernel's buffers take, and no more.
    expect(written).toBeLessThan(32 * MEGABYTE)
    let received = 0
    server.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    server.resume()
    client.end()
    await once(server, 'end')
    expect(received).toBe(written)
  })

  it('may write on after the peer has ended, with allowHalfOpen', async () => {
    const { client, server } = await openPair({ ...only, allowHalfOpen: true })
    client.end('question')
    expect((await readAll(server.iterator({ destroyOnReturn: false }) as never)).toString()).toBe(
      'question',
    )
    await sleep(20)
    expect(server.writable).toBe(true)
    server.end('answer')
    expect((await readAll(client)).toString()).toBe('answer')
    expect([client.truncated, server.truncated]).toEqual([false, false])
  })

  it('closes both halves when one ends, without allowHalfOpen', async () => {
    const { client, server } = await openPair(only)
    const closed = Promise.all([once(client.resume(), 'close'), once(server.resume(), 'close')])
    client.end()
    await closed
    expect(server.truncated).toBe(false)
  })

  it('says so when the data ended without close_notify (RFC 8446 section 6.1)', async () => {
    const key = freshKey()
    const { server, port } = await serve({ ...only, psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const tcp = connectTcp(port, LOOPBACK)
    const client = await dialOpen({ ...only, socket: tcp, psk: { identity, key } })
    const [socket] = (await accepted) as [TlsSocket]
    client.write('cut')
    await once(socket, 'data')
    const ended = once(socket, 'end')
    tcp.end()
    await ended
    expect(socket.truncated).toBe(true)
  })

  it('runs over any Duplex', async () => {
    const key = freshKey()
    const server = createServer({ ...only, psk: { [identity]: key } }, (socket) =>
      socket.pipe(socket),
    )
    const [near, far] = duplexPair()
    server.emit('connection', far)
    const client = connect({ ...only, socket: near, psk: { identity, key } })
    const block = randomBytes(500_000)
    client.end(block)
    expect((await readAll(client)).equals(block)).toBe(true)
  })

  it('runs inside itself', async () => {
    const [outer, inner] = [freshKey(), freshKey()]
    const inside = createServer({ psk: { inner } }, (socket) => socket.pipe(socket))
    const { port } = await serve({ ...only, psk: { outer } }, (socket) =>
      inside.emit('connection', socket),
    )
    const socket = dial({ ...only, port, psk: { identity: 'outer', key: outer } })
    const client = connect({ ...only, socket, psk: { identity: 'inner', key: inner } })
    const block = randomBytes(300_000)
    client.end(block)
    expect((await readAll(client)).equals(block)).toBe(true)
  })
})

describe('endings', () => {
  it('a socket may be destroyed at any stage', async () => {
    const key = freshKey()
    const { port, server } = await echo({ psk: () => sleep(5, key) })
    for (let stage = 0; stage < 30; stage++) {
      const socket = dial({ port, psk: { identity, key } })
      socket.on('error', () => {})
      socket.write('x')
      const closed = once(socket, 'close')
      if (stage === 0) socket.destroy()
      else if (stage < 10) for (let turn = 0; turn < stage; turn++) await sleep(0)
      else await sleep((stage - 10) / 2)
      socket.destroy()
      await closed
      expect(socket.destroyed).toBe(true)
    }
    await waitFor('the server’s connections to go', async () => {
      return await new Promise<boolean>((resolve) =>
        server.getConnections((_error, count) => resolve(count === 0)),
      )
    })
  })

  const events = ['connect', 'secureConnect', 'keylog', 'data', 'end']
  it.each(events)('a socket may be destroyed inside its own %s', async (event) => {
    const key = freshKey()
    const { port } = await serve({ psk: { [identity]: key } }, (socket) => void socket.end('hello'))
    const socket = dial({ port, psk: { identity, key } })
    if (event !== 'data') socket.resume()
    socket.once(event, () => void socket.destroy())
    await once(socket, 'close')
  })

  it('a server may destroy a socket inside secureConnection, keylog and the lookup', async () => {
    const key = freshKey()
    const transports: Socket[] = []
    const { server, port } = await serve({
      psk: () => {
        if (transports.length === 2) transports[1]?.destroy()
        return key
      },
    })
    server.on('connection', (transport) => transports.push(transport))
    server.once('secureConnection', (socket) => socket.destroy())
    for (let count = 0; count < 3; count++) {
      if (count === 2) server.once('keylog', (_line, socket) => socket.destroy())
      const socket = dial({ port, psk: { identity, key } }).resume()
      await new Promise((resolve) => socket.once('close', resolve))
    }
  })

  it('an exception in a listener is the application’s, and the connection goes on', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const client = dial({ port, psk: { identity, key } })
    const mine = new Error('mine')
    const caught: unknown[] = []
    const previous = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => caught.push(error))
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const listener of previous) process.on('uncaughtException', listener)
    })
    client.once('secureConnect', () => {
      throw mine
    })
    client.end('unharmed')
    expect((await readAll(client)).toString()).toBe('unharmed')
    expect(caught).toEqual([mine])
  })

  it('a write to a destroyed socket reports, before and after the handshake', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const early = dial({ port, psk: { identity, key } })
    const outcome = new Promise((resolve) => early.write('x', resolve))
    early.destroy()
    expect(await outcome).toMatchObject({
      code: expect.stringMatching(/MCBN_SOCKET_CLOSED|ERR_STREAM/),
    })
    const late = await dialOpen({ port, psk: { identity, key } })
    late.destroy()
    expect(await new Promise((resolve) => late.write('x', resolve))).toBeInstanceOf(Error)
  })

  it('a connection that breaks says MCBN_CONNECTION_LOST', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const transport = once(server, 'connection')
    const client = await dialOpen({ port, psk: { identity, key } })
    await accepted
    const failed = once(client.resume(), 'error').catch((error) => [error])
    ;(await transport)[0].resetAndDestroy()
    expect((await failed)[0]).toMatchObject({ code: 'MCBN_CONNECTION_LOST', kind: 'transport' })
  })

  it('an AbortSignal ends it at any time', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    for (const delay of [0, 1, 50]) {
      const abort = new AbortController()
      const socket = dial({ port, psk: { identity, key }, signal: abort.signal })
      const failed = new Promise<Error>((resolve) => socket.once('error', resolve))
      await sleep(delay)
      abort.abort()
      expect((await failed).name).toBe('AbortError')
    }
  })

  it('await using closes in order', async () => {
    const { client, server } = await openPair()
    const ended = once(server.resume(), 'end')
    await client[Symbol.asyncDispose]()
    await ended
    expect(client.destroyed).toBe(true)
    expect(server.truncated).toBe(false)
  })

  it('destroySoon sends what was written', async () => {
    const { client, server } = await openPair()
    const block = randomBytes(2_000_000)
    client.write(block)
    client.destroySoon()
    const digest = (data: Buffer) => createHash('sha256').update(data).digest('hex')
    expect(digest(await readAll(server))).toBe(digest(block))
  })

  it('three thousand connections leave nothing behind', { timeout: 120_000 }, async () => {
    const key = freshKey()
    const server = createServer({ psk: { [identity]: key } }, (socket) => socket.end('x'))
    const port = await listen(server)
    const round = async (count: number): Promise<number> => {
      const one = async (): Promise<void> => {
        const socket = connect({ host: LOOPBACK, port, psk: { identity, key } })
        await once(socket.resume(), 'close')
      }
      for (let done = 0; done < count; done += 20)
        await Promise.all(Array.from({ length: 20 }, one))
      globalThis.gc?.()
      return process.memoryUsage().rss
    }
    const warm = await round(1000)
    const grown = (await round(2000)) - warm
    expect(grown / MEGABYTE).toBeLessThan(30 * slowdown)
  })
})
