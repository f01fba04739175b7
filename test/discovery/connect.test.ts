// From a name to a connection, with real servers and real sockets on loopback.

import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ParticipantResolver } from '../../src/consent/workload/types.js'
import {
  connect,
  dnsSrvResolver,
  type Endpoint,
  type McbnError,
  type Resolver,
  resolveParticipants,
  staticResolver,
  tryEndpoints,
} from '../../src/discovery/index.js'
import * as dtls from '../../src/dtls/index.js'
import * as tls from '../../src/tls/index.js'
import { freeTcpPort } from '../support/ports.js'
import { seeded } from '../support/random.js'
import { dnsServer } from './dns-server.js'
import { failure } from './support.js'

const key = Buffer.alloc(32, 7)
const psk = { identity: 'Client1', key }

/** A TLS server that greets by name; its port. */
async function greeter(name: string, serverKey: Uint8Array = key): Promise<number> {
  const server = tls.createServer({ psk: { Client1: serverKey } }, (socket) => {
    socket.on('error', () => undefined)
    socket.end(name)
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** Accepts and says nothing. */
async function silent(): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** One service whose endpoints are tried in this order. */
function inOrder(...ports: readonly number[]): Resolver {
  return staticResolver({
    svc: ports.map((port, priority) => ({ host: '127.0.0.1', port, priority })),
  })
}

const open = (endpoint: Endpoint) => tls.connect({ ...endpoint, psk })

async function read(socket: tls.TlsSocket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}

describe('discovery/connect', () => {
  it('gives the first socket that opens, in the order of priority', async () => {
    const resolver = inOrder(await greeter('first'), await greeter('second'))
    expect(await read(await connect(resolver, 'svc', open))).toBe('first')
  })

  it('opens DTLS the same way, and loses no early message', async () => {
    const server = dtls.createServer({ psk: { Client1: key } }, (socket) => void socket.send('hi'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(async () => await server.close())
    const { port } = server.address() as AddressInfo
    const socket = await connect(inOrder(port), 'svc', (endpoint) =>
      dtls.connect({ ...endpoint, psk }),
    )
    const [message] = await once(socket, 'message')
    expect(`${message}`).toBe('hi')
    await socket.close()
  })

  it('goes by what DNS says, names included', async () => {
    const [dead, port] = [await freeTcpPort(), await greeter('by DNS')]
    const dns = await dnsServer((name) =>
      name === '_mcbn._tcp.example.com'
        ? [
            { priority: 1, weight: 0, port: dead, target: 'localhost' },
            { priority: 2, weight: 0, port, target: 'localhost' },
          ]
        : { rcode: 3 },
    )
    const resolver = dnsSrvResolver({ servers: [dns.address] })
    const socket = await connect(resolver, '_mcbn._tcp.example.com', open)
    expect(await read(socket)).toBe('by DNS')
  })

  it('spreads connections by weight (seed 2)', async () => {
    const [light, heavy] = [await greeter('light'), await greeter('heavy')]
    const resolver = staticResolver({
      svc: [
        { host: '127.0.0.1', port: light, weight: 1 },
        { host: '127.0.0.1', port: heavy, weight: 3 },
      ],
    })
    const random = seeded(2)
    let heavies = 0
    for (let i = 0; i < 40; i += 1) {
      heavies += (await read(await connect(resolver, 'svc', open, { random }))) === 'heavy' ? 1 : 0
    }
    expect(heavies).toBeGreaterThan(22)
    expect(heavies).toBeLessThan(38)
  })

  it('goes on to the next one after a refusal, a wrong key and a silence', async () => {
    const ports = [
      await freeTcpPort(),
      await greeter('other key', Buffer.alloc(32, 9)),
      await silent(),
      await greeter('the one'),
    ]
    const tried: number[] = []
    const socket = await connect(
      inOrder(...ports),
      'svc',
      (endpoint) => {
        tried.push(endpoint.port)
        return open(endpoint)
      },
      { attemptTimeout: 500 },
    )
    expect(await read(socket)).toBe('the one')
    expect(tried).toEqual(ports)
  })

  it('names every failure in one error when nobody would', async () => {
    const [dead, other, mute] = [
      await freeTcpPort(),
      await greeter('other key', Buffer.alloc(32, 9)),
      await silent(),
    ]
    const error = await failure(
      connect(inOrder(dead, other, mute), 'svc', open, { attemptTimeout: 300 }),
    )
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
    expect(error.message).toMatch(/^service "svc": tried all endpoints, no connection: /)
    expect(error.message).toMatch(`127.0.0.1:${dead}: `)
    expect(error.message).toMatch(/ECONNREFUSED/)
    expect(error.message).toMatch(new RegExp(`127\\.0\\.0\\.1:${other}: .*\\(MCBN_PSK_MISMATCH\\)`))
    expect(error.message).toMatch(`127.0.0.1:${mute}: no connection within 300 ms`)
    const { errors } = error.cause as AggregateError
    expect(errors.map((each: McbnError) => each.code)).toEqual([
      'MCBN_CONNECTION_FAILED',
      'MCBN_PSK_MISMATCH',
      undefined,
    ])
  })

  it('destroys the socket of an attempt whose time is up', async () => {
    const sockets: tls.TlsSocket[] = []
    await failure(
      connect(
        inOrder(await silent()),
        'svc',
        (endpoint) => {
          const socket = open(endpoint)
          sockets.push(socket)
          return socket
        },
        { attemptTimeout: 100 },
      ),
    )
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true])
  })

  it('stops after so many attempts, and says how many there were', async () => {
    const dead = await freeTcpPort()
    const resolver = inOrder(...Array.from({ length: 30 }, () => dead))
    const error = await failure(connect(resolver, 'svc', open, { attempts: 3 }))
    expect(error.message).toMatch(/tried 3 of 30 endpoints/)
    expect((error.cause as AggregateError).errors).toHaveLength(3)
  })

  it('stops when the time for everything is up, naming what failed until then', async () => {
    const resolver = inOrder(await freeTcpPort(), await silent())
    const error = await failure(connect(resolver, 'svc', open, { timeout: 400 }))
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
    expect(error.message).toMatch(/no connection within 400 ms: 127\.0\.0\.1:\d+: .*ECONNREFUSED/)
  })

  it("ends with the caller's reason: while resolving, and in a handshake", async () => {
    const never: Resolver = { resolve: () => new Promise(() => undefined) }
    for (const resolver of [never, inOrder(await silent())]) {
      const controller = new AbortController()
      const connecting = connect(resolver, 'svc', open, { signal: controller.signal })
      setTimeout(() => controller.abort(new Error('enough')), 100)
      await expect(connecting).rejects.toThrow('enough')
    }
    const aborted = { signal: AbortSignal.abort(new Error('before')) }
    await expect(connect(inOrder(1), 'svc', open, aborted)).rejects.toThrow('before')
  })

  it('does not try others after a mistake of the caller', async () => {
    const calls: number[] = []
    const resolver = inOrder(await freeTcpPort(), await freeTcpPort())
    const wrongKey = (endpoint: Endpoint) => {
      calls.push(endpoint.port)
      return tls.connect({ ...endpoint, psk: { identity: 'Client1', key: Buffer.alloc(3) } })
    }
    expect((await failure(connect(resolver, 'svc', wrongKey))).code).toBe('MCBN_KEY_INVALID')
    const throwing = () => {
      calls.push(0)
      throw new TypeError('a bug')
    }
    await expect(connect(resolver, 'svc', throwing)).rejects.toThrow('a bug')
    expect(calls).toHaveLength(2)
  })

  it.each<[string, () => Promise<unknown>, RegExp]>([
    ['throws', () => Promise.reject(new Error('broken')), /the resolver failed/],
    ['gives nothing', async () => [], /gave no endpoint/],
    ['gives no array', async () => 'x', /gave no endpoint/],
    ['gives nonsense', async () => [{ host: '\u001b[2J', port: 1 }], /none of 1 .* its host/],
    ['never answers', () => new Promise(() => undefined), /within 200 ms/],
  ])('says so when the resolver %s', async (_, resolve, why) => {
    const resolver = { resolve } as Resolver
    const error = await failure(connect(resolver, 'svc', open, { timeout: 200 }))
    expect(error.code).toMatch(/MCBN_DISCOVERY_FAILED|MCBN_CONNECTION_FAILED/)
    expect(error.message).toMatch(why)
  })

  it.each([
    [{ attempts: 0 }, 'MCBN_OPTION_RANGE'],
    [{ attemptTimeout: -1 }, 'MCBN_OPTION_RANGE'],
    [{ timeout: '1' as unknown as number }, 'MCBN_OPTION_TYPE'],
    [{ random: 1 as unknown as () => number }, 'MCBN_OPTION_TYPE'],
  ])('refuses %o', async (options, code) => {
    expect((await failure(connect(inOrder(1), 'svc', open, options))).code).toBe(code)
  })

  it('tries anything that is a promise: tryEndpoints', async () => {
    const tried: number[] = []
    const result = await tryEndpoints(inOrder(1, 2, 3), 'svc', async ({ port }) => {
      tried.push(port)
      await sleep(5)
      if (port < 3) throw new Error('not here')
      return `at ${port}`
    })
    expect(result).toBe('at 3')
    expect(tried).toEqual([1, 2, 3])
  })
})

describe('discovery/participants', () => {
  const resolver = staticResolver({
    'alice-svc': ['[::1]:7001', { host: 'a.example', port: 7002, priority: 1 }],
    bob: '127.0.0.1:7003',
  })

  it('gives base URLs of a participant, the first to try first', async () => {
    // What `join({ participants })` takes.
    const find: ParticipantResolver = resolveParticipants(resolver, {
      alice: 'alice-svc',
      bob: 'bob',
    })
    expect(await find('alice')).toEqual(['http://[::1]:7001', 'http://a.example:7002'])
    expect(await find('bob')).toEqual(['http://127.0.0.1:7003'])
    const secure = resolveParticipants(resolver, ['bob'], { protocol: 'https', most: 1 })
    expect(await secure('bob')).toEqual(['https://127.0.0.1:7003'])
    for (const url of await find('alice')) expect(new URL(`${url}`).origin).toBe(url)
  })

  it('knows only the labels it was given', async () => {
    const find = resolveParticipants(resolver, ['bob'])
    for (const label of ['alice', '__proto__', 'constructor']) {
      expect((await failure(find(label))).code).toBe('MCBN_DISCOVERY_FAILED')
    }
    expect((await failure(resolveParticipants(resolver, ['carol'])('carol'))).message).toMatch(
      /"carol"/,
    )
  })

  it('gives no more than asked for, and nothing that is no URL', async () => {
    const hostile = {
      resolve: async () => [
        ...Array.from({ length: 5_000 }, () => ({
          host: '127.0.0.1',
          port: 1,
          priority: 1,
          weight: 0,
        })),
        { host: 'evil.example/x?', port: 1, priority: 0, weight: 0 },
      ],
    }
    const urls = await resolveParticipants(hostile, ['bob'])('bob')
    expect(urls).toEqual(Array.from({ length: 8 }, () => 'http://127.0.0.1:1'))
  })
})
