// A server of DTLS 1.3 made by hand that says anything at any time, for client-system.ts.

import { createECDH, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { DTLS12, MESSAGE, MESSAGE_HEADER, message, SUITE, u16 } from '../../support/dtls-wire.js'
import {
  finishedOf,
  MESSAGE13,
  P256,
  publicX25519,
  readClientHello13,
  retryRequest13,
  Secrets13,
  serverHello13,
  sharedX25519,
  type Traffic13,
  Transcript13,
  TYPE13,
  X25519,
} from '../../support/dtls13-handshake.js'
import { Epoch13, type Opened13 } from '../../support/dtls13-records.js'
import { loopbackSocket } from '../learning/records.js'
import { nameOf } from './names.js'
import { KEYED, Side13, STRANGE } from './side.js'

const LOOPBACK = '127.0.0.1'
const X25519_EXCHANGE = generateKeyPairSync('x25519').privateKey
const SHARE = publicX25519(X25519_EXCHANGE)
const P256_EXCHANGE = createECDH('prime256v1')
const P256_SHARE = P256_EXCHANGE.generateKeys()
const CHACHA20 = 0x1303
const NO_EXTENSIONS = u16(0)

/** What anybody can send who has seen the client's hello. */
export const STRANGERS = [
  'HelloVerifyRequest',
  'ServerHello of DTLS 1.2',
  'ServerHello with another suite',
  'ServerHello with a group not asked for',
  'EncryptedExtensions in the clear',
  ...STRANGE,
] as const
export const KNOWN = [
  'HelloRetryRequest',
  'HelloRetryRequest for P-256',
  'another HelloRetryRequest',
  'ServerHello',
  'EncryptedExtensions',
  'Finished',
  'NewSessionTicket',
  ...KEYED,
] as const
export type ServerMessage = (typeof STRANGERS)[number] | (typeof KNOWN)[number]
type OwnMessage = Exclude<ServerMessage, (typeof STRANGE)[number] | (typeof KEYED)[number]>

const COOKIES: Readonly<Record<string, Buffer>> = {
  HelloRetryRequest: Buffer.alloc(20, 1),
  'HelloRetryRequest for P-256': Buffer.alloc(20, 2),
  'another HelloRetryRequest': Buffer.alloc(20, 3),
}

export class Server13 extends Side13<ServerMessage> {
  readonly port: number
  readonly #key: Uint8Array
  readonly #random = randomBytes(32)
  #client = 0
  #first: Buffer = Buffer.alloc(0)
  /** The client's hello that came last, and what its ServerHello says. */
  #hello: { readonly body: Buffer; readonly sequence: number } = {
    body: Buffer.alloc(0),
    sequence: 0,
  }
  #transcript = new Transcript13()
  #answered: Buffer | undefined
  #handshake: Traffic13 | undefined

  private constructor(socket: Socket, key: Uint8Array) {
    super(socket)
    this.port = socket.address().port
    this.#key = key
    socket.on('message', (datagram, { port }) => {
      this.#client = port
      this.datagrams.push(datagram)
    })
  }

  static async create(key: Uint8Array): Promise<Server13> {
    return new Server13(await loopbackSocket(), key)
  }

  async firstHello(): Promise<void> {
    if (this.datagrams.length === 0) await once(this.socket, 'message')
    this.answers(false)
  }

  /** Whether there was something to send. */
  send(input: ServerMessage): boolean {
    const made = this.made(input)
    if (made) this.sendRaw(made)
    return made !== undefined
  }

  sendRaw(datagram: Buffer): void {
    this.socket.send(datagram, this.#client, LOOPBACK)
  }

  protected override take(opened: Opened13): string | undefined {
    const { type, content } = opened
    if (type !== TYPE13.handshake) return nameOf(opened)
    if (this.keys.repeats(opened)) return undefined
    const body = content.subarray(MESSAGE_HEADER)
    if (content[0] === MESSAGE13.clientHello) {
      const sequence = content.readUInt16BE(4)
      this.#hello = { body, sequence }
      if (sequence === 0) this.#first = body
      const { cookie, shareOf } = readClientHello13(body)
      if (!cookie) return 'ClientHello'
      return `ClientHello with cookie${shareOf(P256) ? ' and P-256' : ''}`
    }
    if (content[0] === MESSAGE13.finished) this.acksSession = true
    if (content[0] === MESSAGE13.keyUpdate) this.keys.readNext()
    return nameOf(opened)
  }

  protected override ownMade(input: OwnMessage): Buffer | undefined {
    const { keys } = this
    const next = this.#hello.sequence + 1
    switch (input) {
      case 'HelloRetryRequest':
      case 'another HelloRetryRequest':
      case 'HelloRetryRequest for P-256':
        return this.plain(message(MESSAGE13.serverHello, 0, requestOf(input)))
      case 'HelloVerifyRequest': {
        const body = Buffer.concat([u16(DTLS12), Buffer.of(20), Buffer.alloc(20, 7)])
        return this.plain(message(MESSAGE.helloVerifyRequest, 0, body))
      }
      case 'ServerHello of DTLS 1.2': {
        const body = [u16(DTLS12), this.#random, Buffer.of(0), u16(SUITE), Buffer.of(0)]
        return this.#clear(MESSAGE.serverHello, Buffer.concat(body))
      }
      case 'ServerHello with another suite':
        return this.#clear(
          MESSAGE13.serverHello,
          serverHello13({ random: this.#random, share: SHARE, suite: CHACHA20 }),
        )
      case 'ServerHello with a group not asked for':
        return this.#clear(
          MESSAGE13.serverHello,
          serverHello13({ random: this.#random, share: SHARE, group: 0x1234 }),
        )
      case 'ServerHello':
        return this.#clear(MESSAGE13.serverHello, this.#serverHello())
      case 'EncryptedExtensions':
        return keys.seal(2, TYPE13.handshake, this.#extensions(next))
      case 'EncryptedExtensions in the clear':
        return this.plain(this.#extensions(next))
      case 'Finished':
        return keys.seal(2, TYPE13.handshake, this.finished())
      case 'NewSessionTicket':
        return keys.post(MESSAGE13.newSessionTicket, TICKET)
    }
  }

  /** The message of ours that answers the hello that came last. */
  #clear(type: number, body: Buffer): Buffer {
    return this.plain(message(type, this.#hello.sequence, body))
  }

  /** The same for the same hello; with it the keys of both epochs are known. */
  #serverHello(): Buffer {
    const { body, sequence } = this.#hello
    const { cookie, shareOf } = readClientHello13(body)
    const group = shareOf(P256) ? P256 : X25519
    const share = group === P256 ? P256_SHARE : SHARE
    const hello = serverHello13({ random: this.#random, group, share })
    if (this.#answered === body) return hello
    this.#answered = body
    const theirs = shareOf(group) ?? Buffer.alloc(0)
    const shared =
      group === P256 ? P256_EXCHANGE.computeSecret(theirs) : sharedX25519(X25519_EXCHANGE, theirs)
    const request = Object.entries(COOKIES).find(([, each]) => cookie?.equals(each))
    const transcript = request
      ? Transcript13.afterRetry(this.#first, requestOf(request[0]))
      : new Transcript13()
    transcript.add(MESSAGE13.clientHello, body)
    transcript.add(MESSAGE13.serverHello, hello)
    const secrets = new Secrets13(this.#key, shared)
    this.#handshake = secrets.handshake(transcript.hash())
    this.keys.begin(
      new Epoch13(2, this.#handshake.client),
      new Epoch13(2, this.#handshake.server),
      sequence + 3,
    )
    transcript.add(MESSAGE13.encryptedExtensions, NO_EXTENSIONS)
    this.#transcript = transcript.copy()
    transcript.add(MESSAGE13.finished, this.verify())
    const { client, server } = secrets.application(transcript.hash())
    this.keys.addEpoch(new Epoch13(3, client), new Epoch13(3, server))
    this.acksSession = false
    return hello
  }

  #extensions(sequence: number): Buffer {
    return message(MESSAGE13.encryptedExtensions, sequence, NO_EXTENSIONS)
  }

  protected override get finishedAt(): number {
    return this.#hello.sequence + 2
  }

  protected override verify(): Buffer {
    return this.#handshake
      ? finishedOf(this.#handshake.server, this.#transcript.hash())
      : Buffer.alloc(32, 1)
  }
}

/** Lifetime, age_add, nonce, ticket, no extensions (RFC 8446 section 4.6.1). */
const TICKET = Buffer.concat([Buffer.alloc(8, 1), Buffer.of(1, 1), u16(4), Buffer.alloc(4), u16(0)])

function requestOf(name: string): Buffer {
  return retryRequest13(COOKIES[name] as Buffer, name.endsWith('P-256') ? P256 : undefined)
}
