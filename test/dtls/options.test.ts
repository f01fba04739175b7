// Options: what each refuses, and that each does what it says.

import { once } from 'node:events'
import { isIP, type LookupFunction } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { DtlsConnectOptions, DtlsServerOptions, DtlsSocket } from '../../src/dtls/index.js'
import { connect, createServer } from '../../src/dtls/index.js'
import { recordsOf } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { describeWithPeers } from '../support/peers.js'
import { freeUdpPort } from '../support/ports.js'
import { start } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureNumber,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  nextMessage,
  openPair,
  rawSocket,
  roundTrip,
  serve,
  silentPort,
} from './support.js'

const key = freshKey()
const psk = { identity, key }

describe('dtls/options', () => {
  it.each([
    ['handshakeTimeout', -1, 'MCBN_OPTION_RANGE'],
    ['handshakeTimeout', 1.5, 'MCBN_OPTION_RANGE'],
    ['handshakeTimeout', '10', 'MCBN_OPTION_TYPE'],
    ['lookupTimeout', Number.NaN, 'MCBN_OPTION_RANGE'],
    ['idleTimeout', 2 ** 31, 'MCBN_OPTION_RANGE'],
    ['retransmitTimeout', 9, 'MCBN_OPTION_RANGE'],
    ['retransmitTimeout', 60_001, 'MCBN_OPTION_RANGE'],
    ['mtu', 255, 'MCBN_OPTION_RANGE'],
    ['mtu', 16_385, 'MCBN_OPTION_RANGE'],
    ['mtu', null, 'MCBN_OPTION_TYPE'],
    ['highWaterMark', 0, 'MCBN_OPTION_RANGE'],
    ['recvBufferSize', -1, 'MCBN_OPTION_RANGE'],
    ['sendBufferSize', 'big', 'MCBN_OPTION_TYPE'],
    ['connectionId', 'yes', 'MCBN_OPTION_TYPE'],
    ['connectionId', null, 'MCBN_OPTION_TYPE'],
    ['connectionId', -1, 'MCBN_OPTION_RANGE'],
    ['connectionId', 1.5, 'MCBN_OPTION_RANGE'],
    ['connectionId', 33, 'MCBN_OPTION_RANGE'],
    ['replayWindow', 31, 'MCBN_OPTION_RANGE'],
    ['replayWindow', 0, 'MCBN_OPTION_RANGE'],
    ['replayWindow', 65_537, 'MCBN_OPTION_RANGE'],
    ['replayWindow', 64.5, 'MCBN_OPTION_RANGE'],
    ['replayWindow', '64', 'MCBN_OPTION_TYPE'],
    ['busyPoll', -1, 'MCBN_OPTION_RANGE'],
    ['busyPoll', 1_001, 'MCBN_OPTION_RANGE'],
    ['busyPoll', 0.5, 'MCBN_OPTION_RANGE'],
    ['busyPoll', true, 'MCBN_OPTION_TYPE'],
    ['records', 'mine', 'MCBN_OPTION_RANGE'],
    ['records', true, 'MCBN_OPTION_TYPE'],
    ['preset', 'mqtt', 'MCBN_OPTION_RANGE'],
    ['preset', 7, 'MCBN_OPTION_TYPE'],
    ['ALPNProtocols', 'coap', 'MCBN_OPTION_TYPE'],
    ['ALPNProtocols', [''], 'MCBN_OPTION_RANGE'],
    ['ALPNProtocols', ['x'.repeat(256)], 'MCBN_OPTION_RANGE'],
    ['ciphers', 42, 'MCBN_OPTION_TYPE'],
    ['ciphers', 'NONSENSE', 'MCBN_CIPHERS_INVALID'],
    ['ciphers', 'AES128-SHA', 'MCBN_CIPHERS_INVALID'],
    ['ciphers', 'ECDHE-RSA-AES128-GCM-SHA256', 'MCBN_CIPHERS_INVALID'],
    ['ciphers', 'RSA-PSK-AES128-GCM-SHA256', 'MCBN_CIPHERS_INVALID'],
    ['ciphers', 'TLS_AES_128_GCM_SHA256', 'MCBN_CIPHERS_INVALID'],
    ['ciphers', 'PSK-NULL-SHA256', 'MCBN_CIPHERS_INVALID'],
    ['ciphers', 'PSK-AES128-CCM8\0', 'MCBN_OPTION_RANGE'],
    ['psk', undefined, 'MCBN_OPTION_TYPE'],
    ['psk', 42, 'MCBN_OPTION_TYPE'],
    ['psk', null, 'MCBN_OPTION_TYPE'],
    ['psk', Buffer.alloc(32, 1), 'MCBN_OPTION_TYPE'],
  ])('%s: refuses %j on both sides (%s)', (name, value, code) => {
    const refused = expect.objectContaining({ code, kind: 'usage' })
    expect(() => createServer({ psk: {}, [name]: value })).toThrow(refused)
    expect(() => dial({ port: 9, psk, [name]: value })).toThrow(refused)
  })

  it.each([
    ['port', 0],
    ['port', 65_536],
    ['port', 'eight'],
    ['port', undefined],
    ['localPort', -1],
    ['localAddress', 'localhost'],
    ['family', 5],
    ['lookup', 'dns'],
    ['host', 42],
    ['host', 'a\0b'],
    ['servername', 42],
    ['servername', 'x'.repeat(256)],
  ])('of a client: %s refuses %j', (name, value) => {
    const options = { port: 9, psk, [name]: value }
    expect(() => connect(options as never)).toThrow(expect.objectContaining({ kind: 'usage' }))
  })

  it.each([
    ['maxSessions', 0],
    ['maxSessionsPerHost', -1],
    ['ioThreads', 0],
    ['ioThreads', 65],
    ['ioThreads', '2'],
    ['evictAfter', -1],
    ['unknownIdentity', 'hide'],
    ['reusePort', 1],
    ['ipv6Only', 'yes'],
    ['pskIdentityHint', 42],
  ])('of a server: %s refuses %j', (name, value) => {
    const refused = expect.objectContaining({ kind: 'usage' })
    expect(() => createServer({ psk: {}, [name]: value } as never)).toThrow(refused)
  })

  it.each([undefined, null, 42, 'text'])('refuses %s instead of options', (bad) => {
    const refused = expect.objectContaining({ code: 'MCBN_OPTION_TYPE' })
    expect(() => connect(bad as never)).toThrow(refused)
    expect(() => createServer(bad as never)).toThrow(refused)
  })
})

