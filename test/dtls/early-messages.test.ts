import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { waitFor } from '../support/wait.js'
import { collect, dialOpen, freshKey, identity, nextMessage, openPair, serve } from './support.js'

describe('messages before anybody listens', () => {
  it('are counted with what they cost, so that one-byte messages cannot pile up', async () => {
    const { client, server } = await openPair()
    const sent = 12_000
    for (let index = 0; index < sent; index += 100) {
      client.sendMany(Array.from({ length: 100 }, () => 'x'))
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await waitFor('most of them', () => server.stats.messagesReceived > sent / 2)
    // Until the last has come: what follows the first listener is not kept but delivered.
    for (let before = -1; before !== server.stats.dropped || before === 0; ) {
      before = server.stats.dropped
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    const kept = collect(server)
    await waitFor('what was kept', () => kept.length > 0)
    // 1 MiB of one byte and 256 each.
    expect(kept.length).toBeGreaterThan(4_000)
    expect(kept.length).toBeLessThan(4_200)
  })

  it('do not keep the batch that they came with', async () => {
    const key = freshKey()
    const { server, port } = await serve({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const client = await dialOpen({ port, psk: { identity, key } })
    const [socket] = (await accepted) as [DtlsSocket]
    client.sendMany(Array.from({ length: 400 }, () => Buffer.alloc(1_000)))
    await waitFor('the first of them', () => socket.stats.messagesReceived > 0)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const message = await nextMessage(socket)
    // Node's pool of small buffers, not a slab of many messages.
    expect(message.buffer.byteLength).toBeLessThan(131_072)
    expect(message.length).toBe(1_000)
  })
})

describe('the exporter’s context', () => {
  it('is bytes, or the call is refused: it must not be left out silently', async () => {
    const { client } = await openPair()
    const wrong = 'a string' as unknown as Uint8Array
    expect(() => client.exportKeyingMaterial(32, 'EXPORTER-test', wrong)).toThrow(
      /context: expected/,
    )
  })
})
