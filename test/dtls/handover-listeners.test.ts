// What listeners hear of sessions that leave a server, and of those that come to one.

import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { clients, exported, sealingKey, successor } from './handing-over.js'
import { echo, freshKey, identity, roundTrip, serve } from './support.js'

describe('dtls/handover: listeners', () => {
  it('has everything heard that came before, and sends what is answered at once or in a promise', async () => {
    const key = freshKey()
    const answer = async (socket: DtlsSocket, message: Buffer): Promise<void> => {
      if (message[0] === 1) await Promise.resolve()
      socket.send(message)
    }
    const { server, port } = await serve({ psk: { [identity]: key } }, (socket) => {
      socket.on('message', (message) => void answer(socket, message))
    })
    const sockets = await clients(8, port, key)
    const before = server.stats.messagesReceived
    let heard = 0
    for (const [index, socket] of sockets.entries()) {
      socket.on('message', () => (heard += 1))
      for (let count = 0; count < 5; count += 1) socket.send(Buffer.from([index % 2]))
    }
    await new Promise<void>(queueMicrotask)
    // Without the event loop: the I/O thread has them all, and nobody has been told of one.
    const end = performance.now() + 10_000
    while (server.stats.messagesReceived < before + 40 && performance.now() < end);
    expect(await exported(server)).toHaveLength(8)
    await expect.poll(() => heard).toBe(40)
  })

  it('tells everybody of the imported sessions, though a listener throws', async () => {
    const key = freshKey()
    const { server: first, port } = await echo({ psk: { [identity]: key } })
    const sockets = await clients(3, port, key)
    const sealed = await exported(first)
    await first.close({ handover: true })
    const second = await successor({ psk: () => ({ key, peer: 'at once' }) }, port)
    const thrown: unknown[] = []
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error))
    try {
      second.on('secureConnection', ({ peer }) => {
        throw new Error(`of ${peer}`)
      })
      expect(await second.importSessions(sealed, { sealingKey })).toMatchObject({ imported: 3 })
      await expect.poll(() => thrown).toEqual(Array(3).fill(new Error('of at once')))
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const other of others) process.on('uncaughtException', other)
    }
    for (const socket of sockets) await roundTrip(socket)
  })

  it('ends with the batch in which a listener closes the server', async () => {
    const key = freshKey()
    const { server: first, port } = await echo({ psk: { [identity]: key } })
    await clients(4, port, key)
    const sealed = await exported(first)
    await first.close({ handover: true })
    const second = await successor({ psk: { [identity]: key } }, port)
    second.on('secureConnection', () => void second.close())
    await second.importSessions(sealed, { sealingKey })
    expect([...second.sessions]).toEqual([])
    await second.close()
    await expect(second.importSessions(sealed, { sealingKey })).rejects.toMatchObject({
      code: 'MCBN_SOCKET_CLOSED',
    })
  })
})
