// `kill -9` of a server under load, again and again, and of the Valkey server that keeps its sessions:
// no session is lost, no record number used twice, no replay accepted (docs/SESSIONS.md).

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { valkeySessionStore } from '../../src/dtls/index.js'
import type { DtlsVersion } from '../../src/psk/types.js'
import { record, TYPE } from '../support/dtls-wire.js'
import { findProgram } from '../support/peers.js'
import { type Child, startTypescript } from '../support/process.js'
import { numbersUsedTwice, numbersUsedTwice13 } from '../support/record-numbers.js'
import { RecordingProxy } from '../support/recording-proxy.js'
import { dial, freshKey, identity, VERSIONS } from './support.js'

const CLIENTS = 25
/**
 * Nobody else's: while the server is dead its port is free, and a client of another test on 127.0.0.1 could be given
 * it. Then the next server ended with EADDRINUSE. Other systems than Linux have that one loopback address only.
 */
const HOST =
  process.platform === 'linux'
    ? `127.92.${(process.pid >> 8) & 255}.${process.pid & 255 || 1}`
    : '127.0.0.1'
const redisServer = findProgram('redis-server') ?? findProgram('valkey-server')
const needsValkey = it.skipIf(redisServer === undefined)
if (redisServer === undefined) {
  const missing = 'redis-server is not installed (Debian: redis-server)'
  if (process.env['CI'] === 'true') throw new Error(missing)
  console.warn(`\n!!! SKIPPED session store in Valkey: ${missing}\n`)
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcbn-store-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Debian's redis-server on a Unix socket in `path`, ended by its own pid. */
async function startValkey(
  path: string,
  aof = 'yes',
): Promise<{ url: string; kill(): Promise<void> }> {
  const url = join(path, 'valkey.sock')
  const settings = ['--port', '0', '--unixsocket', url, '--dir', path, '--appendonly', aof]
  const child = spawn(redisServer as string, [...settings, '--save', '', '--daemonize', 'no'])
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  onTestFinished(kill)
  for await (const text of child.stdout.setEncoding('utf8')) {
    if (/ready to accept connections/i.test(text)) break
  }
  child.stdout.resume()
  return { url, kill }
}

/** Clients that never stop sending numbers, and keep what comes back. */
class Load {
  readonly heard: string[][] = []
  /** By the client's port, what its server sends with. */
  readonly secrets = new Map<number, Buffer>()
  #stop = false
  #done: Promise<unknown> = Promise.resolve()

  static async start(
    port: number,
    key: Buffer,
    minVersion: DtlsVersion = 'DTLSv1.2',
  ): Promise<Load> {
    const load = new Load()
    const sockets = await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        const socket = dial({ port, psk: { identity, key }, minVersion })
        let secret = ''
        socket.on('keylog', (line) => {
          secret = /^SERVER_TRAFFIC_SECRET_0 \S+ (\S+)/.exec(line.toString())?.[1] ?? secret
        })
        await socket.opened
        load.secrets.set(socket.localPort as number, Buffer.from(secret, 'hex'))
        return socket
      }),
    )
    load.#done = Promise.all(
      sockets.map(async (socket, index) => {
        const heard: string[] = []
        load.heard[index] = heard
        socket.on('message', (message) => heard.push(message.toString()))
        for (let count = 0; !load.#stop; count += 1) {
          socket.send(String(count))
          await new Promise((resolve) => setTimeout(resolve, 1 + (index % 7)))
        }
      }),
    )
    return load
  }

  get least(): number {
    return Math.min(...this.heard.map((each) => each.length))
  }

  /** Every client has heard so many more. */
  async more(count: number): Promise<void> {
    const goals = this.heard.map((each) => each.length + count)
    await expect
      .poll(() => this.heard.every((each, index) => each.length >= (goals[index] as number)), {
        timeout: 60_000,
      })
      .toBe(true)
  }

  async end(): Promise<void> {
    this.#stop = true
    await this.#done
  }
}

async function killed(
  where: string,
  meanwhile: () => Promise<void> = async () => {},
  version: DtlsVersion = 'DTLSv1.2',
  rounds = 2,
): Promise<void> {
  const key = freshKey()
  const secrets = [key.toString('hex'), randomBytes(32).toString('hex')]
  const start = (port: string): Child =>
    startTypescript(
      'test/dtls/children/storing-server.ts',
      [...secrets, port, where, HOST, version],
      {
        lifetime: 90_000,
      },
    )
  let server = start('0')
  const port = (await server.output(/^listening (\d+)$/m))[1] as string
  const proxy = await RecordingProxy.open(Number(port), HOST)
  onTestFinished(() => proxy.close())
  const load = await Load.start(proxy.port, key, version)
  onTestFinished(() => load.end())
  for (let round = 0; round < rounds; round += 1) {
    await load.more(40)
    server.process.kill('SIGKILL')
    await server.exited
    await meanwhile()
    server = start(port)
    expect((await server.output(/^restored (\d+) (\d+)$/m)).slice(1)).toEqual([
      String(CLIENTS),
      '0',
    ])
    await proxy.replay()
    await load.more(20)
  }
  await load.end()
  for (const heard of load.heard) expect(new Set(heard).size).toBe(heard.length)
  for (const { toClient, port: client } of proxy.recorded) {
    const sent = toClient.map((bytes) => ({ bytes }))
    const secret = load.secrets.get(client) as Buffer
    const twice = version === 'DTLSv1.3' ? numbersUsedTwice13(sent, secret) : numbersUsedTwice(sent)
    expect(twice).toEqual([])
  }
  server.write('stats\n')
  const stats = JSON.parse((await server.output(/^stats (.*)$/m))[1] as string)
  expect(stats).toMatchObject({ handshakesStarted: 0, sessions: CLIENTS })
  expect(stats.replayed).toBeGreaterThan(0)
}