describe('dtls/timeouts', () => {
  it('nobody answers: MCBN_HANDSHAKE_TIMEOUT that says so', async () => {
    const socket = dial({ port: await silentPort(), handshakeTimeout: 150, psk })
    const error = await failureOf(socket)
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_TIMEOUT', kind: 'transport' })
    expect(error.message).toContain('nobody answered')
  })

  it('half-way: both sides give up by their own deadline', async () => {
    const { server, port, failures } = await echo({
      psk: { [identity]: key },
      handshakeTimeout: 200,
    })
    let count = 0
    const proxy = await LossyProxy.start(port, { pass: () => count++ < 3 })
    const error = await failureOf(dial({ port: proxy.port, handshakeTimeout: 300, psk }))
    expect(error.code).toBe('MCBN_HANDSHAKE_TIMEOUT')
    expect(error.message).not.toContain('nobody answered')
    expect((await failureNumber(failures, 1)).code).toBe('MCBN_HANDSHAKE_TIMEOUT')
    expect(server.stats).toMatchObject({ sessions: 0, handshakesFailed: 1 })
  })

  it('nobody is there: MCBN_CONNECTION_FAILED at once, with what the system says', async () => {
    const error = await failureOf(dial({ port: await freeUdpPort(), psk }))
    expect(error).toMatchObject({ code: 'MCBN_CONNECTION_FAILED', kind: 'transport' })
    expect(error.message).toContain('ECONNREFUSED')
  })

  it('a name that does not exist: MCBN_CONNECTION_FAILED with the resolver’s error as cause', async () => {
    const error = await failureOf(dial({ host: 'does-not-exist.invalid', port: 9, psk }))
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
    expect(error.cause).toBeInstanceOf(Error)
  })

  it('idleTimeout closes a silent session on both sides without an error, and traffic in either direction keeps it', async () => {
    const { client, server } = await openPair({ idleTimeout: 300 })
    server.on('message', () => {})
    for (let round = 0; round < 5; round += 1) {
      await sleep(120)
      client.send('still here')
    }
    expect([client.readyState, server.readyState]).toEqual(['open', 'open'])
    const errors: Error[] = []
    client.on('error', (error) => errors.push(error))
    server.on('error', (error) => errors.push(error))
    await Promise.all([client.closed, server.closed])
    await sleep(1)
    // Nothing failed. The first to notice says close_notify, so the other may hear of it from its peer.
    expect(errors).toEqual([])
    expect([client.closeReason, server.closeReason]).toContain('idle')
  })

  it('idleTimeout is not fooled by a stranger’s datagrams', async () => {
    const { server, port } = await serve({ psk: { [identity]: key }, idleTimeout: 250 })
    const proxy = await LossyProxy.start(port)
    await dialOpen({ port: proxy.port, psk })
    await waitFor('the session', () => server.stats.sessions === 1)
    const noise = setInterval(() => proxy.inject(Buffer.alloc(60, 0x17), 'to server'), 20)
    try {
      await waitFor('its end', () => server.stats.sessions === 0, 5_000)
    } finally {
      clearInterval(noise)
    }
  })

  it('a silent server with another key is named, before the deadline', async () => {
    // Everything that the server says after its first flight is lost: so it is with servers that drop a
    // Finished they cannot read (RFC 6347 section 4.1.2.7).
    const { port } = await echo({ psk: { [identity]: freshKey() } })
    const proxy = await LossyProxy.start(port, {
      pass: (datagram, direction) =>
        direction === 'to server' || recordsOf(datagram).every(({ type }) => type === 22),
    })
    const options = { port: proxy.port, retransmitTimeout: 50, handshakeTimeout: 5_000, psk }
    const error = await failureOf(dial(options))
    expect(error).toMatchObject({ code: 'MCBN_PSK_MISMATCH', kind: 'peer' })
  })
})

