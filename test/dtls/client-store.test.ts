// Clients whose sessions outlive them, with what they kept in a session store: docs/SESSIONS.md.

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connect, createServer } from '../../src/dtls/index.js'
import type { McbnError } from '../../src/errors.js'
import type { DtlsVersion } from '../../src/psk/types.js'
import { type Child, startTypescript } from '../support/process.js'
import { numbersUsedTwice, numbersUsedTwice13 } from '../support/record-numbers.js'
import { tapUdp } from '../support/tap.js'
import { crashed, hears, sealingKey, served, stored } from './stored-clients.js'
import {
  BOTH,
  collect,
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  roundTrip,
  VERSIONS,
} from './support.js'
import { TestStore } from './test-store.js'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcbn-client-store-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

interface Killable {
  readonly port: number
  readonly key: Buffer
  readonly store: string
  readonly ids: boolean
  readonly version: DtlsVersion
}

function killable({ port, key, store, ids, version }: Killable, prefix: string): Child {
  const secrets = [key.toString('hex'), sealingKey.toString('hex')]
  const rest = [String(port), store, ids ? 'ids' : 'no-ids', prefix, version]
  return startTypescript('test/dtls/children/storing-client.ts', [...secrets, ...rest])
}

describe('dtls/session store of clients, after kill -9', () => {
  it.each([
    { how: 'from its old port', ids: false, version: 'DTLSv1.2' },
    { how: 'with a connection ID, from any port', ids: true, version: 'DTLSv1.2' },
    { how: 'from its old port', ids: false, version: 'DTLSv1.3' },
    { how: 'with a connection ID, from any port', ids: true, version: 'DTLSv1.3' },
  ] as const)(
    'goes on $how, on $version, without a handshake, number used twice or replay taken',
    async ({ ids, version }) => {
      const key = freshKey()
      const { server, port } = await echo({ psk: { [identity]: key }, connectionId: ids, ...BOTH })
      let secret = Buffer.alloc(0)
      server.on('keylog', (line) => {
        const found = /^CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)/.exec(line.toString())
        if (found) secret = Buffer.from(found[1] as string, 'hex')
      })
      // A tap has one port to the server, whatever the client's is: with it only the ID is tried out.
      const tap = ids ? await tapUdp(port) : undefined
      const store = join(folder(), 'sessions')
      const heard: string[] = []
      server.on('secureConnection', (socket) =>
        socket.on('message', (message) => heard.push(message.toString())),
      )
      for (const round of [0, 1, 2]) {
        const where = { port: tap?.port ?? port, key, store, ids, version }
        const client = killable(where, `${round}-`)
        const [, reused] = await client.output(/^open (true|false)$/m)
        expect(reused).toBe(String(round > 0))
        await client.output(/^echoed 100$/m)
        client.process.kill('SIGKILL')
        await client.exited
      }
      expect(server.stats).toMatchObject({ handshakesStarted: 1, sessions: 1 })
      expect(new Set(heard).size).toBe(heard.length)
      if (tap === undefined) return
      const sent = tap.passed.filter(({ from }) => from === 'client')
      expect(sent.length).toBeGreaterThan(300)
      const idLength = 8
      const twice =
        version === 'DTLSv1.3' ? numbersUsedTwice13(sent, secret, idLength) : numbersUsedTwice(sent)
      expect(twice).toEqual([])
      const client = await dialOpen({
        port: tap.port,
        psk: { identity, key },
        connectionId: true,
        minVersion: version,
        ...stored(store),
      })
      expect(client.isSessionReused()).toBe(true)
      const messages = collect(client)
      tap.replay('server')
      await expect
        .poll(() => client.stats.recordsDroppedBy.replayed, { timeout: 10_000 })
        .toBeGreaterThan(300)
      expect(messages).toEqual([])
    },
    60_000,
  )
})

