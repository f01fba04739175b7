// What the workloads do with their network: a web server and a datagram echo at one end, a client of both
// at the other.

import { randomBytes } from 'node:crypto'
import { type EventEmitter, once } from 'node:events'
import { createServer as createHttpServer, get as httpGet, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readText } from 'node:stream/consumers'
import type { EndReason, Network } from '../../consent/workload/index.js'
import type { DtlsSocket } from '../../dtls/index.js'
import { McbnError } from '../../errors.js'
import type { TlsSocket } from '../../tls/index.js'
import type { ConnectionFacts, Ended, Ports } from './calls.js'
import { CLOSED_BY_PEER, HOST } from './cast.js'

/** Milliseconds: on one machine a handshake takes a few. */
const handshakeTimeout = 5_000
/** Milliseconds between two messages on a connection that is held. */
const PING_MS = 200

/** Serves HTTP over TLS 1.3 and a DTLS 1.2 echo. What is sent comes back. */
export async function serveNetwork(network: Network): Promise<Ports> {
  const http = createHttpServer((request, response) => {
    response.end(`hello from the server, you sent ${request.headers['x-words'] ?? 'nothing'}\n`)
  })
  const streams = network.tls.createServer({ minVersion: 'TLSv1.3' }, (socket) => {
    socket.on('error', () => undefined)
    http.emit('connection', socket)
  })
  // The other side tells what happened.
  streams.on('tlsClientError', () => undefined)
  const datagrams = network.dtls.createServer({}, (socket) => {
    socket.on('error', () => undefined)
    socket.on('message', (message: Buffer) => socket.send(message))
  })
  datagrams.on('clientError', () => undefined)
  streams.listen(0, HOST)
  datagrams.listen(0, HOST)
  await Promise.all([once(streams, 'listening'), once(datagrams, 'listening')])
  return { tls: portOf(streams), dtls: portOf(datagrams) }
}

interface Held {
  readonly tls: Promise<string>
  readonly dtls: Promise<string>
  readonly network: Promise<EndReason>
  readonly answers: () => number
}

/** Connections of a client. */
export class Connections {
  readonly #ended = new WeakSet<Network>()
  #held: Held | undefined

  watch(network: Network): void {
    network.once('ended', () => this.#ended.add(network))
  }

  alive(network: Network): boolean {
    return !this.#ended.has(network)
  }

  /** `GET /` over TLS 1.3, with words that only client and server know. */
  async get(
    network: Network,
    port: number,
  ): Promise<ConnectionFacts & { readonly body: string; readonly secret: Buffer }> {
    const socket = await openTls(network, port)
    const secret = randomBytes(24)
    const words = secret.toString('hex')
    const request = httpGet({
      createConnection: () => socket,
      host: HOST,
      path: '/',
      headers: { 'x-words': words },
    })
    // once() tells the first error; a connection that breaks can have a second one to tell.
    request.on('error', () => undefined)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const body = await readText(response)
    if (response.statusCode !== 200) throw new Error(`expected 200, got ${response.statusCode}`)
    // The words stay here: the demonstration is told what else came.
    return { ...factsOf(socket), body: body.trim().replace(words, '48 secret digits'), secret }
  }

  /** One datagram there and back over DTLS 1.2. */
  async echo(
    network: Network,
    port: number,
  ): Promise<ConnectionFacts & { readonly equal: boolean; readonly secret: Buffer }> {
    const socket = await openDtls(network, port)
    const secret = randomBytes(24)
    socket.send(secret)
    const [message] = (await once(socket, 'message')) as [Buffer]
    const facts = factsOf(socket)
    await socket.close()
    return { ...facts, equal: secret.equals(message), secret }
  }

  async hold(network: Network, { tls, dtls }: Ports): Promise<void> {
    const stream = await openTls(network, tls)
    const datagrams = await openDtls(network, dtls)
    let answers = 0
    stream.on('data', () => {
      answers += 1
    })
    datagrams.on('message', () => {
      answers += 1
    })
    const ping = (): void => {
      if (stream.writable) stream.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)
      try {
        datagrams.send('ping')
      } catch {
        // It has ended: endOf() tells why.
      }
    }
    const ends = { tls: endOf(stream), dtls: endOf(datagrams) }
    this.#held = { ...ends, network: network.ended, answers: () => answers }
    const firstAnswers = Promise.all([once(stream, 'data'), once(datagrams, 'message')])
    ping()
    const pings = setInterval(ping, PING_MS)
    void Promise.all([ends.tls, ends.dtls]).then(() => clearInterval(pings))
    await firstAnswers
  }

  async held(): Promise<Ended> {
    if (this.#held === undefined) throw new Error('holds no connection')
    const { code, labels } = await this.#held.network
    const tls = await this.#held.tls
    const dtls = await this.#held.dtls
    return { reason: code, labels, tls, dtls, answers: this.#held.answers() }
  }
}

async function openTls(network: Network, port: number): Promise<TlsSocket> {
  const socket = network.tls.connect({ host: HOST, port, minVersion: 'TLSv1.3', handshakeTimeout })
  // `opened` tells the first error; later ones have their own readers.
  socket.on('error', () => undefined)
  return await socket.opened
}

async function openDtls(network: Network, port: number): Promise<DtlsSocket> {
  const socket = network.dtls.connect({ host: HOST, port, handshakeTimeout })
  socket.on('error', () => undefined)
  return await socket.opened
}

/** The code that a socket ends with. */
function endOf(socket: TlsSocket | DtlsSocket): Promise<string> {
  return new Promise((resolve) => {
    let code = CLOSED_BY_PEER
    const emitter: EventEmitter = socket
    emitter.once('error', (error: Error) => {
      code = error instanceof McbnError ? error.code : error.message
    })
    emitter.once('close', () => resolve(code))
  })
}

function factsOf(socket: TlsSocket | DtlsSocket): ConnectionFacts {
  return { protocol: socket.getProtocol() ?? '?', cipher: socket.getCipher()?.name ?? '?' }
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  return address.port
}