describeWithPeers(['openssl'], 'dtls/openssl s_server with another key', () => {
  it('falls silent, and is named long before the deadline', async () => {
    const port = await freeUdpPort()
    const args = ['s_server', '-dtls1_2', '-accept', `${LOOPBACK}:${port}`, '-nocert']
    const server = start('openssl', [...args, '-psk', '00'.repeat(31).concat('01')], {
      foreign: true,
    })
    await server.output('ACCEPT')
    const options = { port, retransmitTimeout: 50, handshakeTimeout: 5_000, psk }
    const error = await failureOf(dial(options))
    expect(error.code, server.report()).toBe('MCBN_PSK_MISMATCH')
  })
})

describe('dtls/replayWindow (RFC 6347 section 4.1.2.6)', () => {
  /** Sends 300 messages, the first of which arrives last, then everything once more. */
  const overtaken = async (options: Partial<DtlsServerOptions>) => {
    const { server, port } = await serve({ psk: { [identity]: key }, ...options })
    const got: string[] = []
    const accepted = once(server, 'secureConnection')
    const proxy = await LossyProxy.start(port)
    const client = await dialOpen({ port: proxy.port, psk, ...(options.ciphers && { ciphers }) })
    const [socket] = (await accepted) as [DtlsSocket]
    socket.on('message', (message) => got.push(message.toString()))
    const kept: Buffer[] = []
    proxy.pass = (datagram) => kept.push(Buffer.from(datagram)) === 0
    // In parts: the sockets between have small buffers.
    while (kept.length < 300) {
      const sent = kept.length + 50
      for (let i = kept.length; i < sent; i += 1) client.send(`${i}`)
      await waitFor('these at the proxy', () => kept.length === sent)
    }
    proxy.pass = () => true
    const deliver = async (datagrams: readonly Buffer[]) => {
      for (let at = 0; at < datagrams.length; at += 50) {
        const part = datagrams.slice(at, at + 50)
        const after = socket.stats.datagramsReceived + part.length
        for (const datagram of part) proxy.inject(datagram, 'to server')
        await waitFor('these at the server', () => socket.stats.datagramsReceived === after)
      }
    }
    await deliver([...kept.slice(1), kept[0] as Buffer])
    await deliver(kept)
    client.send('end')
    await waitFor('the end', () => got.at(-1) === 'end')
    return got.slice(0, -1)
  }
  const ciphers = 'PSK-AES128-CBC-SHA256'
  const inOrder = Array.from({ length: 299 }, (_, i) => `${i + 1}`)

  it('by default a record that 299 others have overtaken is lost', async () => {
    expect(await overtaken({})).toEqual(inOrder)
  })

  it('with 300 it is delivered, and nothing twice', async () => {
    expect(await overtaken({ replayWindow: 300 })).toEqual([...inOrder, '0'])
    expect(await overtaken({ replayWindow: 299 })).toEqual(inOrder)
    expect(await overtaken({ replayWindow: 65_536 })).toEqual([...inOrder, '0'])
  })

  it('sessions on the record layer of OpenSSL have its 64', async () => {
    expect(await overtaken({ replayWindow: 300, records: 'openssl' })).toEqual(inOrder)
    expect(await overtaken({ replayWindow: 300, ciphers })).toEqual(inOrder)
  })
})

