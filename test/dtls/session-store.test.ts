// Sessions that outlive their server, with what it kept in a session store: docs/SESSIONS.md.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type {
  DtlsImport,
  DtlsServer,
  DtlsServerOptions,
  DtlsSocket,
  SessionStore,
} from '../../src/dtls/index.js'
import { createServer, fileSessionStore } from '../../src/dtls/index.js'
import type { McbnError } from '../../src/errors.js'
import { numbersUsedTwice } from '../support/record-numbers.js'
import { tapUdp } from '../support/tap.js'
import { collect, dialOpen, freshKey, identity, LOOPBACK, listen, roundTrip } from './support.js'
import { TestStore } from './test-store.js'

const sealingKey = randomBytes(32)

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcbn-store-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function echoing<Peer = undefined>(
  store: string | SessionStore,
  key: Buffer,
  options: Partial<DtlsServerOptions<Peer>> = {},
  port = 0,
): Promise<{ server: DtlsServer<Peer>; port: number; restored: Promise<DtlsImport> }> {
  const server = createServer<Peer>(
    { psk: { [identity]: key }, sessionStore: { store, sealingKey }, ...options },
    (socket) => socket.on('message', (message) => socket.send(message)),
  )
  const restored = once(server, 'sessionsRestored').then(([result]) => result as DtlsImport)
  return { server, port: await listen(server, LOOPBACK, port), restored }
}

async function clients(count: number, port: number, key: Buffer, more = {}): Promise<DtlsSocket[]> {
  const sockets = await Promise.all(
    Array.from({ length: count }, () => dialOpen({ port, psk: { identity, key }, ...more })),
  )
  for (const socket of sockets) await roundTrip(socket)
  return sockets
}

/** What is left when a server is killed now: the port is free, nobody was told anything. */
async function kill(server: DtlsServer<never>, store: TestStore): Promise<TestStore> {
  const left = store.crashed()
  store.broken = new Error('gone')
  store.gate = undefined
  await server.close({ handover: true })
  return left
}

/** Nothing has come for a second: what was reserved and not used has been given back. */
async function settled(store: TestStore): Promise<void> {
  const before = new Map(store.disk)
  const asked = performance.now()
  const written = (): boolean =>
    store.names.every((name) => store.disk.get(name) !== before.get(name))
  await expect
    .poll(() => written() || performance.now() - asked > 3_000, { timeout: 20_000 })
    .toBe(true)
}

