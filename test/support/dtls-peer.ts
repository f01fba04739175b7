// A DTLS 1.2 client of a few lines that does what it is told, also what is forbidden: it knows the key and
// TLS_PSK_WITH_AES_128_GCM_SHA256 (RFC 5487, RFC 5288), connection IDs (RFC 9146), and nothing else.

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { CBC_SUITE, CbcRecords } from './dtls-cbc.js'
import { explicitNonce, masterSecret, prf } from './dtls-gcm.js'
import {
  clientHelloBody,
  cookieOf,
  DTLS10,
  DTLS12,
  MESSAGE,
  MESSAGE_HEADER,
  message,
  RECORD_HEADER,
  record,
  recordsOf,
  TYPE,
  u16,
  type WireRecord,
} from './dtls-wire.js'
import { waitFor } from './wait.js'

const LOOPBACK = '127.0.0.1'
const TAG = 16
const EXPLICIT_NONCE = 8
const CONNECTION_ID = 54
const RETURN_ROUTABILITY_CHECK = 61

interface Keys {
  readonly write: Buffer
  readonly read: Buffer
  readonly writeSalt: Buffer
  readonly readSalt: Buffer
}

export interface PeerOptions {
  readonly port: number
  readonly identity: Uint8Array
  readonly key: Uint8Array
  readonly extensions?: Buffer
  /** Offers TLS_PSK_WITH_AES_128_CBC_SHA instead. */
  readonly cbc?: boolean
  /** Offers connection IDs, this one for records to us; may be empty. */
  readonly connectionId?: Buffer
  /** With `connectionId`: offers the return routability check (RFC 9853). */
  readonly returnRoutability?: boolean
}

/** What a record with a connection ID may have differently. */
export interface CidRecord {
  readonly sequence?: number
  /** Instead of the server's. */
  readonly id?: Buffer
  /** Zeros behind the type. */
  readonly padding?: number
  /** Instead of content, type and padding. */
  readonly inner?: Buffer
}

export class DtlsPeer {
  readonly socket: Socket
  readonly random = randomBytes(32)
  /** Every record that came, in order. */
  readonly received: WireRecord[] = []
  /** Datagrams that came. */
  datagrams = 0
  /** The first flight's datagrams, to be sent again. */
  helloWithCookie: Buffer = Buffer.alloc(0)
  /** ClientKeyExchange, ChangeCipherSpec, Finished. */
  lastFlight: Buffer[] = []
  readonly #options: PeerOptions
  readonly #transcript: Buffer[] = []
  #master: Buffer = Buffer.alloc(0)
  #exchange: Buffer = Buffer.alloc(0)
  #finished: Buffer = Buffer.alloc(0)
  #keys: Keys | undefined
  #cbc: CbcRecords | undefined
  readonly #sequences: [number, number] = [0, 0]
  /** What the server wants to find in records; undefined if it agreed to no IDs. */
  serverConnectionId: Buffer | undefined
  /** Whether the server agreed to the return routability check. */
  checksRoutability = false

  private constructor(options: PeerOptions, socket: Socket) {
    this.#options = options
    this.socket = socket
    socket.on('message', (datagram) => {
      this.datagrams += 1
      this.received.push(...recordsOf(datagram, options.connectionId?.length))
    })
    socket.on('error', () => {})
  }

  static async create(options: PeerOptions): Promise<DtlsPeer> {
    const socket = createSocket('udp4')
    socket.bind(0, LOOPBACK)
    await once(socket, 'listening')
    const peer = new DtlsPeer(options, socket)
    onTestFinished(() => peer.close())
    return peer
  }

  /** Another client on a socket that a client has used: a restart, from the server's side. */
  static on(socket: Socket, options: PeerOptions): DtlsPeer {
    return new DtlsPeer(options, socket)
  }

  close(): void {
    try {
      this.socket.close()
    } catch {
      // closed before
    }
  }