describe('dtls/addresses', () => {
  it('IPv6', async () => {
    const server = createServer({ psk: { [identity]: key } }, (socket) => {
      socket.on('message', (message) => socket.send(message))
    })
    const port = await listen(server, '::1')
    expect(server.address()).toMatchObject({ address: '::1', family: 'IPv6' })
    const client = await dialOpen({ host: '::1', port, psk })
    expect(client.remoteFamily).toBe('IPv6')
    await roundTrip(client)
  })

  it('no host listens on IPv6 and IPv4; ipv6Only on one', async () => {
    const both = createServer({ psk: { [identity]: key } })
    both.listen(0)
    await once(both, 'listening')
    const port = both.address()?.port as number
    await dialOpen({ port, psk })
    await dialOpen({ host: '::1', port, psk })
    await both.close()
    const one = createServer({ psk: { [identity]: key }, ipv6Only: true })
    const other = await listen(one, '::')
    await dialOpen({ host: '::1', port: other, psk })
    const error = await failureOf(dial({ port: other, psk }))
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
  })

  it('names, for servers and clients', async () => {
    const server = createServer({ psk: { [identity]: key } })
    const port = await listen(server, 'localhost')
    await dialOpen({ host: 'localhost', port, psk })
    await dialOpen({ host: 'localhost', family: 4, port, psk })
  })

  it('a name with addresses at which nobody listens: the next is tried, as with localhost', async () => {
    const { port } = await echo({ psk: { [identity]: key } })
    const asked: unknown[] = []
    const lookup: LookupFunction = (host, options, callback) => {
      asked.push([host, options.all])
      const addresses = ['::1', '127.0.0.5', LOOPBACK]
      callback(
        null,
        addresses.map((address) => ({ address, family: isIP(address) })),
      )
    }
    await roundTrip(await dialOpen({ host: 'vault.example', port, lookup, psk }))
    expect(asked).toEqual([['vault.example', true]])
    const nobody = await failureOf(dial({ host: 'x', port: await freeUdpPort(), lookup, psk }))
    expect(nobody.code).toBe('MCBN_CONNECTION_FAILED')
    const none: LookupFunction = (_host, _options, callback) => callback(null, [])
    const error = await failureOf(dial({ host: 'x', port, lookup: none, psk }))
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
  })

  it('localAddress and localPort are where the client comes from', async () => {
    const { server, port } = await serve({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const localPort = await freeUdpPort()
    await dialOpen({ port, localAddress: '127.0.0.9', localPort, psk })
    expect((await accepted)[0]).toMatchObject({ remoteAddress: '127.0.0.9', remotePort: localPort })
    const taken = (await rawSocket()).address().port
    const error = await failureOf(dial({ port, localAddress: LOOPBACK, localPort: taken, psk }))
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
    expect(error.message).toContain('EADDRINUSE')
  })

  it('reusePort lets two servers share a port', async () => {
    const first = createServer({ psk: {}, reusePort: true })
    const port = await listen(first)
    await listen(createServer({ psk: {}, reusePort: true }), LOOPBACK, port)
  })
})

describe('dtls/preset', () => {
  it.each([
    ['coap', 'PSK-AES128-CCM8', 1_232],
    ['lwm2m', 'PSK-AES128-CCM8', 1_232],
    ['hue', 'PSK-AES128-GCM-SHA256', 1_400],
  ] as const)('%s: %s, datagrams of at most %i bytes', async (preset, suite, mtu) => {
    const { port } = await echo({ psk: { [identity]: key }, preset })
    const client = await dialOpen({ port, preset, psk })
    expect(client.getCipher()?.name).toBe(suite)
    expect(client.maxDatagramSize).toBeGreaterThan(mtu - 40)
    expect(client.maxDatagramSize).toBeLessThan(mtu)
    await roundTrip(client)
  })

  it('coap and hue refuse a peer that has none of their suites; lwm2m takes CBC', async () => {
    const ciphers = 'PSK-AES128-CBC-SHA256'
    for (const preset of ['coap', 'hue'] as const) {
      const { port } = await echo({ psk: { [identity]: key }, preset })
      expect((await failureOf(dial({ port, ciphers, psk }))).code).toBe('MCBN_HANDSHAKE_FAILED')
    }
    const { port } = await echo({ psk: { [identity]: key }, preset: 'lwm2m' })
    expect((await dialOpen({ port, ciphers, psk })).getCipher()?.name).toBe(ciphers)
  })

  it('waits 9 s before it repeats itself (RFC 7925 section 11), unless told otherwise', async () => {
    const deaf = async (options: Omit<DtlsConnectOptions, 'psk'>): Promise<() => number> => {
      let heard = 0
      const proxy = await LossyProxy.start(9, { pass: () => ++heard < 0 })
      dial({ ...options, port: proxy.port, psk })
      return () => heard
    }
    const patient = await deaf({ preset: 'coap' })
    const ordinary = await deaf({})
    const hasty = await deaf({ preset: 'coap', retransmitTimeout: 50 })
    await waitFor('what repeats itself', () => ordinary() >= 2 && hasty() >= 2)
    expect(patient()).toBe(1)
  })

  it('knows the port of its protocol, and lets another be named', async () => {
    const refused = await failureOf(dial({ preset: 'hue', psk }))
    expect(refused.message).toContain(':2100')
    const { port } = await echo({ psk: { [identity]: key }, preset: 'hue' })
    await roundTrip(await dialOpen({ port, preset: 'hue', psk }))
  })
})

describe('dtls/mtu', () => {
  it.each(['DHE-PSK-AES128-GCM-SHA256', 'PSK-AES128-CCM8'])(
    'of 256 bytes: no datagram of a handshake with %s is larger, on either side',
    async (ciphers) => {
      const settings = { ciphers, mtu: 256, ALPNProtocols: ['a'.repeat(120), 'coap'] }
      const { port } = await echo({
        psk: { [identity]: key },
        pskIdentityHint: 'hint',
        ...settings,
      })
      const sizes: number[] = []
      const proxy = await LossyProxy.start(port, { pass: ({ length }) => sizes.push(length) > 0 })
      const long = 'i'.repeat(256)
      const servername = `${'label.'.repeat(20)}example`
      const client = await dialOpen({ port: proxy.port, ...settings, servername, psk })
      expect(Math.max(...sizes)).toBeLessThanOrEqual(256)
      expect(client.maxDatagramSize).toBeLessThan(256)
      const answer = nextMessage(client)
      client.send(Buffer.alloc(client.maxDatagramSize, 1))
      expect(await answer).toHaveLength(client.maxDatagramSize)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(256)
      // A ClientKeyExchange that does not fit one datagram.
      const { port: other } = await echo({ psk: { [long]: key }, ...settings })
      await roundTrip(await dialOpen({ port: other, ...settings, psk: { identity: long, key } }))
    },
  )

  it('of 16,384 bytes carries messages of 16 KB less the overhead', async () => {
    const { client, server } = await openPair({ mtu: 16_384 })
    const answer = nextMessage(server)
    client.send(Buffer.alloc(client.maxDatagramSize, 9))
    expect((await answer).length).toBeGreaterThan(16_300)
  })
})