describe.each(VERSIONS)(
  'dtls/session store of clients on %s, when a client is restarted',
  (version) => {
    it('goes on, opens once its numbers are reserved again, and has its row still', async () => {
      const { server, to } = await served(version)
      const left = await crashed(to)
      let open = (): void => {}
      left.gate = new Promise((resolve) => {
        open = resolve
      })
      const client = dial({ ...to, ...stored(left) })
      const before = server.stats.datagramsReceived
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(client.readyState).toBe('opening')
      expect(server.stats.datagramsReceived).toBe(before)
      open()
      await client.opened
      expect(client.isSessionReused()).toBe(true)
      await hears(client)
      expect(server.stats).toMatchObject({ handshakesStarted: 1, sessions: 1 })
      expect(left.names).toHaveLength(1)
    })

    it('loses nothing of a session that was silent for a second', async () => {
      const { server, to } = await served(version)
      const store = new TestStore()
      const first = await dialOpen({ ...to, ...stored(store) })
      await roundTrip(first)
      const spoken = performance.now()
      // A row that is written sooner, as after an acknowledgement that was late, still has numbers reserved.
      const sinceSpoken = () => store.writtenAt - spoken
      await expect.poll(sinceSpoken, { timeout: 20_000 }).toBeGreaterThan(900)
      const client = await dialOpen({ ...to, ...stored(store.crashed()) })
      expect(client.isSessionReused()).toBe(true)
      await roundTrip(client)
      expect(server.stats.handshakesStarted).toBe(1)
    })

    it('opens a session for each of several sockets again, and one more by a handshake', async () => {
      const { server, to } = await served(version)
      const store = new TestStore()
      const before = await Promise.all(
        Array.from({ length: 5 }, () => dialOpen({ ...to, ...stored(store) })),
      )
      for (const each of before) await roundTrip(each)
      await expect.poll(() => store.names.length, { timeout: 10_000 }).toBe(5)
      const left = store.crashed()
      const after = await Promise.all(
        Array.from({ length: 6 }, () => dialOpen({ ...to, ...stored(left) })),
      )
      for (const each of after) await hears(each)
      expect(after.filter((each) => each.isSessionReused())).toHaveLength(5)
      expect(server.stats).toMatchObject({ handshakesStarted: 6, sessions: 6 })
    })

    it.each([
      { other: 'key', more: { psk: { identity, key: Buffer.alloc(32, 7) } } },
      { other: 'identity', more: { psk: { identity: 'Client2', key: Buffer.alloc(32, 8) } } },
      { other: 'server name', more: { servername: 'other.example' } },
      { other: 'host, by its name', more: { host: 'localhost', family: 4 as const } },
    ])('makes a handshake where the $other is another', async ({ more }) => {
      const { server, to } = await served(version)
      const left = await crashed(to)
      server.setPsk('Client2', Buffer.alloc(32, 8))
      if (more.psk?.identity === identity) server.setPsk(identity, more.psk.key)
      const client = await dialOpen({ ...to, ...more, ...stored(left) })
      expect(client.isSessionReused()).toBe(false)
      expect(server.stats.handshakesStarted).toBe(2)
    })

    it('does not call a `psk` function for a session that it has', async () => {
      const { to, key } = await served(version)
      let calls = 0
      const psk = () => {
        calls += 1
        return { identity, key }
      }
      const left = await crashed({ ...to, psk })
      const client = await dialOpen({ ...to, psk, ...stored(left) })
      expect([calls, client.isSessionReused()]).toEqual([1, true])
      expect(client.pskIdentity?.toString()).toBe(identity)
      await hears(client)
    })

    it('keeps a session that came from another process as well', async () => {
      const { to, server } = await served(version)
      const first = await dialOpen(to)
      await roundTrip(first)
      const session = { sealed: first.exportSession({ sealingKey }), sealingKey }
      const store = new TestStore()
      const second = await dialOpen({ ...to, host: LOOPBACK, session, ...stored(store) })
      await roundTrip(second)
      expect(() => second.exportSession({ sealingKey })).toThrow(
        expect.objectContaining({ code: 'MCBN_SESSION_REFUSED' }),
      )
      await expect.poll(() => store.names.length, { timeout: 10_000 }).toBe(1)
      const third = await dialOpen({ ...to, ...stored(store.crashed()) })
      await hears(third)
      expect(server.stats.handshakesStarted).toBe(1)
    })
  },
)

