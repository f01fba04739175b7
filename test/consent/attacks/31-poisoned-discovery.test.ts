// Attack 31: discovery lies. Anyone who answers for a name can send a client anywhere, and can make the
// answer endless; without the key it learns nothing but what the first flight shows to everybody, and
// the client goes on to the next endpoint. Only availability is lost.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  connect as tcp,
} from 'node:net'
import { inspect } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  connect,
  consulResolver,
  dnsSrvResolver,
  type Endpoint,
  type Resolver,
  resolveParticipants,
} from '../../../src/discovery/index.js'
import * as dtls from '../../../src/dtls/index.js'
import * as tls from '../../../src/tls/index.js'
import { dnsServer } from '../../discovery/dns-server.js'
import { failure } from '../../discovery/support.js'
import { freeTcpPort, freeUdpPort } from '../../support/ports.js'

const key = Buffer.from('2c6f63f8c0f53a565db041b91c0a95add8913fc102670589db3982228dbfed90', 'hex')
const psk = { identity: 'mcbn1.Jx2ZzUq0Tz0xJm3rYd9m7Q', key }
const SECRET = 'transfer 1,000,000 to account 4711'

/** What a hostile server got to see, and from how many connections. */
interface Seen {
  readonly port: number
  readonly bytes: Buffer[]
  connections: number
}

