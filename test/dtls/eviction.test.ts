// A full server: which peer may come in, and which session goes for it.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { freeUdpPort } from '../support/ports.js'
import { waitFor } from '../support/wait.js'
import { dial, dialOpen, echo, freshKey, identity, LOOPBACK, roundTrip, serve } from './support.js'

/** Milliseconds. */
const SILENT = 300

const key = freshKey()
const psk = { identity, key }
const keys = { psk: { [identity]: key } }

async function openAll(port: number, count: number): Promise<DtlsSocket[]> {
  const sockets: DtlsSocket[] = []
  for (let index = 0; index < count; index += 1) sockets.push(await dialOpen({ port, psk }))
  return sockets
}

describe('dtls/evictAfter', () => {
  it('a newcomer takes the place of the session that was silent longest', async () => {
    const options = { ...keys, maxSessions: 3, evictAfter: SILENT }
    const { server, port, failures } = await echo(options)
    const [first, second, third] = (await openAll(port, 3)) as [DtlsSocket, DtlsSocket, DtlsSocket]
    await sleep(SILENT)
    await roundTrip(first)
    await roundTrip(third)
    const gone = [...server.sessions][1] as DtlsSocket
    await roundTrip(await dialOpen({ port, psk }))
    await Promise.all([second.closed, gone.closed]) // the client by close_notify
    expect(gone.closeReason).toBe('idle')
    expect(failures).toEqual([])
    await roundTrip(first)
    await roundTrip(third)
    expect(server.stats).toMatchObject({ sessions: 3, evictions: 1, handshakesCompleted: 4 })
  })

  it('keeps sessions that were not silent for so long, and the newcomer waits', async () => {
    const { server, port } = await echo({ ...keys, maxSessions: 2, evictAfter: 2 * SILENT })
    const [first, second] = (await openAll(port, 2)) as [DtlsSocket, DtlsSocket]
    const late = dial({ port, psk, retransmitTimeout: 20 })
    await waitFor('a refusal', () => (server.stats.dropped['limit'] ?? 0) > 0)
    const talk = setInterval(() => second.send('on'), 50)
    try {
      expect(server.stats).toMatchObject({ sessions: 2, handshakesStarted: 2, evictions: 0 })
      await late.opened // once the first one was silent long enough
    } finally {
      clearInterval(talk)
    }
    await first.closed
    await roundTrip(second)
  })

  it('0 displaces nobody', async () => {
    const { server, port } = await echo({ ...keys, maxSessions: 1, evictAfter: 0 })
    const [first] = (await openAll(port, 1)) as [DtlsSocket]
    await sleep(50)
    const late = dial({ port, psk, retransmitTimeout: 20 })
    await waitFor('refusals', () => (server.stats.dropped['limit'] ?? 0) > 2)
    expect(late.readyState).toBe('opening')
    await roundTrip(first)
    expect(server.stats).toMatchObject({ evictions: 0, handshakesStarted: 1 })
  })

  it('what the server sends counts as well', async () => {
    const { server, port } = await serve({ ...keys, maxSessions: 2, evictAfter: SILENT })
    const [first, second] = (await openAll(port, 2)) as [DtlsSocket, DtlsSocket]
    await sleep(SILENT)
    const [toFirst] = server.sessions
    toFirst?.send('news')
    await dialOpen({ port, psk })
    await second.closed
    expect(first.readyState).toBe('open')
  })

  it('strangers displace nobody: no cookie, a cookie alone, a wrong key, an unknown identity', async () => {
    const options = { ...keys, maxSessions: 2, evictAfter: 1, maxHandshakes: 64 }
    const { server, port, failures } = await echo(options)
    const sockets = await openAll(port, 2)
    await sleep(5)
    for (let index = 0; index < 8; index += 1) {
      const peer = await DtlsPeer.create({ port, identity: Buffer.from(identity), key })
      await peer.hello()
    }
    expect(server.stats.handshakesStarted).toBe(10) // let begin: any of them may have the key
    const wrong = [freshKey(), freshKey()].map((other) =>
      dial({ port, psk: { identity, key: other } }),
    )
    wrong.push(dial({ port, psk: { identity: 'nobody', key } }))
    await Promise.all(wrong.map((socket) => socket.closed))
    await waitFor('the refusals', () => failures.length >= 3)
    expect(server.stats).toMatchObject({ evictions: 0, handshakesCompleted: 2 })
    for (const socket of sockets) await roundTrip(socket)
  })

  it('garbage to an old session does not make it look alive', async () => {
    const { server, port } = await echo({ ...keys, maxSessions: 2, evictAfter: SILENT })
    const proxy = await LossyProxy.start(port)
    const old = await dialOpen({ port: proxy.port, psk })
    const [young] = (await openAll(port, 1)) as [DtlsSocket]
    await sleep(SILENT)
    await roundTrip(young)
    proxy.inject(
      Buffer.concat([Buffer.from('17fefd0001000000000099002a', 'hex'), Buffer.alloc(42)]),
      'to server',
    )
    await waitFor('the forgery', () => (server.stats.dropped['badMac'] ?? 0) > 0)
    await dialOpen({ port, psk })
    await old.closed
    await roundTrip(young)
  })

  it('a client that comes back from its own port takes its own place', async () => {
    const { server, port } = await echo({ ...keys, maxSessions: 2, evictAfter: SILENT })
    const [other] = (await openAll(port, 1)) as [DtlsSocket]
    const proxy = await LossyProxy.start(port)
    const own = { port: proxy.port, localAddress: LOOPBACK, localPort: await freeUdpPort(), psk }
    const before = await dialOpen(own)
    proxy.pass = () => false // its goodbye is lost
    await before.close()
    await sleep(SILENT)
    proxy.pass = undefined
    await roundTrip(await dialOpen(own))
    await roundTrip(other)
    expect(server.stats).toMatchObject({ sessions: 2, evictions: 0, handshakesCompleted: 3 })
  })

  it.skipIf(process.platform !== 'linux')('reaches the sessions of every thread', async () => {
    const limits = { maxSessions: 12, evictAfter: SILENT, ioThreads: 3 }
    const { server, port, failures } = await echo({ ...keys, ...limits })
    const old = await openAll(port, 12)
    const displaced = [...server.sessions]
    await sleep(SILENT)
    const young = await openAll(port, 12)
    await Promise.all(old.map((socket) => socket.closed))
    await waitFor('the sessions to go', () => server.stats.sessions === 12)
    expect(server.stats).toMatchObject({ evictions: 12, handshakesCompleted: 24 })
    await Promise.all(displaced.map((socket) => socket.closed))
    expect(new Set(displaced.map(({ closeReason }) => closeReason))).toEqual(new Set(['idle']))
    expect(failures).toEqual([])
    await waitFor('the newcomers', () => [...server.sessions].length === 12)
    for (const socket of young) await roundTrip(socket)
  })
})
