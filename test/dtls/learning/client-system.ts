// mcbn's client as a machine that is learnt: inputs are a server's messages. Each word has a new client, whose
// first ClientHello has come before the word begins. See server-system.ts for how answers are known to be complete.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type DtlsSocket } from '../../../src/dtls/index.js'
import { DTLS12, MESSAGE, message, SUITE, TYPE, u16 } from '../../support/dtls-wire.js'
import type { System } from './learner.js'
import { SILENCE, type Word } from './mealy.js'
import { inTime, settled } from './pace.js'
import { allRecords, answerOf, loopbackSocket, randomOf, SETTINGS, Side } from './records.js'

const LOOPBACK = '127.0.0.1'

export const CLIENT_INPUTS = [
  'HelloVerifyRequest',
  'ServerHello',
  'ServerKeyExchange',
  'ServerHelloDone',
  'ChangeCipherSpec',
  'Finished',
  'wrong Finished',
  'ApplicationData',
  'close_notify',
] as const
type Input = (typeof CLIENT_INPUTS)[number]

export class ClientSystem implements System {
  readonly inputs = CLIENT_INPUTS
  readonly endings = [
    ['ChangeCipherSpec', 'Finished'],
    // A repeat for a client that was asked for a cookie; else it takes the number of the next message.
    ['HelloVerifyRequest', 'ChangeCipherSpec', 'wrong Finished'],
    ['ServerHelloDone', 'ChangeCipherSpec', 'Finished'],
    ['ServerHello', 'ServerHelloDone', 'ChangeCipherSpec', 'Finished'],
  ] satisfies Input[][]
  readonly #records: 'mcbn' | 'openssl'

  constructor(records: 'mcbn' | 'openssl') {
    this.#records = records
  }

  run(word: Word): Promise<string[]> {
    return inTime(() => this.#once(word))
  }

  async close(): Promise<void> {}

  async #once(word: Word): Promise<string[]> {
    const key = randomBytes(32)
    const server = await Server.create(key)
    const client = new Client(server.port, key, this.#records)
    try {
      await server.firstHello()
      const answers: string[] = []
      for (const input of word) {
        const before = client.received
        if (!server.send(input as Input)) {
          answers.push(SILENCE)
          continue
        }
        await settled(
          () => (client.ended || client.received > before) && client.quiet(server.datagrams.length),
        )
        answers.push(server.answers())
      }
      return answers
    } finally {
      client.close()
      server.close()
    }
  }
}

/** Sends every message back. */
class Client {
  ended = false
  #heard = 0
  readonly #socket: DtlsSocket

  constructor(port: number, key: Uint8Array, records: 'mcbn' | 'openssl') {
    this.#socket = connect({
      host: LOOPBACK,
      port,
      psk: { identity: 'Client1', key },
      ...SETTINGS,
      records,
    })
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.ended = true
    })
    this.#socket.on('message', (data) => {
      this.#heard += 1
      this.#socket.send(data)
    })
  }

  get received(): number {
    return this.#socket.stats.datagramsReceived
  }

  /** Whether all that it has sent has come, and all that it has heard was answered. */
  quiet(come: number): boolean {
    const { stats } = this.#socket
    return this.ended || (stats.datagramsSent === come && stats.messagesReceived === this.#heard)
  }

  close(): void {
    this.#socket.destroy()
  }
}

class Server {
  readonly datagrams: Buffer[] = []
  readonly port: number
  readonly #socket: Socket
  readonly #side: Side
  readonly #random = randomBytes(32)
  readonly #sequences = new Map<string, number>()
  #client = 0
  #told = 0

  private constructor(socket: Socket, key: Uint8Array) {
    this.#socket = socket
    this.port = socket.address().port
    this.#side = new Side(key, true)
    socket.on('message', (datagram, { port }) => {
      this.#client = port
      this.datagrams.push(datagram)
    })
  }

  static async create(key: Uint8Array): Promise<Server> {
    return new Server(await loopbackSocket(), key)
  }

  close(): void {
    this.#socket.close()
  }

  async firstHello(): Promise<void> {
    if (this.datagrams.length === 0) await once(this.#socket, 'message')
    this.answers()
  }

  /** Whether there was something to send. */
  send(input: Input): boolean {
    const made = this.#made(input)
    if (made) this.#socket.send(made, this.#client, LOOPBACK)
    return made !== undefined
  }

  answers(): string {
    const news = this.datagrams.slice(this.#told)
    this.#told = this.datagrams.length
    const names: string[] = []
    for (const received of allRecords(news)) {
      const { name, content } = this.#side.read(received)
      names.push(name)
      if (name === 'ClientHello') {
        // A cookie makes it another message: the transcript begins with the last (RFC 6347 section 4.2.6).
        this.#side.beginTranscript(content)
        this.#side.derive(randomOf(content), this.#random)
      } else if (name === 'ClientKeyExchange' || name === 'Finished*') this.#side.note(content)
    }
    if (names.some((name) => name.endsWith('*'))) this.#side.forget()
    return answerOf(names)
  }

  #made(input: Input): Buffer | undefined {
    const side = this.#side
    switch (input) {
      case 'HelloVerifyRequest': {
        const body = Buffer.concat([u16(DTLS12), Buffer.of(20), Buffer.alloc(20, 7)])
        return side.plain(
          TYPE.handshake,
          message(MESSAGE.helloVerifyRequest, this.#place(input), body),
        )
      }
      case 'ServerHello':
        return this.#counted(MESSAGE.serverHello, input, [
          u16(DTLS12),
          this.#random,
          Buffer.of(0),
          u16(SUITE),
          Buffer.of(0),
        ])
      case 'ServerKeyExchange':
        return this.#counted(MESSAGE.serverKeyExchange, input, [u16(4), Buffer.from('hint')])
      case 'ServerHelloDone':
        return this.#counted(MESSAGE.serverHelloDone, input, [])
      case 'ChangeCipherSpec':
        return side.plain(TYPE.changeCipherSpec, Buffer.of(1))
      case 'Finished':
        return side.sealed(input, TYPE.handshake, side.finished(this.#place('Finished')))
      case 'wrong Finished':
        return side.sealed(
          input,
          TYPE.handshake,
          message(MESSAGE.finished, this.#place('Finished'), Buffer.alloc(12)),
        )
      case 'ApplicationData':
        return side.sealed(input, TYPE.applicationData, Buffer.from('data'))
      case 'close_notify':
        return side.sealed(input, TYPE.alert, Buffer.of(1, 0))
    }
  }

  /** A message of the flight, which counts for the Finished. */
  #counted(type: number, input: Input, parts: readonly Buffer[]): Buffer {
    const made = message(type, this.#place(input), Buffer.concat(parts))
    this.#side.note(made)
    return this.#side.plain(TYPE.handshake, made)
  }

  /** The message's number: the next one, and the same when it is repeated (RFC 6347 section 4.2.2). */
  #place(input: Input): number {
    const known = this.#sequences.get(input) ?? this.#sequences.size
    this.#sequences.set(input, known)
    return known
  }
}