describe.each(VERSIONS)(
  'dtls/session store of clients on %s, when a session leads nowhere',
  (version) => {
    it('makes a handshake when the server has lost the session (RFC 9853)', async () => {
      const { server, port, key, to } = await served(version)
      const left = await crashed(to)
      await server.close({ handover: true })
      const next = createServer(
        { psk: { [identity]: key }, connectionId: true, ...BOTH },
        (socket) => socket.on('message', (message) => socket.send(message)),
      )
      await listen(next, LOOPBACK, port)
      const [old] = left.names
      const client = await dialOpen({ ...to, ...stored(left) })
      expect(client.isSessionReused()).toBe(false)
      await roundTrip(client)
      expect(next.stats.handshakesStarted).toBe(1)
      await expect.poll(() => left.names.length, { timeout: 10_000 }).toBe(1)
      expect(left.names).not.toContain(old)
    })

    it('makes a handshake when its own port is taken', async () => {
      const { server, to } = await served(version, { connectionId: false })
      // The client that was "killed" has it still.
      const left = await crashed({ ...to, connectionId: false })
      const client = await dialOpen({ ...to, connectionId: false, ...stored(left) })
      expect(client.isSessionReused()).toBe(false)
      expect(server.stats.handshakesStarted).toBe(2)
    })

    it('fails as any client does when nobody is there', async () => {
      const { server, to } = await served(version)
      const left = await crashed(to)
      await server.close({ handover: true })
      expect(await failureOf(dial({ ...to, ...stored(left) }))).toMatchObject({
        code: 'MCBN_CONNECTION_FAILED',
      })
      await expect.poll(() => left.names, { timeout: 10_000 }).toEqual([])
    })

    it('does not wait for a store that takes nothing longer than for a handshake', async () => {
      const { to } = await served(version)
      const left = await crashed(to)
      left.broken = new Error('no space left on device')
      const client = dial({ ...to, ...stored(left), handshakeTimeout: 1_500 })
      const outages: McbnError[] = []
      client.on('sessionStoreError', (error) => outages.push(error))
      await client.opened
      expect(client.isSessionReused()).toBe(false)
      expect(outages).toHaveLength(1)
      expect(outages[0]).toMatchObject({ code: 'MCBN_SESSION_STORE_FAILED', kind: 'environment' })
      await roundTrip(client)
      left.broken = undefined
      await expect.poll(() => left.names.length, { timeout: 10_000 }).toBe(1)
    })
  },
)

describe('dtls/session store of clients, while they run', () => {
  it('forgets a session that ends, however it ends, and gives the store up', async () => {
    const { server, to } = await served()
    const store = new TestStore()
    const opened = await Promise.all(
      Array.from({ length: 3 }, () => dialOpen({ ...to, ...stored(store) })),
    )
    await expect.poll(() => store.names.length, { timeout: 10_000 }).toBe(3)
    await opened[0]?.close()
    await expect.poll(() => store.names.length, { timeout: 10_000 }).toBe(2)
    opened[1]?.destroy(new Error('enough'))
    await expect.poll(() => store.names.length, { timeout: 10_000 }).toBe(1)
    server.revoke(identity)
    await expect.poll(() => store.names.length, { timeout: 10_000 }).toBe(0)
    await expect.poll(() => store.opened, { timeout: 10_000 }).toBe(false)
    server.setPsk(identity, to.psk.key)
    const again = await dialOpen({ ...to, ...stored(store) })
    expect(again.isSessionReused()).toBe(false)
    await roundTrip(again)
  })

  it('has one folder for all clients of a process, and no other sealing key for it', async () => {
    const { to } = await served()
    const path = join(folder(), 'sessions')
    const first = await dialOpen({ ...to, ...stored(path) })
    const second = await dialOpen({ ...to, ...stored(join(path, '..', 'sessions')) })
    await roundTrip(second)
    const other = { store: path, sealingKey: randomBytes(32) }
    expect(() => connect({ host: LOOPBACK, ...to, sessionStore: other })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' }),
    )
    await first.close()
    await second.close()
    const wrong = dial({ ...to, sessionStore: { store: path, sealingKey: randomBytes(32) } })
    expect(await failureOf(wrong)).toMatchObject({ code: 'MCBN_SESSION_STORE_FAILED' })
    const right = await dialOpen({ ...to, ...stored(path) })
    await right.close()
  })

  it('is refused a folder that a server has open', async () => {
    const { to } = await served()
    const path = join(folder(), 'sessions')
    await echo({ psk: { [identity]: to.psk.key }, sessionStore: { store: path, sealingKey } })
    expect(await failureOf(dial({ ...to, ...stored(path) }))).toMatchObject({
      code: 'MCBN_SESSION_STORE_FAILED',
      message: expect.stringMatching(/it is open already/),
    })
  })
})