describe('dtls/session store, when a server is restarted', () => {
  it('goes on after a graceful restart exactly where it was', async () => {
    const key = freshKey()
    const path = folder()
    const first = await echoing(path, key)
    const sockets = await clients(20, first.port, key)
    await first.server.close({ handover: true })
    const second = await echoing(path, key, {}, first.port)
    expect(await second.restored).toEqual({ imported: 20, refused: 0, reasons: {} })
    for (const socket of sockets) await roundTrip(socket)
    expect(second.server.stats).toMatchObject({ handshakesStarted: 0, sessions: 20 })
    expect(second.server.stats.dropped).toMatchObject({ replayed: 0, unreserved: 0 })
  })

  it.each([
    { how: 'by address', more: {} },
    { how: 'by connection ID, on two threads', more: { connectionId: true, ioThreads: 2 } },
  ])('loses no message of quiet sessions, found $how, in a crash', async ({ more }) => {
    const key = freshKey()
    const store = new TestStore()
    const first = await echoing(store, key, more)
    const { ioThreads: _, ...ids } = { ioThreads: 1, ...more }
    const sockets = await clients(20, first.port, key, ids)
    await expect.poll(() => store.names).toHaveLength(20)
    await settled(store)
    const left = await kill(first.server as DtlsServer<never>, store)
    const second = await echoing(left, key, more, first.port)
    expect((await second.restored).imported).toBe(20)
    await Promise.all(sockets.map((socket) => roundTrip(socket, 'after the crash')))
    expect(second.server.stats).toMatchObject({ handshakesStarted: 0, sessions: 20 })
    expect(second.server.stats.dropped).toMatchObject({ replayed: 0, unreserved: 0 })
  })

  it('uses no number twice and takes no replay after crashes in the middle of traffic', async () => {
    const key = freshKey()
    let store = new TestStore()
    let current = await echoing(store, key)
    const tap = await tapUdp(current.port)
    const client = await dialOpen({ port: tap.port, psk: { identity, key } })
    const heard: string[] = []
    client.on('message', (message) => heard.push(message.toString()))
    let sent = 0
    const until = async (count: number): Promise<void> => {
      while (heard.length < count) {
        client.send(String(sent++))
        await new Promise(setImmediate)
      }
    }
    for (const round of [1, 2, 3]) {
      await until(heard.length + 300)
      const left = await kill(current.server as DtlsServer<never>, store)
      const before = heard.length
      const replayed = tap.passed.filter(({ from }) => from === 'client').length
      store = left
      current = await echoing(left, key, {}, current.port)
      expect((await current.restored).imported).toBe(1)
      tap.replay('client')
      await expect
        .poll(() => current.server.stats.datagramsReceived, { timeout: 10_000 })
        .toBeGreaterThanOrEqual(replayed)
      await until(before + 50)
      expect(new Set(heard).size, `round ${round}`).toBe(heard.length)
    }
    expect(numbersUsedTwice(tap.passed.filter(({ from }) => from === 'server'))).toEqual([])
    expect(current.server.stats.dropped.replayed).toBeGreaterThan(300)
    expect(current.server.stats.handshakesStarted).toBe(0)
  })

  it('cannot tell that the store has gone back: replays are accepted then, and the checks see it', async () => {
    const key = freshKey()
    const store = new TestStore()
    const first = await echoing(store, key)
    const tap = await tapUdp(first.port)
    const client = await dialOpen({ port: tap.port, psk: { identity, key } })
    const heard = collect(client)
    await roundTrip(client)
    await settled(store)
    const backup = store.crashed()
    for (let count = 0; heard.length < 300; count += 1) {
      client.send(String(count))
      await new Promise(setImmediate)
    }
    await kill(first.server as DtlsServer<never>, store)
    expect(new Set(heard.map(String)).size).toBe(heard.length)
    const second = await echoing(backup, key, {}, first.port)
    expect((await second.restored).imported).toBe(1)
    tap.replay('client')
    await expect.poll(() => new Set(heard.map(String)).size < heard.length).toBe(true)
  })

  it('does not announce a session before its numbers are reserved again', async () => {
    const key = freshKey()
    const store = new TestStore()
    const first = await echoing(store, key)
    const [client] = (await clients(1, first.port, key)) as [DtlsSocket]
    await settled(store)
    const left = await kill(first.server as DtlsServer<never>, store)
    let open = (): void => {}
    left.gate = new Promise((resolve) => {
      open = resolve
    })
    const second = await echoing(left, key, {}, first.port)
    const answered = roundTrip(client)
    await expect.poll(() => second.server.stats.datagramsReceived).toBeGreaterThan(0)
    expect([...second.server.sessions]).toEqual([])
    open()
    await answered
    expect((await second.restored).imported).toBe(1)
  })

  it('asks the lookup again: what it does not know any more is refused, what fails is kept', async () => {
    const key = freshKey()
    const store = new TestStore()
    const first = await echoing(store, key, { psk: () => key })
    for (const name of ['known', 'unknown', 'failing']) {
      await roundTrip(await dialOpen({ port: first.port, psk: { identity: name, key } }))
    }
    await expect.poll(() => store.names.length).toBe(3)
    const left = await kill(first.server as DtlsServer<never>, store)
    const psk = async ({ identityText }: { identityText: string }) => {
      if (identityText === 'failing') throw new Error('the directory is down')
      return identityText === 'known' ? { key, peer: 'a pump' } : null
    }
    const second = await echoing<string>(left, key, { psk }, first.port)
    expect(await second.restored).toEqual({
      imported: 1,
      refused: 2,
      reasons: { unknownIdentity: 2 },
    })
    expect([...second.server.sessions].map(({ peer }) => peer)).toEqual(['a pump'])
    await expect.poll(() => left.names.length).toBe(2)
  })
})