it('the check of record numbers sees two records under one number, and allows one sent twice', () => {
  const sealed = (sequence: number, text: string) => ({
    bytes: record(TYPE.applicationData, 1, sequence, Buffer.from(text)),
  })
  expect(numbersUsedTwice([sealed(1, 'a'), sealed(2, 'b'), sealed(1, 'a')])).toEqual([])
  expect(numbersUsedTwice([sealed(1, 'a'), sealed(2, 'b'), sealed(2, 'c')])).toEqual([2])
})

it.each(VERSIONS)(
  'a server with its sessions in a folder, on %s',
  async (version) => {
    await killed(join(folder(), 'sessions'), async () => {}, version)
  },
  120_000,
)

needsValkey(
  'a server with its sessions in Valkey, and Valkey with it',
  async () => {
    const path = folder()
    let valkey = await startValkey(path)
    await killed(valkey.url, async () => {
      await valkey.kill()
      valkey = await startValkey(path)
    })
  },
  120_000,
)

needsValkey(
  'Valkey alone is killed under load and comes back: sessions do not notice',
  async () => {
    const path = folder()
    let valkey = await startValkey(path)
    const key = freshKey()
    const secrets = [key.toString('hex'), randomBytes(32).toString('hex')]
    const server = startTypescript('test/dtls/children/storing-server.ts', [
      ...secrets,
      '0',
      valkey.url,
    ])
    const port = Number((await server.output(/^listening (\d+)$/m))[1])
    const load = await Load.start(port, key)
    onTestFinished(() => load.end())
    await load.more(20)
    await valkey.kill()
    await server.output(/^outage the session store pumps: /m)
    valkey = await startValkey(path)
    await load.more(200)
    await load.end()
    for (const heard of load.heard) expect(new Set(heard).size).toBe(heard.length)
  },
  120_000,
)

needsValkey('a Valkey server that forgets, or has gone back, is refused', async () => {
  const forgetful = await startValkey(folder(), 'no')
  await expect(valkeySessionStore({ url: forgetful.url, name: 'a' }).open()).rejects.toThrow(
    /appendonly yes/,
  )
  const { url } = await startValkey(folder())
  const store = valkeySessionStore({ url, name: 'a' })
  await store.open()
  onTestFinished(() => store.close())
  const row = { name: '00'.repeat(16), row: randomBytes(200) }
  for (let count = 0; count < 3; count += 1) await store.write([row])
  const rows = []
  for await (const [name, bytes] of store.rows()) rows.push([name, Buffer.from(bytes)])
  expect(rows).toEqual([[row.name, row.row]])
  const { Redis } = await import('iovalkey')
  const behind = new Redis(url)
  onTestFinished(() => behind.disconnect())
  await behind.hset('a:owner', 'writes', 1)
  await expect(store.write([row])).rejects.toThrow(/older copy/)
  await behind.hset('a:owner', 'token', 'another')
  await expect(store.write([row])).rejects.toThrow(/another server has taken it over/)
})

needsValkey(
  'two servers cannot have one name; a paused one is overtaken, and stays without',
  async () => {
    const { url } = await startValkey(folder())
    const first = valkeySessionStore({ url, name: 'a', takeOverAfter: 1_000 })
    await first.open()
    const other = valkeySessionStore({ url, name: 'b', takeOverAfter: 1_000 })
    await other.open()
    await other.close()
    const second = valkeySessionStore({ url, name: 'a', takeOverAfter: 1_000 })
    const { Redis } = await import('iovalkey')
    const clock = new Redis(url)
    onTestFinished(() => clock.disconnect())
    // As if the first had not been heard of for its time.
    await clock.hset('a:owner', 'until', 1)
    await second.open()
    await expect(first.write([])).rejects.toThrow(/another server/)
    await first.close()
    await second.write([])
    await second.close()
  },
)

needsValkey(
  'the clocks of those who want a store may be days apart, or be set meanwhile',
  async () => {
    const { url } = await startValkey(folder())
    const settings = { url, name: 'a', takeOverAfter: 1_000 }
    const { Redis } = await import('iovalkey')
    const owner = new Redis(url)
    onTestFinished(() => owner.disconnect())
    onTestFinished(() => void vi.useRealTimers())
    const first = valkeySessionStore(settings)
    await first.open()
    for (const days of [1, -1]) {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * 86_400_000 })
      await first.write([])
      const second = valkeySessionStore(settings)
      await expect(second.open()).rejects.toThrow(/open already/)
      const until = Number(await owner.hget('a:owner', 'until'))
      vi.useRealTimers()
      expect(Math.abs(until - Date.now())).toBeLessThan(600_000)
    }
    await first.close()
  },
)
