// A DTLS 1.2 server of a few lines that does what it is told, also what is forbidden: it knows the key and
// TLS_PSK_WITH_AES_128_GCM_SHA256, answers one client, and each of its messages is sent when a test says so.

import { createHash, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { GcmRecords, masterSecret, prf } from './dtls-gcm.js'
import {
  DTLS12,
  MESSAGE,
  MESSAGE_HEADER,
  message,
  record,
  recordsOf,
  SUITE,
  TYPE,
  u16,
  type WireRecord,
} from './dtls-wire.js'
import { waitFor } from './wait.js'

const LOOPBACK = '127.0.0.1'

export class DtlsServerPeer {
  readonly port: number
  readonly random = randomBytes(32)
  readonly received: WireRecord[] = []
  readonly #socket: Socket
  readonly #key: Uint8Array
  readonly #transcript: Buffer[] = []
  #client = 0
  #clientRandom: Buffer = Buffer.alloc(32)
  #sequence = 0
  #next = 0
  #master: Buffer = Buffer.alloc(0)
  #records: GcmRecords | undefined

  private constructor(socket: Socket, key: Uint8Array) {
    this.#socket = socket
    this.#key = key
    this.port = socket.address().port
    socket.on('message', (datagram, { port }) => {
      this.#client = port
      this.received.push(...recordsOf(datagram))
    })
    socket.on('error', () => {})
  }

  static async create(key: Uint8Array): Promise<DtlsServerPeer> {
    const socket = createSocket('udp4')
    socket.bind(0, LOOPBACK)
    await once(socket, 'listening')
    onTestFinished(() => void socket.close())
    return new DtlsServerPeer(socket, key)
  }

  send(...records: readonly Uint8Array[]): void {
    this.#socket.send(Buffer.concat(records), this.#client, LOOPBACK)
  }

  /** Waits for the ClientHello, which the transcript begins with. */
  async hello(): Promise<void> {
    const hello = await this.#plain(MESSAGE.clientHello)
    this.#clientRandom = hello.fragment.subarray(MESSAGE_HEADER + 2, MESSAGE_HEADER + 34)
    this.#transcript.push(hello.fragment)
    this.#master = masterSecret(this.#key, this.#clientRandom, this.random)
    this.#records = new GcmRecords(this.#master, this.#clientRandom, this.random, true)
  }

  /** A plaintext record with its own next number. */
  plain(type: number, fragment: Uint8Array): Buffer {
    this.#sequence += 1
    return record(type, 0, this.#sequence - 1, fragment)
  }

  /** The next message of the flight; it counts for the Finished. */
  next(type: number, body: Uint8Array): Buffer {
    const made = message(type, this.#next, body)
    this.#next += 1
    this.#transcript.push(made)
    return this.plain(TYPE.handshake, made)
  }

  serverHello(suite: number = SUITE, version: number = DTLS12): Buffer {
    const body = Buffer.concat([u16(version), this.random, Buffer.of(0), u16(suite), Buffer.of(0)])
    return this.next(MESSAGE.serverHello, body)
  }

  seal(type: number, plaintext: Uint8Array, epoch?: number): Buffer {
    return (this.#records as GcmRecords).seal(type, plaintext, epoch)
  }

  /** Waits for the client's last flight; gives the Finished that answers it, unsealed. */
  async finished(): Promise<Buffer> {
    const exchange = await this.#plain(MESSAGE.clientKeyExchange)
    this.#transcript.push(exchange.fragment)
    const theirs = await waitFor('the client’s Finished', () => this.decrypted(TYPE.handshake)[0])
    this.#transcript.push(theirs)
    const hash = createHash('sha256').update(Buffer.concat(this.#transcript)).digest()
    return message(MESSAGE.finished, this.#next, prf(this.#master, 'server finished', hash, 12))
  }

  decrypted(type: number): Buffer[] {
    return this.received
      .filter((each) => each.epoch === 1 && each.type === type)
      .map((each) => (this.#records as GcmRecords).open(each))
      .filter((plaintext) => plaintext !== undefined)
  }

  #plain(type: number): Promise<WireRecord> {
    return waitFor(`handshake message ${type}`, () =>
      this.received.find(
        (each) => each.type === TYPE.handshake && each.epoch === 0 && each.fragment[0] === type,
      ),
    )
  }
}