describe.each(VERSIONS)('dtls/session store of clients on %s, in the wrong hands', (version) => {
  it.each<[string, (row: Buffer, foreign: Buffer) => Buffer]>([
    ['altered', (row) => Buffer.from(row.map((byte, at) => (at === 60 ? byte ^ 1 : byte)))],
    ['cut', (row) => row.subarray(0, 40)],
    ['empty', () => Buffer.alloc(0)],
    ['random', () => randomBytes(190)],
    ['of another format', (row) => Buffer.from(row.map((byte, at) => (at === 16 ? 9 : byte)))],
    ['moved from another name', (_, foreign) => foreign],
  ])('makes a handshake where a row is %s, and removes it', async (_, spoilt) => {
    const { server, to } = await served(version)
    const left = await crashed(to)
    const foreign = await crashed(to)
    const [name] = left.names as [string]
    const [elsewhere] = foreign.names as [string]
    const bytes = left.disk.get(name) as Buffer
    left.disk.set(name, spoilt(bytes, foreign.disk.get(elsewhere) as Buffer))
    for (const odd of ['x', '00'.repeat(15), `${name}00`]) left.disk.set(odd, Buffer.from(bytes))
    const started = server.stats.handshakesStarted
    const client = await dialOpen({ ...to, ...stored(left) })
    await roundTrip(client)
    expect(client.isSessionReused()).toBe(false)
    expect(server.stats.handshakesStarted).toBe(started + 1)
    await expect.poll(() => left.disk.has(name), { timeout: 10_000 }).toBe(false)
  })

  it('makes a handshake where a row is a server’s', async () => {
    const servers = new TestStore()
    const { to } = await served(version, { sessionStore: { store: servers, sealingKey } })
    const left = await crashed(to)
    const [name] = left.names as [string]
    const [theirs] = servers.names as [string]
    // Under the name of a client's: bound to its own, so it cannot be opened.
    left.disk.set(name, servers.disk.get(theirs) as Buffer)
    // Under its own: no client looks for it.
    left.disk.set(theirs, servers.disk.get(theirs) as Buffer)
    const client = await dialOpen({ ...to, ...stored(left) })
    await roundTrip(client)
    expect(client.isSessionReused()).toBe(false)
  })

  it.each([
    [{ store: 'x' }, 'MCBN_OPTION_TYPE'],
    [{ sealingKey }, 'MCBN_OPTION_TYPE'],
    [{ store: 'x', sealingKey: randomBytes(31) }, 'MCBN_OPTION_RANGE'],
    [{ store: 'x', sealingKey, path: 'x' }, 'MCBN_OPTION_UNKNOWN'],
    ['x', 'MCBN_OPTION_TYPE'],
  ] as const)('refuses %o', (sessionStore, code) => {
    const psk = { identity, key: freshKey() }
    expect(() => connect({ psk, port: 1, sessionStore: sessionStore as never })).toThrow(
      expect.objectContaining({ code }),
    )
  })

  it('refuses to keep a session that it could not find again', () => {
    const session = { sealed: randomBytes(200), sealingKey }
    const psk = { identity, key: freshKey() }
    expect(() => connect({ psk, session, ...stored(new TestStore()) })).toThrow(
      expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' }),
    )
  })
})