describe('dtls/session store, while a server runs', () => {
  it('forgets sessions that end, however they end', async () => {
    const key = freshKey()
    const store = new TestStore()
    const { server, port } = await echoing(store, key, { psk: { [identity]: key, Other: key } })
    const [left, closed] = (await clients(3, port, key)) as [DtlsSocket, DtlsSocket, DtlsSocket]
    await roundTrip(await dialOpen({ port, psk: { identity: 'Other', key } }))
    await expect.poll(() => store.names.length).toBe(4)
    await left.close()
    await expect.poll(() => store.names.length).toBe(3)
    server.revoke('Other')
    await expect.poll(() => store.names.length).toBe(2)
    const [first] = [...server.sessions]
    await first?.close()
    await expect.poll(() => store.names.length).toBe(1)
    expect(closed.readyState).toBeDefined()
    await server.close()
    expect(store.names).toEqual([])
  })

  it('takes a session out of the store before it gives the exported bytes away', async () => {
    const key = freshKey()
    const store = new TestStore()
    const { server, port } = await echoing(store, key)
    const sockets = await clients(3, port, key)
    await expect.poll(() => store.names.length).toBe(3)
    const [socket] = [...server.sessions] as [DtlsSocket]
    expect(() => socket.exportSession({ sealingKey })).toThrow(
      expect.objectContaining({ code: 'MCBN_SESSION_REFUSED' }),
    )
    const sealed: Buffer[] = []
    for await (const each of server.exportSessions({ sealingKey })) {
      expect(store.names).toEqual([])
      sealed.push(each)
    }
    // And back again: a row each.
    expect(await server.importSessions(sealed, { sealingKey })).toMatchObject({ imported: 3 })
    for (const each of sockets) await roundTrip(each)
    await expect.poll(() => store.names.length).toBe(3)
  })

  it('does not export what it cannot take out of the store', async () => {
    const key = freshKey()
    const store = new TestStore()
    const { server, port } = await echoing(store, key)
    const sockets = await clients(3, port, key)
    await expect.poll(() => store.names.length).toBe(3)
    server.on('sessionStoreError', () => {})
    store.broken = new Error('no space left on device')
    const iterate = async (): Promise<void> => {
      for await (const _ of server.exportSessions({ sealingKey })) throw new Error('exported')
    }
    await expect(iterate()).rejects.toMatchObject({ code: 'MCBN_SESSION_STORE_FAILED' })
    store.broken = undefined
    for (const each of sockets) await roundTrip(each)
  })

  it('lets messages wait for their numbers, and loses none', async () => {
    const key = freshKey()
    const store = new TestStore()
    const { server, port } = await echoing(store, key)
    const [client] = (await clients(1, port, key)) as [DtlsSocket]
    await settled(store)
    let open = (): void => {}
    store.gate = new Promise((resolve) => {
      open = resolve
    })
    const heard: string[] = []
    client.on('message', (message) => heard.push(message.toString()))
    const before = server.stats.datagramsReceived
    for (let count = 0; count < 200; count += 1) client.send(String(count))
    await expect.poll(() => server.stats.datagramsReceived).toBe(before + 200)
    expect(heard).toEqual([])
    open()
    await expect.poll(() => heard.length).toBe(200)
    expect(heard).toEqual(Array.from({ length: 200 }, (_, count) => String(count)))
  })

  it('goes on without its store to the end of what is reserved, then refuses, and says so', async () => {
    const key = freshKey()
    const store = new TestStore()
    const { server, port } = await echoing(store, key)
    const [client] = (await clients(1, port, key)) as [DtlsSocket]
    await settled(store)
    const outages: McbnError[] = []
    server.on('sessionStoreError', (error) => outages.push(error))
    store.broken = new Error('no space left on device')
    const [socket] = [...server.sessions] as [DtlsSocket]
    const heard = collect(client)
    // More than a block to send, and more than may wait to be received.
    for (let count = 0; count < 70; count += 1) {
      for (let one = 0; one < 1_000; one += 1) socket.send('x')
      for (let one = 0; one < 100; one += 1) client.send('y')
      await new Promise(setImmediate)
    }
    await expect.poll(() => server.stats.dropped.unreservedSends).toBeGreaterThan(0)
    await expect.poll(() => server.stats.dropped.unreserved).toBeGreaterThan(0)
    expect(heard.length).toBeLessThanOrEqual(65_536)
    expect(outages).toHaveLength(1)
    expect(outages[0]).toMatchObject({ code: 'MCBN_SESSION_STORE_FAILED', kind: 'environment' })
    store.broken = undefined
    const again = (): boolean => {
      client.send('again')
      return heard.some((message) => message.toString() === 'again')
    }
    await expect.poll(again, { timeout: 20_000 }).toBe(true)
  })
})

