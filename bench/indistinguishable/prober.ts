// A stranger, and the relay through which it speaks: when its last flight goes on, the clock starts, and stops with
// the first byte that the server answers.

import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import * as dtls from '../../src/dtls/index.js'
import * as tls from '../../src/tls/index.js'
import { HOST, IDENTITY } from '../lib/credentials.js'
import { FULL_KEY } from './key.js'

export type Protocol = 'TLSv1.3' | 'TLSv1.2' | 'DTLSv1.3' | 'DTLSv1.2'

export const isDatagrams = (protocol: string): protocol is 'DTLSv1.3' | 'DTLSv1.2' =>
  protocol.startsWith('DTLS')
export const STRANGERS = ['unknown', 'wrong key', 'damaged'] as const
export type Stranger = (typeof STRANGERS)[number]

export interface Answer {
  readonly microseconds: number
  /** The lengths of what the server sent after the last flight. */
  readonly shape: string
}

const PATIENCE_MS = 3_000

/** As long as KNOWN: a length must not tell. */
const NOBODY = 'nobdy'

export class Prober {
  readonly #protocol: Protocol
  readonly #relay: Relay

  private constructor(protocol: Protocol, relay: Relay) {
    this.#protocol = protocol
    this.#relay = relay
  }

  static async start(protocol: Protocol, server: number): Promise<Prober> {
    const relay = isDatagrams(protocol)
      ? new DatagramRelay(server, protocol)
      : new StreamRelay(server, protocol)
    await relay.listen()
    return new Prober(protocol, relay)
  }

  /** undefined: there was no answer in time. */
  async probe(who: Stranger): Promise<Answer | undefined> {
    this.#relay.begin(who === 'damaged')
    const psk = {
      identity: who === 'unknown' ? NOBODY : IDENTITY,
      key: who === 'damaged' ? FULL_KEY : randomBytes(FULL_KEY.length),
    }
    const to = { host: HOST, port: this.#relay.port, psk }
    const protocol = this.#protocol
    const socket = isDatagrams(protocol)
      ? dtls.connect({ ...to, minVersion: protocol, maxVersion: protocol })
      : tls.connect({ ...to, minVersion: protocol, maxVersion: protocol })
    socket.on('error', () => {})
    socket.opened.then(
      () => {
        throw new Error(`expected a refusal for ${who}, got a connection`)
      },
      () => {},
    )
    const answer = await this.#relay.answered()
    socket.destroy()
    return answer
  }

  close(): void {
    this.#relay.close()
  }
}

/** What both relays do: know the last flight, damage it, take the time. */
abstract class Relay {
  #damages = false
  #began = 0
  #microseconds = 0
  #lengths: number[] = []
  #resolve: (answer: Answer) => void = () => {}
  #answer: Promise<Answer> = Promise.resolve({ microseconds: 0, shape: '' })

  abstract readonly port: number
  abstract listen(): Promise<void>
  abstract close(): void

  begin(damages: boolean): void {
    this.#damages = damages
    this.#began = 0
    this.#lengths = []
    this.#answer = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  async answered(): Promise<Answer | undefined> {
    const patience = new AbortController()
    const silence = setTimeout(PATIENCE_MS, undefined, { signal: patience.signal }).catch(
      () => undefined,
    )
    const answer = await Promise.race([this.#answer, silence])
    patience.abort()
    return answer
  }

  /** The last flight: damaged where it shall be. The time begins here. */
  protected last(bytes: Buffer): Buffer {
    const damaged = Buffer.from(bytes)
    const at = damaged.length - 1
    if (this.#damages) damaged[at] = (damaged[at] as number) ^ 1
    this.#began = performance.now()
    return damaged
  }

  protected fromServer(bytes: Buffer): void {
    if (this.#began === 0) return
    if (this.#lengths.length === 0) this.#microseconds = (performance.now() - this.#began) * 1_000
    this.#lengths.push(bytes.length)
    // The rest of the answer comes with it, or is none.
    if (this.#lengths.length === 1)
      globalThis.setTimeout(() => {
        this.#began = 0
        this.#resolve({ microseconds: this.#microseconds, shape: this.#lengths.join('+') })
      }, 1)
  }
}

class StreamRelay extends Relay {
  readonly #server: number
  readonly #lastFlight: number
  readonly #listener: Server

  constructor(server: number, protocol: Protocol) {
    super()
    this.#server = server
    // TLS 1.3: the binder is the end of the ClientHello; 1.2: the second flight ends with Finished.
    this.#lastFlight = protocol === 'TLSv1.3' ? 1 : 2
    this.#listener = createServer((client) => {
      const back = connect(this.#server, HOST)
      client.on('error', () => {})
      back.on('error', () => {})
      let flights = 0
      client.on('data', (bytes) => {
        flights += 1
        back.write(flights === this.#lastFlight ? this.last(bytes) : bytes)
      })
      back.on('data', (bytes) => {
        this.fromServer(bytes)
        client.write(bytes)
      })
      client.on('close', () => back.destroy())
      back.on('close', () => client.destroy())
    })
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port
  }

  async listen(): Promise<void> {
    await once(this.#listener.listen(0, HOST), 'listening')
  }

  close(): void {
    this.#listener.close()
  }
}

/** ClientKeyExchange, ChangeCipherSpec and Finished in one datagram. */
const isKeyExchange = (datagram: Buffer): boolean => datagram[0] === 22 && datagram[13] === 16

/** A ClientHello with the cookie: message_seq 1 (RFC 9147 section 5.2). It ends with the binder. */
const isSecondHello = (datagram: Buffer): boolean =>
  datagram[0] === 22 && datagram[13] === 1 && datagram.readUInt16BE(17) === 1

class DatagramRelay extends Relay {
  readonly #server: number
  readonly #front = createSocket('udp4')
  #back: Socket | undefined
  #client = 0

  constructor(server: number, protocol: 'DTLSv1.3' | 'DTLSv1.2') {
    super()
    this.#server = server
    const isLast = protocol === 'DTLSv1.3' ? isSecondHello : isKeyExchange
    this.#front.on('message', (datagram, { port }) => {
      if (port !== this.#client) this.#follow(port)
      this.#back?.send(isLast(datagram) ? this.last(datagram) : datagram, this.#server, HOST)
    })
  }

  get port(): number {
    return this.#front.address().port
  }

  async listen(): Promise<void> {
    this.#front.bind(0, HOST)
    await once(this.#front, 'listening')
  }

  close(): void {
    this.#front.close()
    this.#back?.close()
  }

  #follow(client: number): void {
    this.#back?.close()
    this.#client = client
    this.#back = createSocket('udp4')
    this.#back.on('error', () => {})
    this.#back.on('message', (datagram) => {
      this.fromServer(datagram)
      this.#front.send(datagram, client, HOST)
    })
  }
}
