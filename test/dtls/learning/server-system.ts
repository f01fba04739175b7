// mcbn's server as a machine that is learnt: inputs are a client's messages, each as it must be at its place and
// each time as often as it likes; answers are the records that come back. The inputs do not depend on time: answers
// are complete when the server has counted what was sent, JavaScript has answered, and all datagrams have come.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type DtlsServer } from '../../../src/dtls/index.js'
import { clientHelloBody, cookieOf, MESSAGE, message, TYPE, u16 } from '../../support/dtls-wire.js'
import type { System } from './learner.js'
import { SILENCE, type Word } from './mealy.js'
import { inTime, settled } from './pace.js'
import { allRecords, answerOf, loopbackSocket, randomOf, SETTINGS, Side } from './records.js'

const LOOPBACK = '127.0.0.1'
const IDENTITY = Buffer.from('Client1')
const EXCHANGE = message(
  MESSAGE.clientKeyExchange,
  2,
  Buffer.concat([u16(IDENTITY.length), IDENTITY]),
)
/** Handshakes that were left lie there until their time is over; so many are no limit. */
const WORDS_EACH = 200

export const SERVER_INPUTS = [
  'ClientHello',
  'ClientHello with cookie',
  'ClientKeyExchange',
  'ChangeCipherSpec',
  'Finished',
  'wrong Finished',
  'ApplicationData',
  'close_notify',
] as const
type Input = (typeof SERVER_INPUTS)[number]

export class ServerSystem implements System {
  readonly inputs = SERVER_INPUTS
  readonly endings = [
    ['ChangeCipherSpec', 'Finished'],
    ['ClientKeyExchange', 'ChangeCipherSpec', 'Finished'],
  ] satisfies Input[][]
  readonly #records: 'mcbn' | 'openssl'
  readonly #key = randomBytes(32)
  #server: DtlsServer | undefined
  #port = 0
  #words = 0
  #clients = 0
  #echoed = 0

  constructor(records: 'mcbn' | 'openssl') {
    this.#records = records
  }

  run(word: Word): Promise<string[]> {
    return inTime(() => this.#once(word))
  }

  async close(): Promise<void> {
    await this.#server?.close()
    this.#server = undefined
  }

  async #once(word: Word): Promise<string[]> {
    const server = await this.#serving()
    let client = await this.#client()
    try {
      const answers: string[] = []
      for (const input of word) {
        if (client.ended) {
          client.close()
          client = await this.#client()
        }
        const before = server.stats
        const heard = client.datagrams.length
        const echoed = this.#echoed
        if (!client.send(input as Input)) {
          answers.push(SILENCE)
          continue
        }
        await settled(() => {
          const { stats } = server
          return (
            stats.datagramsReceived > before.datagramsReceived &&
            stats.messagesReceived - before.messagesReceived === this.#echoed - echoed &&
            stats.datagramsSent - before.datagramsSent === client.datagrams.length - heard
          )
        })
        answers.push(client.answers())
      }
      return answers
    } finally {
      client.close()
    }
  }

  /** Each at an address that no other has: the server counts what an address begins anew. */
  #client(): Promise<Client> {
    this.#clients += 1
    return Client.create(this.#port, this.#key, this.#clients)
  }

  async #serving(): Promise<DtlsServer> {
    this.#words += 1
    if (this.#words % WORDS_EACH === 0) await this.close()
    if (this.#server) return this.#server
    const server = createServer({
      psk: { [IDENTITY.toString()]: this.#key },
      ...SETTINGS,
      records: this.#records,
      maxSessionsPerHost: 10 * WORDS_EACH,
    })
    server.on('clientError', () => {})
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {})
      socket.on('message', (data) => {
        this.#echoed += 1
        socket.send(data)
      })
    })
    server.listen(0, LOOPBACK)
    await once(server, 'listening')
    this.#port = (server.address() as AddressInfo).port
    this.#server = server
    return server
  }
}

class Client {
  readonly datagrams: Buffer[] = []
  /** Whether the server has ended the session. What comes then comes from another client. */
  ended = false
  readonly #socket: Socket
  readonly #port: number
  readonly #side: Side
  readonly #random = randomBytes(32)
  #serverRandom: Buffer = Buffer.alloc(0)
  #cookie: Buffer = Buffer.alloc(20)
  #told = 0

  private constructor(socket: Socket, port: number, key: Uint8Array) {
    this.#socket = socket
    this.#port = port
    this.#side = new Side(key, false)
    socket.on('message', (datagram) => this.datagrams.push(datagram))
  }

  static async create(port: number, key: Uint8Array, number: number): Promise<Client> {
    const host = `127.${1 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`
    return new Client(await loopbackSocket(host), port, key)
  }

  close(): void {
    this.#socket.close()
  }

  /** Whether there was something to send. */
  send(input: Input): boolean {
    const made = this.#made(input)
    if (made) this.#socket.send(made, this.#port, LOOPBACK)
    return made !== undefined
  }

  /** What came since the last question. */
  answers(): string {
    const news = this.datagrams.slice(this.#told)
    this.#told = this.datagrams.length
    const names: string[] = []
    for (const datagram of news) this.#cookie = cookieOf(datagram) ?? this.#cookie
    for (const received of allRecords(news)) {
      const { name, content } = this.#side.read(received)
      names.push(name)
      if (name.startsWith('Alert')) this.ended = true
      if (name === 'ServerHello' && !randomOf(content).equals(this.#serverRandom)) {
        this.#serverRandom = randomOf(content)
        this.#side.derive(this.#random, this.#serverRandom)
      }
      if (/^Server/.test(name)) this.#side.note(content)
    }
    if (names.some((name) => name.endsWith('*'))) this.#side.forget()
    return answerOf(names)
  }

  #made(input: Input): Buffer | undefined {
    const side = this.#side
    switch (input) {
      case 'ClientHello':
        return side.plain(TYPE.handshake, this.#hello(0))
      case 'ClientHello with cookie': {
        const hello = this.#hello(1, this.#cookie)
        side.beginTranscript(hello)
        return side.plain(TYPE.handshake, hello)
      }
      case 'ClientKeyExchange':
        side.note(EXCHANGE)
        return side.plain(TYPE.handshake, EXCHANGE)
      case 'ChangeCipherSpec':
        return side.plain(TYPE.changeCipherSpec, Buffer.of(1))
      case 'Finished':
        // Right also where it overtakes the exchange that it is about.
        side.note(EXCHANGE)
        return side.sealed(input, TYPE.handshake, side.finished(3))
      case 'wrong Finished':
        return side.sealed(input, TYPE.handshake, message(MESSAGE.finished, 3, Buffer.alloc(12)))
      case 'ApplicationData':
        return side.sealed(input, TYPE.applicationData, Buffer.from('data'))
      case 'close_notify':
        return side.sealed(input, TYPE.alert, Buffer.of(1, 0))
    }
  }

  #hello(sequence: number, cookie?: Buffer): Buffer {
    const parts = { random: this.#random, ...(cookie && { cookie }) }
    return message(MESSAGE.clientHello, sequence, clientHelloBody(parts))
  }
}
