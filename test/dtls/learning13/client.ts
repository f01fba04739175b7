// A client of DTLS 1.3 made by hand that says anything at any time, for server-system.ts.

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { clientHelloBody, MESSAGE, MESSAGE_HEADER, message } from '../../support/dtls-wire.js'
import {
  clientHello13,
  finishedOf,
  MESSAGE13,
  publicX25519,
  readServerHello13,
  Secrets13,
  sharedX25519,
  type Traffic13,
  Transcript13,
  TYPE13,
} from '../../support/dtls13-handshake.js'
import { Epoch13, type Opened13 } from '../../support/dtls13-records.js'
import { loopbackSocket } from '../learning/records.js'
import { nameOf } from './names.js'
import { KEYED, Side13, STRANGE } from './side.js'

const LOOPBACK = '127.0.0.1'
export const IDENTITY = Buffer.from('Client1')
const EXCHANGE = generateKeyPairSync('x25519')
const SHARE = publicX25519(EXCHANGE.privateKey)
/** Of the second hello, and of what follows it (RFC 9147 section 5.2). */
const SECOND_HELLO = 1
const FINISHED = 2

/** What anybody can send, without the key. */
export const STRANGERS = [
  'ClientHello',
  'ClientHello without share',
  'ClientHello of DTLS 1.2',
  'ClientHello with cookie, wrong binder',
  'ClientHello with cookie, no share',
  ...STRANGE,
] as const
/** What only the holder of the key can send. */
export const KNOWN = ['ClientHello with cookie', 'Finished', ...KEYED] as const
export type ClientInput = (typeof STRANGERS)[number] | (typeof KNOWN)[number]
type OwnInput = Exclude<ClientInput, (typeof STRANGE)[number] | (typeof KEYED)[number]>

export class Client13 extends Side13<ClientInput> {
  readonly #port: number
  readonly #key: Uint8Array
  readonly #random = randomBytes(32)
  /** The first hello that was sent last, and the HelloRetryRequest that answered one. */
  #first: Buffer = Buffer.alloc(0)
  #retry: { readonly body: Buffer; readonly cookie: Buffer; readonly hello: Buffer } | undefined
  /** Up to the second hello that was sent last. */
  #second: Transcript13 | undefined
  #serverRandom: Buffer = Buffer.alloc(0)
  #transcript = new Transcript13()
  #secrets: Secrets13 | undefined
  #handshake: Traffic13 | undefined

  private constructor(socket: Socket, port: number, key: Uint8Array) {
    super(socket)
    this.#port = port
    this.#key = key
    socket.on('message', (datagram) => this.datagrams.push(datagram))
  }

  static async create(host: string, port: number, key: Uint8Array): Promise<Client13> {
    return new Client13(await loopbackSocket(host), port, key)
  }

  /** Whether there was something to send. */
  send(input: ClientInput): boolean {
    const made = this.made(input)
    if (made) this.socket.send(made, this.#port, LOOPBACK)
    return made !== undefined
  }

  protected override take(opened: Opened13): string | undefined {
    const { type, content } = opened
    if (type !== TYPE13.handshake) return nameOf(opened)
    const body = content.subarray(MESSAGE_HEADER)
    // Each hello gets its own, and at once.
    const asks = content[0] === MESSAGE13.serverHello && readServerHello13(body).retry
    if (!asks && this.keys.repeats(opened)) return undefined
    switch (content[0]) {
      case MESSAGE13.serverHello:
        return this.#takeHello(body)
      case MESSAGE13.encryptedExtensions:
        this.#transcript.add(MESSAGE13.encryptedExtensions, body)
        break
      case MESSAGE13.finished:
        this.#takeFinished(body)
        break
      case MESSAGE13.keyUpdate:
        this.keys.readNext()
        break
    }
    return nameOf(opened)
  }

  #takeHello(body: Buffer): string {
    const hello = readServerHello13(body)
    if (hello.retry) {
      this.#retry = { body, cookie: hello.cookie ?? Buffer.alloc(0), hello: this.#first }
      return hello.group === undefined ? 'HelloRetryRequest' : 'HelloRetryRequest for a share'
    }
    if (this.#second && hello.share && !hello.random.equals(this.#serverRandom)) {
      this.#serverRandom = hello.random
      this.acksSession = false
      this.#transcript = this.#second.copy()
      this.#transcript.add(MESSAGE13.serverHello, body)
      this.#secrets = new Secrets13(this.#key, sharedX25519(EXCHANGE.privateKey, hello.share))
      this.#handshake = this.#secrets.handshake(this.#transcript.hash())
      const { client, server } = this.#handshake
      this.keys.begin(new Epoch13(2, server), new Epoch13(2, client), FINISHED + 1)
    }
    return 'ServerHello'
  }

  /** From here on the client knows all keys. */
  #takeFinished(body: Buffer): void {
    if (!this.#secrets || this.keys.has(3)) return
    this.#transcript.add(MESSAGE13.finished, body)
    const { client, server } = this.#secrets.application(this.#transcript.hash())
    this.keys.addEpoch(new Epoch13(3, server), new Epoch13(3, client))
  }

  protected override ownMade(input: OwnInput): Buffer | undefined {
    switch (input) {
      case 'ClientHello':
        return this.#firstHello(SHARE)
      case 'ClientHello without share':
        return this.#firstHello(undefined)
      case 'ClientHello of DTLS 1.2':
        return this.plain(message(MESSAGE.clientHello, 0, clientHelloBody()))
      case 'ClientHello with cookie':
        return this.#secondHello(SHARE, 0)
      case 'ClientHello with cookie, wrong binder':
        return this.#secondHello(SHARE, 1)
      case 'ClientHello with cookie, no share':
        return this.#secondHello(undefined, 0)
      case 'Finished':
        this.acksSession = this.keys.has(2)
        return this.keys.sealOnce(input, 2, TYPE13.handshake, this.finished())
    }
  }

  #firstHello(share: Buffer | undefined): Buffer {
    this.#first = clientHello13({ random: this.#random, identity: IDENTITY, key: this.#key, share })
    return this.plain(message(MESSAGE13.clientHello, 0, this.#first))
  }

  /** @param damage - what the last byte of the binder is changed by. */
  #secondHello(share: Buffer | undefined, damage: number): Buffer {
    const retry = this.#retry
    const transcript = retry ? Transcript13.afterRetry(retry.hello, retry.body) : new Transcript13()
    const cookie = retry?.cookie ?? Buffer.alloc(32, 7)
    const body = clientHello13({
      random: this.#random,
      identity: IDENTITY,
      key: this.#key,
      share,
      cookie,
      transcript,
    })
    if (damage) {
      body.writeUInt8(body.readUInt8(body.length - 1) ^ damage, body.length - 1)
    } else {
      transcript.add(MESSAGE13.clientHello, body)
      this.#second = transcript
    }
    return this.plain(message(MESSAGE13.clientHello, SECOND_HELLO, body))
  }

  protected override get finishedAt(): number {
    return FINISHED
  }

  protected override verify(): Buffer {
    return this.#handshake
      ? finishedOf(this.#handshake.client, this.#transcript.hash())
      : Buffer.alloc(32, 1)
  }
}
