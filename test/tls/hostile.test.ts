// What strangers do to a TLS port. Each time the server must name it, end that connection and live on.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp, createServer as createTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { connect as connectNodeTls, createServer as createNodeTls } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { freeTcpPort } from '../support/ports.js'
import { run } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  readAll,
  type Served,
  VERSIONS,
} from './support.js'

async function target(
  extra: { handshakeTimeout?: number } = {},
): Promise<
  Served<undefined> & { key: Buffer; stranger(): Promise<Socket>; livesOn(): Promise<void> }
> {
  const key = freshKey()
  const served = await echo({ psk: { [identity]: key }, ...extra })
  return {
    ...served,
    key,
    async stranger() {
      const socket = connectTcp(served.port, LOOPBACK)
      socket.on('error', () => {})
      onTestFinished(() => void socket.destroy())
      await once(socket, 'connect')
      return socket
    },
    async livesOn() {
      const socket = await dialOpen({ port: served.port, psk: { identity, key } })
      socket.end('still here')
      expect((await readAll(socket)).toString()).toBe('still here')
    },
  }
}

/** A ClientHello as a real client sends it. */
async function clientHello(key: Buffer): Promise<Buffer> {
  const sink = createTcp()
  const port = await listen(sink)
  const hello = once(sink, 'connection').then(([socket]) => once(socket as Socket, 'data'))
  const client = dial({ port, psk: { identity, key } })
  client.on('error', () => {})
  const [bytes] = await hello
  client.destroy()
  return bytes as Buffer
}

describe('a server faced with', () => {
  it.each([1, 2, 3, 4, 5])(
    'random bytes (run %i) names a protocol error and lives on',
    async () => {
      const { failures, stranger, livesOn } = await target()
      const socket = await stranger()
      socket.write(randomBytes(3000))
      await once(socket, 'close')
      expect(failures[0]?.kind).toBe('peer')
      await livesOn()
    },
  )

  it('HTTP without TLS says so', async () => {
    const { failures, stranger, livesOn } = await target()
    const socket = await stranger()
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await once(socket, 'close')
    expect(failures[0]?.code).toBe('MCBN_PROTOCOL_ERROR')
    expect(failures[0]?.message).toMatch(/TLS/)
    await livesOn()
  })

  it('a ClientHello cut at any place, then silence, gives up after handshakeTimeout', async () => {
    const { failures, stranger, livesOn, key } = await target({ handshakeTimeout: 150 })
    const hello = await clientHello(key)
    const cuts = [0, 1, 4, 5, 6, 9, 50, hello.length - 1]
    const sockets = await Promise.all(cuts.map(() => stranger()))
    sockets.forEach((socket, index) => void socket.write(hello.subarray(0, cuts[index])))
    await Promise.all(sockets.map((socket) => once(socket, 'close')))
    expect(failures.map(({ code }) => code)).toEqual(cuts.map(() => 'MCBN_HANDSHAKE_TIMEOUT'))
    await livesOn()
  })

  it('a ClientHello byte by byte opens', async () => {
    const { port, key } = await target()
    const tcp = connectTcp(port, LOOPBACK)
    const slow = new Duplex({
      read: () => tcp.resume(),
      write(chunk: Buffer, _encoding, done) {
        tcp.setNoDelay(true)
        for (const byte of chunk) tcp.write(Buffer.of(byte))
        done()
      },
      final: (done) => void tcp.end(done),
    })
    tcp.on('data', (chunk: Buffer) => {
      for (const byte of chunk) slow.push(Buffer.of(byte))
    })
    tcp.on('end', () => slow.push(null))
    onTestFinished(() => void tcp.destroy())
    const socket = await dialOpen({ socket: slow, psk: { identity, key } })
    socket.end('drop by drop')
    expect((await readAll(socket)).toString()).toBe('drop by drop')
  })

  it('a record over 16 KB refuses it with record_overflow (RFC 8446 section 5.1)', async () => {
    const { failures, stranger, livesOn } = await target()
    const socket = await stranger()
    const answer = once(socket, 'data')
    socket.write(Buffer.from([22, 3, 1, 0xff, 0xff, 1, 0, 0, 0]))
    expect((await answer)[0]).toEqual(Buffer.from([21, 3, 1, 0, 2, 2, 22]))
    await waitFor('the failure', () => failures.length > 0)
    expect(failures[0]?.code).toBe('MCBN_PROTOCOL_ERROR')
    await livesOn()
  })

  it('a message that announces 16 MB refuses it before there is room for it', async () => {
    const { failures, stranger, livesOn } = await target()
    const socket = await stranger()
    socket.write(Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]))
    await waitFor('the failure', () => failures.length > 0)
    expect(failures[0]?.code).toBe('MCBN_PROTOCOL_ERROR')
    await livesOn()
  })

  it('a client that goes away in the middle fails that handshake only', async () => {
    const { server, failures, stranger, livesOn, key } = await target()
    const hello = await clientHello(key)
    const gone = await stranger()
    gone.end(hello.subarray(0, 100))
    await waitFor('the failure', () => failures.length === 1)
    expect(failures[0]?.code).toBe('MCBN_HANDSHAKE_FAILED')
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const reset = await stranger()
    reset.write(hello.subarray(0, 100))
    const [transport] = await accepted
    // libuv reports data and reset that come together as an ordinary end.
    await waitFor('the data', () => transport.bytesRead === 100)
    reset.resetAndDestroy()
    await waitFor('the second failure', () => failures.length === 2)
    expect(failures[1]).toMatchObject({ code: 'MCBN_CONNECTION_FAILED' })
    await livesOn()
  })

  it.each(VERSIONS)('a %s client without a pre-shared key refuses it', async (version) => {
    const { failures, port, livesOn } = await target()
    const client = connectNodeTls({
      port,
      host: LOOPBACK,
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
    })
    const [error] = await once(client, 'error').catch((thrown) => [thrown])
    expect(String(error)).toMatch(/handshake failure/i)
    await waitFor('the failure', () => failures.length > 0)
    expect(failures[0]).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', kind: 'peer' })
    await livesOn()
  })

  it('a damaged record after the handshake ends that connection with its alert', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const accepted = once(server, 'secureConnection')
    const tcp = connectTcp(port, LOOPBACK)
    onTestFinished(() => void tcp.destroy())
    const client = await dialOpen({ socket: tcp, psk: { identity, key } })
    const [socket] = await accepted
    const failed = once(socket, 'error').catch((thrown) => [thrown])
    const told = once(client, 'error').catch((thrown) => [thrown])
    tcp.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), randomBytes(40)]))
    expect((await failed)[0]).toMatchObject({ code: 'MCBN_PROTOCOL_ERROR' })
    expect((await told)[0]).toMatchObject({ code: 'MCBN_CONNECTION_LOST', alert: 'bad_record_mac' })
  })
})