/** A TCP server without the key that does something with every client. */
async function hostile(act: (socket: Socket) => void): Promise<Seen> {
  const bytes: Buffer[] = []
  const server = createTcpServer((socket) => {
    seen.connections += 1
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => bytes.push(chunk))
    onTestFinished(() => void socket.destroy())
    act(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const seen: Seen = { port: (server.address() as AddressInfo).port, bytes, connections: 0 }
  return seen
}

/** The server that was meant, which has the key; and what it was told. */
async function honest(): Promise<{ readonly port: number; readonly heard: string[] }> {
  const heard: string[] = []
  const server = tls.createServer({ psk: { [psk.identity]: key } }, (socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      heard.push(`${chunk}`)
      socket.end('done')
    })
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, heard }
}

/** All that an honest server sends in one connection, as a wire-tapper has it. */
async function recording(port: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  const tap = createTcpServer((client) => {
    const server = tcp(port, '127.0.0.1')
    for (const socket of [client, server]) socket.on('error', () => undefined)
    server.on('data', (chunk: Buffer) => chunks.push(chunk))
    client.pipe(server).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(tap, 'listening')
  onTestFinished(() => void tap.close())
  const socket = tls.connect({ port: (tap.address() as AddressInfo).port, host: '127.0.0.1', psk })
  socket.end('hello')
  socket.resume()
  await once(socket, 'close')
  return Buffer.concat(chunks)
}

/** A resolver that says these ports, in this order. */
function lying(...ports: readonly number[]): Resolver {
  return {
    resolve: async () =>
      ports.map((port, priority) => ({ host: '127.0.0.1', port, priority, weight: 0 })),
  }
}

/** As eager as an application can be: it writes before it knows who is there. */
function eager(endpoint: Endpoint): tls.TlsSocket {
  const socket = tls.connect({ ...endpoint, psk })
  socket.write(SECRET)
  return socket
}

function expectNoSecret(...shown: readonly (Buffer | Error)[]): void {
  for (const each of shown) {
    const text = Buffer.isBuffer(each) ? each.toString('latin1') : inspect(each, { depth: 20 })
    expect(text).not.toContain(SECRET)
    expect(text).not.toContain(key.toString('latin1'))
    expect(text).not.toContain(key.toString('hex'))
    expect(text).not.toContain(key.toString('base64'))
  }
}

const ACTS: readonly (readonly [string, (recorded: Buffer) => (socket: Socket) => void, RegExp])[] =
  [
    ['hangs up', () => (socket) => socket.end(), /MCBN_(HANDSHAKE_FAILED|CONNECTION_FAILED)/],
    ['resets', () => (socket) => socket.resetAndDestroy(), /MCBN_CONNECTION_FAILED|MCBN_HANDSHAKE/],
    ['says nothing', () => () => undefined, /within 700 ms/],
    [
      'says nothing, one byte at a time',
      () => (socket) => {
        // A handshake record of 16,384 bytes that will never be whole.
        socket.write(Buffer.from([22, 3, 3, 0x40, 0]))
        const timer = setInterval(() => socket.write('\0'), 20)
        socket.once('close', () => clearInterval(timer))
      },
      /within 700 ms|MCBN_PROTOCOL_ERROR|MCBN_HANDSHAKE_FAILED/,
    ],
    [
      'sends without end',
      () => (socket) => {
        const more = (): void => {
          while (!socket.destroyed && socket.write(Buffer.alloc(16_384, 'A')));
        }
        socket.on('drain', more)
        more()
      },
      /MCBN_PROTOCOL_ERROR/,
    ],
    [
      'replays a recorded handshake',
      (recorded) => (socket) => void socket.write(recorded),
      /MCBN_HANDSHAKE_FAILED|MCBN_PROTOCOL_ERROR/,
    ],
    [
      'sends everything back',
      () => (socket) => void socket.pipe(socket),
      /MCBN_(PROTOCOL_ERROR|HANDSHAKE_FAILED)/,
    ],
    [
      'asks for plain text',
      () => (socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\nspeak HTTP here\r\n'),
      /MCBN_PROTOCOL_ERROR/,
    ],
  ]

describe('attack 31: poisoned discovery, TLS', () => {
  it.each(ACTS)('a server without the key that %s costs one attempt', async (_, act, why) => {
    const server = await honest()
    const recorded = await recording(server.port)
    server.heard.length = 0
    const trap = await hostile(act(recorded))

    const only = await failure(connect(lying(trap.port), 'svc', eager, { attemptTimeout: 700 }))
    expect(only.code).toBe('MCBN_CONNECTION_FAILED')
    expect(only.message).toContain(`127.0.0.1:${trap.port}: `)
    expect(only.message).toMatch(why)

    const socket = await connect(lying(trap.port, server.port), 'svc', eager, {
      attemptTimeout: 700,
    })
    socket.resume()
    await once(socket, 'close')
    expect(server.heard.join('')).toBe(SECRET)
    expect(trap.connections).toBe(2)
    expectNoSecret(only, ...trap.bytes)
  })

  it('a TLS server with another key is recognized, and hears nothing', async () => {
    const server = await honest()
    const heard: string[] = []
    const other = tls.createServer({ psk: { [psk.identity]: Buffer.alloc(32, 9) } }, (socket) => {
      socket.on('data', (chunk: Buffer) => heard.push(`${chunk}`))
    })
    other.on('tlsClientError', () => undefined)
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    const only = await failure(connect(lying(port), 'svc', eager))
    expect(only.message).toMatch(/MCBN_PSK_MISMATCH/)
    const socket = await connect(lying(port, server.port), 'svc', eager)
    socket.resume()
    await once(socket, 'close')
    expect(heard).toEqual([])
    expect(server.heard.join('')).toBe(SECRET)
  })

  it('a man in the middle at the named address carries bytes that he cannot read', async () => {
    const server = await honest()
    const relay = await hostile((socket) => {
      const onwards = tcp(server.port, '127.0.0.1')
      onwards.on('error', () => undefined)
      socket.pipe(onwards).pipe(socket)
    })
    const socket = await connect(lying(relay.port), 'svc', eager)
    socket.resume()
    await once(socket, 'close')
    expect(server.heard.join('')).toBe(SECRET)
    expectNoSecret(...relay.bytes)
  })

  it('thousands of endpoints cost as many attempts as allowed, and no longer message', async () => {
    const dead = await freeTcpPort()
    const one = { host: '127.0.0.1', port: dead, priority: 0, weight: 0 }
    const flood: Resolver = { resolve: async () => Array.from({ length: 200_000 }, () => one) }
    const error = await failure(connect(flood, 'svc', eager, { attempts: 8 }))
    expect(error.message).toMatch(/tried 8 of 200000 endpoints/)
    expect(error.message.length).toBeLessThan(2_500)
    expect((error.cause as AggregateError).errors).toHaveLength(8)
    expectNoSecret(error)
  })

  it('endpoints that are no addresses reach neither the network nor the terminal', async () => {
    const hosts = ['\u001b]0;owned\u0007', 'a b', '', 'x'.repeat(300), '../etc', 'u:p@h', 7, null]
    const resolver = {
      resolve: async () => hosts.map((host) => ({ host, port: 1, priority: 0, weight: 0 })),
    } as unknown as Resolver
    const opened: Endpoint[] = []
    const error = await failure(
      connect(resolver, 'svc', (endpoint) => {
        opened.push(endpoint)
        return eager(endpoint)
      }),
    )
    expect(error.code).toBe('MCBN_DISCOVERY_FAILED')
    expect(opened).toEqual([])
    expect(error.message).toMatch(/^[\x20-\x7e]+$/)
  })
})

describe('attack 31: poisoned discovery, DTLS', () => {
  it('a UDP port without the key, or without anybody, costs one attempt', async () => {
    const heard: string[] = []
    const server = dtls.createServer({ psk: { [psk.identity]: key } }, (socket) => {
      socket.on('message', (message) => {
        heard.push(`${message}`)
        socket.send('done')
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(async () => await server.close())
    const { port } = server.address() as AddressInfo

    // Answers every datagram with its own bytes, and with garbage.
    const bytes: Buffer[] = []
    const trap = createSocket('udp4').bind(0, '127.0.0.1')
    await once(trap, 'listening')
    onTestFinished(() => void trap.close())
    trap.on('message', (message, from) => {
      bytes.push(message)
      trap.send(message, from.port, from.address)
      trap.send(Buffer.alloc(1_200, 0x16), from.port, from.address)
    })
    const other = dtls.createServer({ psk: { [psk.identity]: Buffer.alloc(32, 9) } })
    other.on('clientError', () => undefined)
    other.listen(0, '127.0.0.1')
    await once(other, 'listening')
    onTestFinished(async () => await other.close())

    const ports = [await freeUdpPort(), trap.address().port, (other.address() as AddressInfo).port]
    const open = (endpoint: Endpoint) => dtls.connect({ ...endpoint, psk })
    const patience = { attemptTimeout: 700 }
    const error = await failure(connect(lying(...ports), 'svc', open, patience))
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
    for (const each of ports) expect(error.message).toContain(`127.0.0.1:${each}: `)

    const socket = await connect(lying(...ports, port), 'svc', open, patience)
    socket.send(SECRET)
    const [answer] = await once(socket, 'message')
    expect(`${answer}`).toBe('done')
    expect(heard).toEqual([SECRET])
    await socket.close()
    expect(bytes.length).toBeGreaterThan(0)
    expectNoSecret(error, ...bytes)
  })
})

describe('attack 31: a hostile directory', () => {
  it('DNS: hundreds of records to a trap, garbage and silence end in time, naming the service', async () => {
    const trap = await hostile((socket) => socket.end())
    const record = { priority: 0, weight: 0, port: trap.port, target: 'localhost' }
    const records = Array.from({ length: 40 }, () => record)
    for (const [answer, code] of [
      [records, 'MCBN_CONNECTION_FAILED'],
      [Buffer.alloc(1_400, 0xc0), 'MCBN_DISCOVERY_FAILED'],
      ['silence', 'MCBN_DISCOVERY_FAILED'],
    ] as const) {
      const dns = await dnsServer(() => answer)
      const resolver = dnsSrvResolver({ servers: [dns.address], timeout: 300, tries: 1 })
      const error = await failure(connect(resolver, '_mcbn._tcp.example.com', eager))
      expect(error.code).toBe(code)
      expect(error.message).toContain('_mcbn._tcp.example.com')
      expectNoSecret(error)
    }
    expectNoSecret(...trap.bytes)
  })

  it('Consul: endless headers, endless bodies and a wrong list end in time, and show no token', async () => {
    const token = 'a1b2c3d4-0000-4000-8000-notforanyone'
    const trap = await hostile((socket) => socket.end())
    const server: HttpServer = createHttpServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const answers: readonly (readonly [(socket: Socket) => void, string])[] = [
      [
        (socket) => {
          socket.write('HTTP/1.1 200 OK\r\n')
          const more = (): void => {
            while (!socket.destroyed && socket.write(`x: ${'y'.repeat(1_000)}\r\n`));
          }
          socket.on('drain', more)
          more()
        },
        'MCBN_DISCOVERY_FAILED',
      ],
      [
        (socket) => {
          socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
          const more = (): void => {
            while (!socket.destroyed && socket.write(`4000\r\n${'['.repeat(16_384)}\r\n`));
          }
          socket.on('drain', more)
          more()
        },
        'MCBN_DISCOVERY_FAILED',
      ],
      [
        (socket) => {
          const entry = { Service: { Address: '127.0.0.1', Port: trap.port } }
          const body = JSON.stringify(Array.from({ length: 20_000 }, () => entry))
          socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
        },
        'MCBN_CONNECTION_FAILED',
      ],
    ]
    for (const [answer, code] of answers) {
      server.removeAllListeners('request')
      server.on('request', (request) => {
        request.socket.on('error', () => undefined)
        answer(request.socket)
      })
      const resolver = consulResolver({ address, token, timeout: 3_000 })
      const error = await failure(connect(resolver, 'ledger', eager))
      expect(error.code).toBe(code)
      expect(error.message).toContain('"ledger"')
      expect(inspect(error, { depth: 20 })).not.toContain(token)
      expectNoSecret(error)
      await resolver.close?.()
    }
    expectNoSecret(...trap.bytes)
  })

  it("participants' addresses: nothing but well-formed URLs comes out of a lie", async () => {
    const resolver = {
      resolve: async () => [
        { host: 'evil.example#', port: 80, priority: 0, weight: 0 },
        { host: 'a@evil.example', port: 80, priority: 0, weight: 0 },
        { host: 'evil.example', port: 80, priority: 0, weight: 0 },
      ],
    }
    expect(await resolveParticipants(resolver, ['alice'])('alice')).toEqual([
      'http://evil.example:80',
    ])
  })
})
