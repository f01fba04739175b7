// A server on several I/O threads, each with its own socket on one address (SO_REUSEPORT).

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createServer, type DtlsSocket } from '../../src/dtls/index.js'
import { freeUdpPort } from '../support/ports.js'
import { run, typescript } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  roundTrip,
  serve,
} from './support.js'

const THREADS = 4
const CLIENTS = 40
const key = freshKey()
const psk = { identity, key }

function openAll(port: number, count = CLIENTS): Promise<DtlsSocket[]> {
  return Promise.all(Array.from({ length: count }, () => dialOpen({ port, psk })))
}

describe.skipIf(process.platform !== 'linux')('dtls/ioThreads', () => {
  it('clients are served by more than one thread, and each hears its own echo', async () => {
    const { server, port } = await echo({ psk: { [identity]: key }, ioThreads: THREADS })
    const clients = await openAll(port)
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(clients.map((client, index) => roundTrip(client, `${index} of ${round}`)))
    }
    const { sessions, sessionsByThread, ioThreads, handshakesCompleted } = server.stats
    expect(ioThreads).toBe(THREADS)
    expect(sessionsByThread).toHaveLength(THREADS)
    expect(sessionsByThread.filter((count) => count > 0).length).toBeGreaterThan(1)
    expect(sessionsByThread.reduce((sum, count) => sum + count)).toBe(CLIENTS)
    expect({ sessions, handshakesCompleted }).toEqual({
      sessions: CLIENTS,
      handshakesCompleted: CLIENTS,
    })
    expect([...server.sessions]).toHaveLength(CLIENTS)
  })

  it('one thread is the default, and says so', async () => {
    const { server, port } = await echo({ psk: { [identity]: key } })
    expect(createServer({ psk: {} }).stats).toMatchObject({ ioThreads: 0, sessionsByThread: [] })
    await openAll(port, 3)
    expect(server.stats).toMatchObject({ ioThreads: 1, sessionsByThread: [3] })
  })

  it('close reaches the clients of every thread, and frees the port', async () => {
    const { server, port } = await echo({ psk: { [identity]: key }, ioThreads: THREADS })
    const clients = await openAll(port)
    const sessions = [...server.sessions]
    await server.close()
    await Promise.all([...clients, ...sessions].map((socket) => socket.closed))
    expect(server.stats).toMatchObject({ ioThreads: THREADS, handshakesCompleted: CLIENTS })
    await listen(createServer({ psk: {} }), LOOPBACK, port)
  })

  it('revoke ends the sessions of every thread', async () => {
    const { server, port, failures } = await echo({
      psk: { [identity]: key, other: key },
      ioThreads: THREADS,
    })
    const clients = await openAll(port, 20)
    const other = await dialOpen({ port, psk: { identity: 'other', key } })
    expect(server.revoke(identity)).toBe(20)
    await Promise.all(clients.map((client) => client.closed))
    await waitFor('the endings', () => failures.length === 20)
    await roundTrip(other)
    expect(server.stats.sessions).toBe(1)
  })

  it('lookups and exporters find their session, though threads use the same numbers', async () => {
    const keyOf = (name: string) => Buffer.from(name.padEnd(32, '.'))
    const exported = (socket: DtlsSocket<string>) =>
      socket.exportKeyingMaterial(32, 'EXPERIMENTAL mcbn').toString('hex')
    const accepted = new Map<string, DtlsSocket<string>>()
    const { server, port } = await serve<string>(
      {
        psk: async ({ identityText }) => ({ key: keyOf(identityText), peer: identityText }),
        ioThreads: THREADS,
      },
      (socket) => accepted.set(String(socket.pskIdentity), socket),
    )
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, index) => {
        const name = `client ${index}`
        return dialOpen({ port, psk: { identity: name, key: keyOf(name) } })
      }),
    )
    await waitFor('the sessions', () => accepted.size === clients.length)
    for (const client of clients) {
      const name = String(client.pskIdentity)
      const served = accepted.get(name) as DtlsSocket<string>
      expect(served.peer).toBe(name)
      expect(exported(served)).toBe(exported(client as DtlsSocket<never>))
    }
    expect(new Set([...accepted.values()].map(({ remotePort }) => remotePort)).size).toBe(20)
    expect(server.stats.sessions).toBe(20)
  })

  it('keylog, ref and unref are those of all threads', async () => {
    const { server, port } = await echo({ psk: { [identity]: key }, ioThreads: THREADS })
    const lines = vi.fn()
    server.on('keylog', lines)
    server.unref().ref().unref().unref().ref()
    await openAll(port, 20)
    await waitFor('the lines', () => lines.mock.calls.length === 20)
  })

  it('maxSessions holds for all threads together', async () => {
    const { server, port } = await echo({
      psk: { [identity]: key },
      ioThreads: THREADS,
      maxSessions: 3,
    })
    const clients = await openAll(port, 3)
    const late = Array.from({ length: 12 }, () => dial({ port, psk, retransmitTimeout: 50 }))
    await waitFor('refusals', () => (server.stats.dropped['limit'] ?? 0) >= late.length)
    expect(server.stats.sessions).toBe(3)
    expect(late.every(({ readyState }) => readyState === 'opening')).toBe(true)
    await clients[0]?.close()
    await Promise.any(late.map((socket) => socket.opened))
    expect(server.stats.sessions).toBe(3)
  })

  it('maxHandshakes and maxSessionsPerHost do as well', async () => {
    let answer: (found: Buffer) => void = () => {}
    const answered = new Promise<Buffer>((resolve) => {
      answer = resolve
    })
    const { server, port } = await echo({
      psk: () => answered,
      ioThreads: THREADS,
      maxHandshakes: 8,
      maxSessionsPerHost: 3,
    })
    const clients = Array.from({ length: 12 }, () => dial({ port, psk, retransmitTimeout: 50 }))
    await waitFor('refusals', () => (server.stats.dropped['limit'] ?? 0) >= 9)
    expect(server.stats.handshakesStarted).toBe(3)
    answer(key)
    const open = (): number => clients.filter(({ readyState }) => readyState === 'open').length
    await waitFor('sessions', () => open() === 3)
    expect(server.stats.handshakesCompleted).toBe(3)
  })

  it('a port that another server has is refused, shared or not, until it is free', async () => {
    const { port, server } = await echo({ psk: { [identity]: key }, ioThreads: 2 })
    for (const options of [{ ioThreads: 2 }, { ioThreads: 1 }, { reusePort: false }]) {
      const second = createServer({ psk: {}, ...options })
      second.listen(port, LOOPBACK)
      const [error] = await once(second, 'error')
      expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', port })
      expect(second.stats.ioThreads).toBe(0)
    }
    const third = createServer({ psk: { [identity]: key }, ioThreads: 2 })
    third.listen(port, LOOPBACK)
    await once(third, 'error')
    await server.close()
    await listen(third, LOOPBACK, port)
    await roundTripWith(third, port)
  })

  it('listens on all addresses, IPv6 and IPv4', async () => {
    const server = createServer({ psk: { [identity]: key }, ioThreads: 2 }, (socket) => {
      socket.on('message', (message) => socket.send(message))
    })
    server.listen(0)
    onTestFinished(() => server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    for (const host of [LOOPBACK, '::1']) {
      await roundTrip(await dialOpen({ host, port, psk }))
    }
  })

  it('a server that fails half-way leaves nothing bound', async () => {
    const port = await freeUdpPort()
    const script = typescript('test/dtls/children/half-bound.ts', String(port))
    const child = await run('sh', [
      '-c',
      'ulimit -n 256; exec "$0" "$@"',
      process.execPath,
      ...script,
    ])
    expect(child.exit, child.report()).toEqual({ code: 0, signal: null })
    const { failures, listened } = JSON.parse(child.stdout)
    expect(failures).toBeGreaterThan(5)
    expect(listened).toBe(true)
  })
})

async function roundTripWith(server: { sessions: Iterable<DtlsSocket> }, port: number) {
  const client = await dialOpen({ port, psk })
  await waitFor('the session', () => [...server.sessions].length === 1)
  for (const socket of server.sessions) socket.on('message', (message) => socket.send(message))
  await roundTrip(client)
}
