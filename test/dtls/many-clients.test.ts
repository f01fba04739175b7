// Thousands of clients in one process, each with its own socket: they share threads, and leave nothing.

import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { sanitized, slowdown } from '../support/pace.js'
import { waitFor } from '../support/wait.js'
import { dial, echo, freshKey, identity, residentBytes, roundTrip } from './support.js'

const CLIENTS = sanitized ? 200 : 2_000
/** Handshakes at a time: each is 100 KB on either side while it lasts. */
const WAVE = 100

const entriesOf = (folder: string): number => readdirSync(`/proc/self/${folder}`).length

describe.skipIf(process.platform !== 'linux')('dtls/many clients', () => {
  it(`${CLIENTS} of one process open, echo and close on the threads of one`, {
    timeout: 120_000 * slowdown,
  }, async () => {
    const key = freshKey()
    const { server, port, failures } = await echo({ psk: { [identity]: key } })
    const connect = (): DtlsSocket => dial({ port, psk: { identity, key } })
    const first = await connect().opened
    await roundTrip(first)
    const before = { threads: entriesOf('task'), files: entriesOf('fd'), bytes: residentBytes() }
    const sockets: DtlsSocket[] = []
    while (sockets.length < CLIENTS) {
      const wave = Array.from({ length: WAVE }, connect)
      sockets.push(...(await Promise.all(wave.map((socket) => socket.opened))))
    }
    expect(server.stats.sessions).toBe(CLIENTS + 1)
    expect(entriesOf('task')).toBe(before.threads)
    expect(entriesOf('fd')).toBe(before.files + CLIENTS)
    if (!sanitized) {
      // Of both sides: some 12 KB natively, their JavaScript, and what the allocator keeps of the handshakes.
      expect((residentBytes() - before.bytes) / CLIENTS).toBeLessThan(48 * 1024)
    }
    await Promise.all(sockets.map((socket, index) => roundTrip(socket, `I am ${index}`)))
    // All at once, and once more: nobody hears what was meant for another.
    const heard = await Promise.all(
      sockets.map((socket, index) => {
        const answer = new Promise<string>((resolve) => {
          socket.once('message', (message) => resolve(message.toString()))
        })
        socket.send(`still ${index}`)
        return answer
      }),
    )
    expect(heard).toEqual(sockets.map((_socket, index) => `still ${index}`))
    await Promise.all(sockets.map((socket) => socket.close()))
    await waitFor('the end of all sessions but one', () => server.stats.sessions === 1)
    expect(entriesOf('fd')).toBe(before.files)
    expect(entriesOf('task')).toBe(before.threads)
    await roundTrip(first)
    expect(failures).toEqual([])
  })
})