describe('a client faced with', () => {
  it.each(['GARBAGE\r\n'.repeat(40), Buffer.alloc(2000), Buffer.from([22, 3, 3, 0xff, 0xff, 2])])(
    'a server that answers nonsense (%#) fails without crashing',
    async (answer) => {
      const port = await listen(createTcp((socket) => socket.on('error', () => {}).write(answer)))
      const error = await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
      expect(['MCBN_PROTOCOL_ERROR', 'MCBN_HANDSHAKE_FAILED']).toContain(error.code)
    },
  )

  it('a silent server gives up after handshakeTimeout', async () => {
    const port = await listen(createTcp(() => {}))
    const socket = dial({ port, psk: { identity, key: freshKey() }, handshakeTimeout: 80 })
    expect((await failureOf(socket)).code).toBe('MCBN_HANDSHAKE_TIMEOUT')
  })

  it('a server that hangs up names it', async () => {
    const port = await listen(createTcp((socket) => void socket.end()))
    const error = await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
    expect(error.code).toBe('MCBN_HANDSHAKE_FAILED')
    expect(error.message).toMatch(/server closed the connection/)
  })

  it.each(VERSIONS)('a %s server that shows a certificate instead of the key', async (version) => {
    // RFC 8446 section 4.2.11: a server may pass the offer over; OpenSSL would then be content.
    const { cert, key } = await certificate()
    const server = createNodeTls({ cert, key, minVersion: version, maxVersion: version })
    server.on('tlsClientError', () => {})
    const port = await listen(server)
    const received: Buffer[] = []
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => received.push(chunk))
    })
    const socket = dial({ port, psk: { identity, key: freshKey() } })
    socket.write('must not be sent')
    const error = await failureOf(socket)
    expect(['MCBN_PSK_NOT_USED', 'MCBN_HANDSHAKE_FAILED']).toContain(error.code)
    if (version === 'TLSv1.3') expect(error.code).toBe('MCBN_PSK_NOT_USED')
    expect(received).toEqual([])
  })

  it('a closed port carries the system error', async () => {
    const port = await freeTcpPort()
    const error = await failureOf(dial({ port, psk: { identity, key: freshKey() } }))
    expect(error.code).toBe('MCBN_CONNECTION_FAILED')
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('a name that does not exist carries the resolver’s error', async () => {
    const failing = Object.assign(new Error('getaddrinfo ENOTFOUND no.invalid'), {
      code: 'ENOTFOUND',
    })
    const socket = dial({
      host: 'no.invalid',
      port: 1,
      psk: { identity, key: freshKey() },
      lookup: (_name, _options, callback) => callback(failing, '', 4),
    })
    const error = await failureOf(socket)
    expect(error).toMatchObject({ code: 'MCBN_CONNECTION_FAILED', cause: failing })
  })
})

/** A self-signed certificate, made by the openssl command. */
async function certificate(): Promise<{ cert: Buffer; key: Buffer }> {
  const folder = temporaryFolder()
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-subj', '/CN=localhost', '-days', '2', '-keyout', keyFile, '-out', certFile],
  ])
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) }
}