describe('dtls/session store, in the wrong hands', () => {
  it('refuses rows that were altered, renamed, invented, or are another server’s', async () => {
    const key = freshKey()
    const store = new TestStore()
    const other = new TestStore()
    const first = await echoing(store, key)
    const stranger = await echoing(other, key, {
      sessionStore: { store: other, sealingKey: randomBytes(32) },
    })
    const sockets = await clients(4, first.port, key)
    await clients(1, stranger.port, key)
    await expect.poll(() => store.names.length + other.names.length).toBe(5)
    const left = await kill(first.server as DtlsServer<never>, store)
    const [altered, renamed, good] = left.names as [string, string, string, string]
    const bytes = left.disk.get(altered) as Buffer
    bytes[60] = (bytes[60] as number) ^ 1
    const name = randomBytes(16).toString('hex')
    left.disk.set(name, left.disk.get(renamed) as Buffer)
    left.disk.delete(renamed)
    const foreign = other.names[0] as string
    left.disk.set(foreign, other.disk.get(foreign) as Buffer)
    for (const odd of ['', 'x', 'header2', '00'.repeat(15), '00'.repeat(17)]) {
      left.disk.set(odd, Buffer.from(left.disk.get(good) as Buffer))
    }
    left.disk.set('11'.repeat(16), Buffer.alloc(0))
    left.disk.set('22'.repeat(16), randomBytes(300))
    const second = await echoing(left, key, {}, first.port)
    const { imported, reasons } = await second.restored
    expect(imported).toBe(2)
    expect(reasons.forged).toBeGreaterThanOrEqual(9)
    const heard = sockets.map((socket) => {
      const messages = collect(socket)
      return () => {
        socket.send('again')
        return messages.length > 0
      }
    })
    await expect.poll(() => heard.filter((each) => each()).length).toBe(2)
    await expect.poll(() => left.names.filter((each) => each.length === 32).length).toBe(2)
  })

  it('refuses a whole store that was made with another key, or by another version', async () => {
    const key = freshKey()
    const store = new TestStore()
    const { server } = await echoing(store, key)
    await server.close({ handover: true })
    const refused = async (sealing: Uint8Array): Promise<McbnError> => {
      const next = createServer({
        psk: {},
        sessionStore: { store, sealingKey: sealing },
      })
      next.listen(0, LOOPBACK)
      return (await once(next, 'error'))[0] as McbnError
    }
    const error = await refused(randomBytes(32))
    expect(error).toMatchObject({ code: 'MCBN_SESSION_STORE_FAILED' })
    expect(error.message).toMatch(/another sealingKey/)
    store.disk.get('header')?.writeUInt8(2, 0)
    expect((await refused(sealingKey)).message).toMatch(/does not know/)
  })

  it('lets one server open a folder, and the next one when that has closed it', async () => {
    const key = freshKey()
    const path = folder()
    const first = await echoing(path, key)
    const second = createServer({ psk: {}, sessionStore: { store: path, sealingKey } })
    second.listen(0, LOOPBACK)
    const [error] = (await once(second, 'error')) as [McbnError]
    expect(error).toMatchObject({ code: 'MCBN_SESSION_STORE_FAILED' })
    expect(error.message).toMatch(/it is open already/)
    await first.server.close()
    second.listen(0, LOOPBACK)
    await once(second, 'listening')
    await second.close()
  })

  it('releases the folder when it cannot listen', async () => {
    const key = freshKey()
    const path = folder()
    const taken = await echoing(new TestStore(), key)
    const server = createServer({ psk: {}, sessionStore: { store: path, sealingKey } })
    server.listen(taken.port, LOOPBACK)
    expect((await once(server, 'error'))[0]).toMatchObject({ code: 'EADDRINUSE' })
    const store = fileSessionStore(path)
    await store.open()
    await store.close()
    await server.close()
  })

  it('tries another port with the same store at once, when one is taken', async () => {
    class SlowToClose extends TestStore {
      override async close(): Promise<void> {
        await new Promise(setImmediate)
        await super.close()
      }
    }
    const taken = await echoing(new TestStore(), freshKey())
    const store = new SlowToClose()
    const server = createServer({ psk: {}, sessionStore: { store, sealingKey } })
    server.listen(taken.port, LOOPBACK)
    await once(server, 'error')
    server.listen(0, LOOPBACK)
    await once(server, 'listening')
    await server.close()
  })

  it.each([
    [{ store: 'x' }, 'MCBN_OPTION_TYPE'],
    [{ sealingKey }, 'MCBN_OPTION_TYPE'],
    [{ store: {}, sealingKey }, 'MCBN_OPTION_TYPE'],
    [{ store: '', sealingKey }, 'MCBN_OPTION_TYPE'],
    [{ store: 'x', sealingKey: randomBytes(31) }, 'MCBN_OPTION_RANGE'],
    [{ store: 'x', sealingKey, path: 'x' }, 'MCBN_OPTION_UNKNOWN'],
    ['x', 'MCBN_OPTION_TYPE'],
  ] as const)('refuses %o', (sessionStore, code) => {
    expect(() => createServer({ psk: {}, sessionStore: sessionStore as never })).toThrow(
      expect.objectContaining({ code }),
    )
  })
})
