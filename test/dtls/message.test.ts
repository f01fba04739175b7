// Messages on an open session: one is one datagram, whole or not at all.

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { run, typescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  collect,
  dial,
  dialOpen,
  echo,
  freshKey,
  identity,
  nextMessage,
  openPair,
  silentPort,
} from './support.js'

describe('dtls/message', () => {
  it('keeps boundaries and order, from 1 byte to maxDatagramSize, in both directions', async () => {
    const { client, server } = await openPair()
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const got = collect(to)
      const limit = from.maxDatagramSize
      expect(limit).toBeGreaterThan(1_300)
      expect(limit).toBeLessThan(1_400)
      const sizes = [1, 2, 100, limit - 1, limit, 3, 1]
      const sent = sizes.map((size, index) => Buffer.alloc(size, index + 1))
      for (const message of sent) expect(from.send(message)).toBe(true)
      await waitFor('all', () => got.length === sizes.length)
      expect(got).toEqual(sent)
    }
  })

  it('larger than maxDatagramSize is refused with the limit in the message; empty as well', async () => {
    const { client } = await openPair()
    const limit = client.maxDatagramSize
    const tooLarge = expect.objectContaining({
      code: 'MCBN_MESSAGE_TOO_LARGE',
      kind: 'usage',
      message: expect.stringContaining(`${limit}`),
    })
    expect(() => client.send(Buffer.alloc(limit + 1))).toThrow(tooLarge)
    expect(() => client.send('é'.repeat(limit))).toThrow(tooLarge)
    expect(() => client.sendMany([Buffer.from('ok'), Buffer.alloc(limit + 1)])).toThrow(tooLarge)
    for (const empty of ['', Buffer.alloc(0), new DataView(new ArrayBuffer(0))]) {
      expect(() => client.send(empty)).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
      )
    }
    expect(client.stats.messagesSent).toBe(0) // all or none
  })

  it('may be a string, a Buffer, a Uint8Array or a DataView, and a part of a larger one', async () => {
    const { client, server } = await openPair()
    const got = collect(server)
    const large = new ArrayBuffer(32)
    new Uint8Array(large).set(Buffer.from('0123456789abcdef'))
    const data = [
      'grüße ✓',
      Buffer.from('buffer'),
      new Uint8Array(large, 2, 3),
      new DataView(large, 4, 2),
      Buffer.from(large, 6, 1),
    ]
    for (const each of data) client.send(each)
    await waitFor('all', () => got.length === data.length)
    expect(got.map(String)).toEqual(['grüße ✓', 'buffer', '234', '45', '6'])
  })

  it.each([undefined, null, 42, true, {}, [], [1, 2], new ArrayBuffer(4), Symbol('x'), () => 1])(
    'is not %s',
    async (bad) => {
      const { client } = await openPair()
      expect(() => client.send(bad as never)).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_TYPE' }),
      )
    },
  )

  it('cannot be sent before the session is open nor after it was closed', async () => {
    const opening = dial({ port: await silentPort(), psk: { identity, key: freshKey() } })
    const closed = expect.objectContaining({ code: 'MCBN_SOCKET_CLOSED', kind: 'usage' })
    expect(() => opening.send('early')).toThrow(closed)
    expect(() => opening.sendMany(['early'])).toThrow(closed)
    const { client, server } = await openPair()
    await client.close()
    expect(() => client.send('late')).toThrow(closed)
    await server.closed
    expect(() => server.send('late')).toThrow(closed)
  })

  it('what the caller does to its bytes after send changes nothing', async () => {
    const { client, server } = await openPair()
    const answer = nextMessage(server)
    const mine = Buffer.from('before')
    client.send(mine)
    mine.fill('x')
    expect((await answer).toString()).toBe('before')
  })

  it('what was received stays as it is for as long as it is kept', async () => {
    const { client, server } = await openPair()
    const got = collect(server)
    const count = 3_000
    let sent = 0
    while (sent < count) {
      for (let index = 0; index < 20 && sent < count; index += 1, sent += 1) {
        client.send(Buffer.alloc(200, sent & 255))
      }
      // UDP: no faster than it is taken.
      const target = sent - 40
      await waitFor('most of them', () => got.length >= target - lost(got, sent))
    }
    await waitFor('most', () => got.length > count * 0.9)
    expect(got.every((message) => message.length === 200)).toBe(true)
    expect(got.every((message) => message.every((byte) => byte === message[0]))).toBe(true)
  })

  it('come as `messages` too, once a batch, and every one also as `message`', async () => {
    const { client, server } = await openPair()
    const single = collect(server)
    const batches: Buffer[][] = []
    server.on('messages', (messages) => batches.push(messages))
    const sent = Array.from({ length: 60 }, (_, index) => `message ${index}`)
    expect(client.sendMany(sent)).toBe(60)
    await waitFor('all', () => batches.flat().length === 60)
    expect(batches.flat().map(String)).toEqual(sent)
    expect(single.map(String)).toEqual(sent)
    expect(batches.length).toBeLessThan(60)
  })

  it('that came before anybody listened are kept and delivered first', async () => {
    const { client, server } = await openPair()
    client.sendMany(['one', 'two', 'three'])
    await waitFor('their arrival', () => server.stats.messagesReceived === 3)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const got = collect(server)
    client.send('four')
    await waitFor('all', () => got.length === 4)
    expect(got.map(String)).toEqual(['one', 'two', 'three', 'four'])
  })

  it('that came before anybody listened are kept up to a limit, the rest is counted', async () => {
    const { client, server } = await openPair()
    const size = 1_300
    for (let sent = 0; sent < 1_200; sent += 1) {
      client.send(Buffer.alloc(size, 1))
      if (sent % 32 === 31) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await waitFor('many', () => server.stats.messagesReceived > 1_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const got = collect(server)
    await waitFor('what was kept', () => got.length > 0)
    expect(got.length * size).toBeLessThanOrEqual(1_048_576)
    expect(server.stats.dropped).toBe(server.stats.messagesReceived - got.length)
  })

  it('sendMany takes any iterable', async () => {
    const { client, server } = await openPair()
    const got = collect(server)
    expect(client.sendMany(new Set(['a', 'b']))).toBe(2)
    expect(
      client.sendMany(
        (function* () {
          yield 'c'
          yield Buffer.from('d')
        })(),
      ),
    ).toBe(2)
    expect(client.sendMany([])).toBe(0)
    await waitFor('all', () => got.length === 4)
    expect(got.map(String)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('an exception in one listener costs nobody else a message', async () => {
    const child = await run(process.execPath, typescript('test/dtls/children/throwing-listener.ts'))
    expect(child.report()).toContain('ended: code 0')
    const { caught, got } = JSON.parse(child.stdout)
    expect(caught).toEqual(['bad 0', 'bad 1', 'bad 2'])
    expect(got).toEqual(['0', '1', '2'])
  })
})

describe('dtls/back-pressure', () => {
  it('send says false at the high-water mark, drain follows, and bufferedAmount goes to 0', async () => {
    const { client, server } = await openPair({ highWaterMark: 4_000 })
    collect(server)
    expect(client.bufferedAmount).toBe(0)
    let sent = 0
    while (client.send(Buffer.alloc(1_000))) {
      sent += 1
      if (sent > 100_000) throw new Error('the mark was never reached')
    }
    await once(client, 'drain')
    expect(client.bufferedAmount).toBeLessThanOrEqual(2_000)
    await waitFor('an empty buffer', () => client.bufferedAmount === 0)
    expect(client.send('more')).toBe(true)
  })

  it('messages beyond four marks are not taken, and counted', async () => {
    const { client, server } = await openPair({ highWaterMark: 1 })
    const got = collect(server)
    let refused = 0
    for (let index = 0; index < 500; index += 1) {
      const before = client.stats.dropped
      expect(client.send(Buffer.alloc(200))).toBe(false)
      refused += client.stats.dropped - before
    }
    // Looking at the figures takes long enough for the I/O thread to send; without looking it cannot.
    for (let index = 0; index < 500; index += 1) client.send(Buffer.alloc(200))
    expect(client.stats.dropped).toBeGreaterThan(0)
    expect(refused).toBeLessThanOrEqual(500)
    const taken = client.sendMany(Array.from({ length: 100 }, () => Buffer.alloc(200)))
    expect(taken).toBeLessThan(100)
    await once(client, 'drain')
    const { messagesSent, dropped } = client.stats
    expect(messagesSent + dropped).toBe(1_000 + taken)
    await waitFor('all that was sent', () => got.length === messagesSent)
  })

  it('a sender that obeys loses nothing of 20,000 messages on loopback', async () => {
    const { client, server } = await openPair({ highWaterMark: 32_768, recvBufferSize: 1 << 21 })
    const numbers: number[] = []
    server.on('message', (message) => numbers.push(message.readUInt32LE(0)))
    const total = 20_000
    for (let index = 0; index < total; index += 1) {
      const message = Buffer.alloc(100)
      message.writeUInt32LE(index)
      if (!client.send(message)) await once(client, 'drain')
      if (index % 200 === 199) await waitFor('its arrival', () => numbers.length > index - 400)
    }
    await waitFor('the last', () => numbers.at(-1) === total - 1)
    expect(client.stats.dropped).toBe(0)
    expect(numbers).toEqual(Array.from({ length: total }, (_, index) => index))
  })

  it('many sockets drain each for itself', async () => {
    const key = freshKey()
    const { port } = await echo({ psk: { [identity]: key } })
    const open = () => dialOpen({ port, highWaterMark: 2_000, psk: { identity, key } })
    const sockets = await Promise.all(Array.from({ length: 20 }, open))
    await Promise.all(
      sockets.map(async (socket: DtlsSocket) => {
        for (let round = 0; round < 10; round += 1) {
          while (socket.send(Buffer.alloc(500)));
          await once(socket, 'drain', { signal: AbortSignal.timeout(10_000) })
        }
      }),
    )
  })

  it('the buffer of a closed socket is empty', async () => {
    const { client } = await openPair()
    for (let index = 0; index < 100; index += 1) client.send(Buffer.alloc(1_000))
    void client.close()
    expect(client.bufferedAmount).toBe(0)
    await client.closed
  })
})

/** How many of so many may be missing: what the system's buffer did not take. */
function lost(got: Buffer[], sent: number): number {
  return Math.max(0, Math.ceil((sent - got.length) * 0.1))
}