  /** Sends a datagram as it is. */
  send(datagram: Uint8Array): void {
    this.socket.send(datagram, this.#options.port, LOOPBACK)
  }

  /** A record of epoch 0 with its own next sequence number. */
  plain(type: number, fragment: Uint8Array, version: number = DTLS12): Buffer {
    const sequence = this.#sequences[0]
    this.#sequences[0] += 1
    return record(type, 0, sequence, fragment, version)
  }

  /** Flights 1 to 4 of RFC 6347 section 4.2.4: until the ServerHelloDone has come. */
  async hello(): Promise<void> {
    const extensions = extensionsOf(this.#options)
    const suites = this.#options.cbc ? [CBC_SUITE] : undefined
    const parts = {
      random: this.random,
      ...(extensions && { extensions }),
      ...(suites && { suites }),
    }
    const first = message(MESSAGE.clientHello, 0, clientHelloBody(parts))
    this.send(this.plain(TYPE.handshake, first, DTLS10))
    const verify = await this.#message(MESSAGE.helloVerifyRequest)
    const cookie = cookieOf(verify.whole) as Buffer
    const second = message(MESSAGE.clientHello, 1, clientHelloBody({ ...parts, cookie }))
    this.#transcript.push(second)
    this.helloWithCookie = this.plain(TYPE.handshake, second, DTLS10)
    this.send(this.helloWithCookie)
    const serverHello = await this.#message(MESSAGE.serverHello)
    await this.#message(MESSAGE.serverHelloDone)
    for (const each of this.received) {
      const kind = each.type === TYPE.handshake && each.epoch === 0 ? each.fragment[0] : undefined
      if (kind === undefined || kind === MESSAGE.helloVerifyRequest) continue
      if (this.#transcript.some((known) => known.equals(each.fragment))) continue
      this.#transcript.push(each.fragment)
    }
    const serverRandom = serverHello.fragment.subarray(MESSAGE_HEADER + 2, MESSAGE_HEADER + 34)
    this.#derive(serverRandom)
    const answered = answeredExtensions(serverHello.fragment.subarray(MESSAGE_HEADER))
    this.serverConnectionId = answered.get(CONNECTION_ID)?.subarray(1)
    this.checksRoutability = answered.has(RETURN_ROUTABILITY_CHECK)
  }

  /** Flight 5, ready to be sent. */
  makeLastFlight(): Buffer[] {
    const { identity } = this.#options
    const exchange = message(
      MESSAGE.clientKeyExchange,
      2,
      Buffer.concat([u16(identity.length), identity]),
    )
    this.#transcript.push(exchange)
    this.#exchange = exchange
    const hash = createHash('sha256').update(Buffer.concat(this.#transcript)).digest()
    const finished = message(MESSAGE.finished, 3, prf(this.#master, 'client finished', hash, 12))
    this.#finished = finished
    this.lastFlight = [
      this.plain(TYPE.handshake, exchange),
      this.plain(TYPE.changeCipherSpec, Buffer.from([1])),
      this.protect(TYPE.handshake, finished),
    ]
    return this.lastFlight
  }

  /** Flight 5 as it is repeated when nobody answers: the same messages in new records. */
  lastFlightAgain(): Buffer {
    return Buffer.concat([
      this.plain(TYPE.handshake, this.#exchange),
      this.plain(TYPE.changeCipherSpec, Buffer.from([1])),
      this.protect(TYPE.handshake, this.#finished),
    ])
  }

  /** A whole handshake. */
  async open(): Promise<this> {
    await this.hello()
    this.send(Buffer.concat(this.makeLastFlight()))
    await waitFor('the server’s Finished', () => this.finished)
    return this
  }

  /** Whether a record came that only the holder of the key can have made as Finished. */
  get finished(): boolean {
    return this.decrypted(TYPE.handshake).some((bytes) => bytes[0] === MESSAGE.finished)
  }

  /** What came in epoch 1 of a type, decrypted. */
  decrypted(type: number): Buffer[] {
    const plain = this.received
      .filter((each) => each.epoch === 1 && each.type === type)
      .map((each) => this.#unseal(each))
    const withId = this.received
      .filter((each) => each.epoch === 1 && each.type === TYPE.tls12Cid)
      .map((each) => this.#unsealCid(each))
      .filter((inner) => inner?.type === type)
      .map((inner) => inner?.content)
    return [...plain, ...withId].filter((plaintext) => plaintext !== undefined)
  }

  /** Alerts in the clear: [level, description]. */
  get plainAlerts(): [number, number][] {
    return this.received
      .filter(({ type, epoch }) => type === TYPE.alert && epoch === 0)
      .map(({ fragment }) => [fragment[0] ?? -1, fragment[1] ?? -1])
  }

  /** An authentic record of epoch 1. */
  seal(type: number, plaintext: Uint8Array, sequence: number = this.#sequences[1]): Buffer {
    const keys = this.#keys as Keys
    this.#sequences[1] = Math.max(this.#sequences[1], sequence + 1)
    if (this.#cbc) return this.#cbc.seal(type, plaintext, sequence)
    const explicit = explicitNonce(1, sequence)
    const nonce = Buffer.concat([keys.writeSalt, explicit])
    const cipher = createCipheriv('aes-128-gcm', keys.write, nonce)
    cipher.setAAD(
      Buffer.concat([explicit, Buffer.from([type]), u16(DTLS12), u16(plaintext.length)]),
    )
    const sealed = Buffer.concat([cipher.update(plaintext), cipher.final()])
    return record(type, 1, sequence, Buffer.concat([explicit, sealed, cipher.getAuthTag()]))
  }

  /** The same as the server wants it: with its connection ID, if it has one. */
  protect(type: number, plaintext: Uint8Array): Buffer {
    return this.serverConnectionId?.length
      ? this.sealCid(type, plaintext)
      : this.seal(type, plaintext)
  }

  /** An authentic record with a connection ID (RFC 9146 sections 4 and 5.3). */
  sealCid(type: number, content: Uint8Array, how: CidRecord = {}): Buffer {
    const keys = this.#keys as Keys
    const sequence = how.sequence ?? this.#sequences[1]
    this.#sequences[1] = Math.max(this.#sequences[1], sequence + 1)
    const id = how.id ?? (this.serverConnectionId as Buffer)
    const inner =
      how.inner ?? Buffer.concat([content, Buffer.from([type]), Buffer.alloc(how.padding ?? 0)])
    const explicit = explicitNonce(1, sequence)
    const cipher = createCipheriv(
      'aes-128-gcm',
      keys.write,
      Buffer.concat([keys.writeSalt, explicit]),
    )
    cipher.setAAD(cidAdditionalData(explicit, id, inner.length))
    const sealed = Buffer.concat([cipher.update(inner), cipher.final()])
    const fragment = Buffer.concat([explicit, sealed, cipher.getAuthTag()])
    const header = record(TYPE.tls12Cid, 1, sequence, Buffer.alloc(0)).subarray(0, -2)
    return Buffer.concat([header, id, u16(fragment.length), fragment])
  }

  sendSealed(type: number, plaintext: Uint8Array): void {
    this.send(this.seal(type, plaintext))
  }

  #unsealCid({ fragment, whole }: WireRecord): { type: number; content: Buffer } | undefined {
    const { connectionId = Buffer.alloc(0) } = this.#options
    const length = fragment.length - EXPLICIT_NONCE - TAG
    const additional = cidAdditionalData(whole.subarray(3, 11), connectionId, length)
    const inner = this.#open(fragment, additional)
    const end = inner?.findLastIndex((byte) => byte !== 0) ?? -1
    if (!inner || end < 0) return undefined
    return { type: inner[end] as number, content: inner.subarray(0, end) }
  }

  #unseal(received: WireRecord): Buffer | undefined {
    if (this.#cbc) return this.#cbc.open(received)
    const { type, fragment, whole } = received
    // epoch and sequence number as they are in the header (RFC 5246 section 6.2.3.3)
    const sequence = whole.subarray(3, RECORD_HEADER - 2)
    const length = fragment.length - EXPLICIT_NONCE - TAG
    const head = Buffer.concat([sequence, Buffer.from([type]), u16(DTLS12), u16(length)])
    return this.#open(fragment, head)
  }

  #open(fragment: Buffer, additional: Buffer): Buffer | undefined {
    const keys = this.#keys as Keys
    const explicit = fragment.subarray(0, EXPLICIT_NONCE)
    const nonce = Buffer.concat([keys.readSalt, explicit])
    const decipher = createDecipheriv('aes-128-gcm', keys.read, nonce)
    decipher.setAAD(additional)
    decipher.setAuthTag(fragment.subarray(-TAG))
    try {
      const text = fragment.subarray(EXPLICIT_NONCE, -TAG)
      return Buffer.concat([decipher.update(text), decipher.final()])
    } catch {
      return undefined
    }
  }

  #message(type: number): Promise<WireRecord> {
    return waitFor(`handshake message ${type}`, () =>
      this.received.find(
        (each) => each.type === TYPE.handshake && each.epoch === 0 && each.fragment[0] === type,
      ),
    )
  }

  #derive(serverRandom: Buffer): void {
    const { key } = this.#options
    this.#master = masterSecret(key, this.random, serverRandom)
    if (this.#options.cbc) {
      this.#cbc = new CbcRecords(this.#master, this.random, serverRandom, false)
    }
    const block = prf(
      this.#master,
      'key expansion',
      Buffer.concat([serverRandom, this.random]),
      16 * 2 + 4 * 2,
    )
    this.#keys = {
      write: block.subarray(0, 16),
      read: block.subarray(16, 32),
      writeSalt: block.subarray(32, 36),
      readSalt: block.subarray(36, 40),
    }
  }
}

/** RFC 9146 section 5.3; `number`: epoch and sequence number. */
function cidAdditionalData(number: Buffer, id: Buffer, innerLength: number): Buffer {
  return Buffer.concat([
    Buffer.alloc(8, 0xff),
    Buffer.from([TYPE.tls12Cid, id.length, TYPE.tls12Cid]),
    u16(DTLS12),
    number,
    id,
    u16(innerLength),
  ])
}

function extension(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([u16(type), u16(data.length), data])
}

function extensionsOf(options: PeerOptions): Buffer | undefined {
  const { extensions, connectionId, returnRoutability } = options
  if (!connectionId) return extensions
  const id = Buffer.concat([Buffer.from([connectionId.length]), connectionId])
  const check = returnRoutability ? [extension(RETURN_ROUTABILITY_CHECK, Buffer.alloc(0))] : []
  return Buffer.concat([extensions ?? Buffer.alloc(0), extension(CONNECTION_ID, id), ...check])
}

/** Of a ServerHello's body. */
function answeredExtensions(body: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>()
  const session = body[34] as number
  for (let at = 35 + session + 3 + 2; at + 4 <= body.length; ) {
    const end = at + 4 + body.readUInt16BE(at + 2)
    found.set(body.readUInt16BE(at), body.subarray(at + 4, end))
    at = end
  }
  return found
}
