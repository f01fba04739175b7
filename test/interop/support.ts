// Both ends of mcbn in the shape that every peer's tests need: an echo server and a connected client,
// over TLS or DTLS, that tell what was agreed and which bytes came.

import { type EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import * as dtls from '../../src/dtls/index.js'
import type { McbnError } from '../../src/errors.js'
import type { PskCredential } from '../../src/psk/types.js'
import * as tls from '../../src/tls/index.js'
import { type Child, nextEvent } from '../support/process.js'
import { waitFor } from '../support/wait.js'

export const LOOPBACK = '127.0.0.1'
export const IDENTITY = 'Client1'
export const KEY = '2c6f63f8c0f53a565db041b91c0a95add8913fc102670589db3982228dbfed90'
export const WRONG_KEY = 'b15244faf36e5e4b178d3891701d245f2e45e881d913b6c35c0ea0ac14224cc2'
export const HINT = 'a hint of mcbn'
export const credential: PskCredential = { identity: IDENTITY, key: Buffer.from(KEY, 'hex') }

/** No first letter is a command of s_client, s_server or gnutls-cli. */
export const FROM_PEER = 'What the peer sends, 0123456789'
export const FROM_MCBN = 'What mcbn sends, 9876543210'

export type Transport = 'tls' | 'dtls'
export type Version = 'TLSv1.3' | 'TLSv1.2' | 'DTLSv1.2'

/** What the two sides agreed on, as mcbn sees it. */
export interface Facts {
  readonly protocol: string | null
  readonly cipher: string | undefined
  readonly identity: string | undefined
}

export function facts(protocol: Version, cipher: string, identity = IDENTITY): Facts {
  return { protocol, cipher, identity }
}

/** An mcbn server that sends everything back. */
export interface EchoServer {
  readonly port: number
  /** The first client that proved its key. */
  readonly accepted: Promise<Facts>
  /** The first handshake that failed. */
  readonly failed: Promise<McbnError>
  /** What clients have sent so far. */
  received(): string
  /** The key log so far. */
  readonly keylog: readonly string[]
  /** How many sessions were closed by their clients. */
  closed(): number
}

/** Versions are TLS's: those of DTLS have other names. */
type OfDtls<Options> = Omit<Options, 'minVersion' | 'maxVersion'>
function ofDtls<Options extends object>(options: Options): OfDtls<Options> {
  const { minVersion: _min, maxVersion: _max, ...rest } = options as Options & tls.TlsOptions
  return rest as OfDtls<Options>
}
type ServerOptions = Partial<tls.TlsServerOptions & OfDtls<dtls.DtlsServerOptions>>
type ClientOptions = Partial<tls.TlsConnectOptions & OfDtls<dtls.DtlsConnectOptions>>

export async function serveEcho(
  transport: Transport,
  options: ServerOptions = {},
): Promise<EchoServer> {
  const psk = { [IDENTITY]: credential.key }
  const keylog: string[] = []
  const chunks: Buffer[] = []
  let closed = 0
  let accept: (facts: Facts) => void = () => undefined
  let fail: (error: McbnError) => void = () => undefined
  const accepted = new Promise<Facts>((resolve) => {
    accept = resolve
  })
  const failed = new Promise<McbnError>((resolve) => {
    fail = resolve
  })
  const onSocket = (socket: tls.TlsSocket | dtls.DtlsSocket): void => {
    accept(factsOf(socket))
    const emitter: EventEmitter = socket
    emitter.on('error', fail)
    emitter.on('close', () => {
      closed += 1
    })
    if (socket instanceof dtls.DtlsSocket) {
      socket.on('message', (message) => {
        chunks.push(message)
        socket.send(message)
      })
    } else {
      socket.on('data', (chunk: Buffer) => chunks.push(chunk)).pipe(socket)
    }
  }
  const listening = transport === 'tls' ? listenTls : listenDtls
  const port = await listening({ psk, ...options }, onSocket, fail, keylog)
  const received = () => Buffer.concat(chunks).toString()
  return { port, accepted, failed, received, keylog, closed: () => closed }
}

type Listen = (
  options: tls.TlsServerOptions & OfDtls<dtls.DtlsServerOptions>,
  onSocket: (socket: tls.TlsSocket | dtls.DtlsSocket) => void,
  onFailure: (error: McbnError) => void,
  keylog: string[],
) => Promise<number>

const listenTls: Listen = async (options, onSocket, onFailure, keylog) => {
  const open = new Set<tls.TlsSocket>()
  const server = tls.createServer(options, (socket) => {
    open.add(socket)
    onSocket(socket)
  })
  server.on('tlsClientError', onFailure)
  server.on('keylog', (line: Buffer) => keylog.push(line.toString().trim()))
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of open) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

const listenDtls: Listen = async (options, onSocket, onFailure, keylog) => {
  const server = dtls.createServer(ofDtls(options), onSocket)
  server.on('clientError', (error) => onFailure(error as McbnError))
  server.on('keylog', (line) => keylog.push(line.toString().trim()))
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  onTestFinished(() => server.close())
  return (server.address() as AddressInfo).port
}

/** An mcbn client whose handshake is done. */
export interface Client {
  readonly facts: Facts
  readonly keylog: readonly string[]
  send(data: string | Uint8Array): void
  /** Waits until the server's bytes contain the text. */
  receives(text: string): Promise<void>
  received(): string
  /** Says goodbye and waits for the end. */
  close(): Promise<void>
}

function open(transport: Transport, port: number, options: ClientOptions) {
  const settings = { host: LOOPBACK, port, psk: credential, ...options }
  const socket = transport === 'tls' ? tls.connect(settings) : dtls.connect(ofDtls(settings))
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

export async function connectTo(
  transport: Transport,
  port: number,
  options: ClientOptions = {},
): Promise<Client> {
  const socket = open(transport, port, options)
  const keylog: string[] = []
  socket.on('keylog', (line: Buffer) => keylog.push(line.toString().trim()))
  await nextEvent(socket, 'secureConnect')
  const chunks: Buffer[] = []
  const keep = (chunk: Buffer): void => {
    chunks.push(chunk)
  }
  const received = () => Buffer.concat(chunks).toString()
  if (socket instanceof dtls.DtlsSocket) socket.on('message', keep)
  else socket.on('data', keep)
  return {
    facts: factsOf(socket),
    keylog,
    send: (data) => {
      if (socket instanceof dtls.DtlsSocket) socket.send(data)
      else socket.write(data)
    },
    receives: async (text) => {
      await waitFor(`"${text}" from the server`, () => received().includes(text), 5_000).catch(
        (cause) => {
          throw new Error(`received only: ${JSON.stringify(received())}`, { cause })
        },
      )
    },
    received,
    close: async () => {
      if (socket instanceof dtls.DtlsSocket) await socket.close()
      else await Promise.all([once(socket, 'close'), socket.end()])
    },
  }
}

/** The error that a connection attempt ends with. */
export async function refusedBy(
  transport: Transport,
  port: number,
  options: ClientOptions = {},
): Promise<McbnError> {
  const socket = open(transport, port, options)
  return await new Promise((resolve, reject) => {
    socket.once('error', (error) => resolve(error as McbnError))
    socket.once('secureConnect', () => reject(new Error('the connection opened')))
  })
}

/** A line of the peer reaches the echo server and comes back to the peer, under the facts named. */
export async function expectEcho(server: EchoServer, peer: Child, expected: Facts): Promise<void> {
  peer.write(`${FROM_PEER}\n`)
  await peer.output(FROM_PEER)
  expect(await server.accepted).toEqual(expected)
  expect(server.received()).toBe(`${FROM_PEER}\n`)
}

/** Lines go both ways between a client and a program that prints what it gets and sends its stdin. */
export async function expectConversation(
  client: Client,
  peer: Child,
  expected: Facts,
): Promise<void> {
  expect(client.facts).toEqual(expected)
  client.send(`${FROM_MCBN}\n`)
  await peer.output(FROM_MCBN)
  peer.write(`${FROM_PEER}\n`)
  await client.receives(`${FROM_PEER}\n`)
}

/** An echo program sends the client's line back, under the facts named. */
export async function expectEchoed(client: Client, expected: Facts): Promise<void> {
  expect(client.facts).toEqual(expected)
  client.send(`${FROM_MCBN}\n`)
  await client.receives(`${FROM_MCBN}\n`)
}

function factsOf(socket: tls.TlsSocket | dtls.DtlsSocket): Facts {
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher()?.name,
    identity: socket.pskIdentity?.toString(),
  }
}
