// What a socket says of its unsent messages, and what that costs.

import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as dtls from '../../src/dtls/index.js'
import type { IoThread, Waiter } from '../../src/dtls/io-thread.js'
import { Outgoing } from '../../src/dtls/outgoing.js'
import { nextEvent } from '../support/process.js'

describe('dtls/outgoing', () => {
  it('counts a message that did not fit the last frame until it has gone itself', async () => {
    const key = randomBytes(32)
    const server = dtls.createServer({ psk: { client: key } })
    onTestFinished(() => server.close())
    server.listen(0, '127.0.0.1')
    await nextEvent(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = dtls.connect({ host: '127.0.0.1', port, psk: { identity: 'client', key } })
    onTestFinished(() => client.close())
    await client.opened
    // 62 such messages fill a frame of 64 KB, which is sent at once; eight are left for the turn's end.
    for (let sent = 0; sent < 70; sent += 1) client.send(Buffer.alloc(1_000))
    const until = performance.now() + 5_000
    while (client.bufferedAmount > 8_000 && performance.now() < until);
    expect(client.bufferedAmount).toBe(8_000)
  })

  it('asks once about each of many sessions that wait for one socket', () => {
    // No socket on loopback stays full: this one takes a submission whenever the test says so.
    let progress = 0
    let last = 0
    let asked = 0
    let drained = 0
    const waiting = new Set<Waiter>()
    const thread = {
      native: { progress: () => progress },
      stage() {},
      tellSubmitted() {},
      flush() {},
      wait(waiter: Waiter) {
        asked += 1
        waiting.add(waiter)
      },
      forget: (waiter: Waiter) => waiting.delete(waiter),
    } as unknown as IoThread
    for (let session = 1; session <= 16; session += 1) {
      const socket = new EventEmitter<dtls.DtlsSocketEvents>()
      socket.on('drain', () => (drained += 1))
      const outgoing = new Outgoing({ thread, endpoint: 1, highWaterMark: 2_000 }, session, socket)
      outgoing.push(Buffer.alloc(1_500))
      last += 1
      outgoing.onSubmitted(last)
      outgoing.push(Buffer.alloc(1_500))
      last += 1
      outgoing.onSubmitted(last)
    }
    while (progress < last) {
      progress += 1
      for (const waiter of [...waiting]) waiter.onProgress()
    }
    expect(drained).toBe(16)
    // Each began to wait when only its first submission had a number, and asked again after that.
    expect(asked).toBe(32)
  })
})
