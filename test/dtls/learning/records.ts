// What both systems under learning share: records by name, keys, the transcript.

import { createHash } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { GcmRecords, masterSecret, prf } from '../../support/dtls-gcm.js'
import {
  MESSAGE,
  MESSAGE_HEADER,
  message,
  record,
  recordsOf,
  TYPE,
  type WireRecord,
} from '../../support/dtls-wire.js'
import { SILENCE } from './mealy.js'

const NAMES: Readonly<Record<number, string>> = {
  [MESSAGE.helloRequest]: 'HelloRequest',
  [MESSAGE.clientHello]: 'ClientHello',
  [MESSAGE.serverHello]: 'ServerHello',
  [MESSAGE.helloVerifyRequest]: 'HelloVerifyRequest',
  [MESSAGE.serverKeyExchange]: 'ServerKeyExchange',
  [MESSAGE.serverHelloDone]: 'ServerHelloDone',
  [MESSAGE.clientKeyExchange]: 'ClientKeyExchange',
  [MESSAGE.finished]: 'Finished',
}
const DESCRIPTIONS: Readonly<Record<number, string>> = {
  0: 'close_notify',
  100: 'no_renegotiation',
}

/** What mcbn has at its end of every learnt handshake; its timers are longer than any word takes. */
export const SETTINGS = {
  ciphers: 'PSK-AES128-GCM-SHA256',
  handshakeTimeout: 600_000,
  retransmitTimeout: 60_000,
} as const

/** A socket for the end that is made by hand. Its user closes it, since words are asked before any test begins. */
export async function loopbackSocket(host = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, host)
  await once(socket, 'listening')
  return socket
}

/** One side of a handshake, made by hand: keys as soon as both randoms are known. */
export class Side {
  readonly #key: Uint8Array
  readonly #isServer: boolean
  #number = 0
  #transcript: Buffer[] = []
  #master: Buffer = Buffer.alloc(48)
  #records: GcmRecords | undefined
  readonly #waiting = new Set<string>()

  constructor(key: Uint8Array, isServer: boolean) {
    this.#key = key
    this.#isServer = isServer
  }

  /** A record of epoch 0 with its own next number. */
  plain(type: number, fragment: Uint8Array): Buffer {
    this.#number += 1
    return record(type, 0, this.#number - 1, fragment)
  }

  /**
   * In epoch 1, or in the clear before there are keys. Nothing for a name that was not answered yet: what waits for
   * its time was sent once.
   */
  sealed(name: string, type: number, content: Uint8Array): Buffer | undefined {
    if (!this.#records) return this.plain(type, content)
    if (this.#waiting.has(name)) return undefined
    this.#waiting.add(name)
    return this.#records.seal(type, content)
  }

  /** Something was answered: what is sent from now on is new. */
  forget(): void {
    this.#waiting.clear()
  }

  /** The handshake begins with this message, anew unless it is the same. */
  beginTranscript(first: Buffer): void {
    if (!this.#transcript[0]?.equals(first)) this.#transcript = [first]
  }

  /** Repeated messages count once. */
  note(handshake: Buffer): void {
    if (!this.#transcript.some((known) => known.equals(handshake))) this.#transcript.push(handshake)
  }

  derive(client: Uint8Array, server: Uint8Array): void {
    this.#master = masterSecret(this.#key, client, server)
    this.#records = new GcmRecords(this.#master, client, server, this.#isServer)
    this.#waiting.clear()
  }

  finished(sequence: number): Buffer {
    const label = this.#isServer ? 'server finished' : 'client finished'
    const hash = createHash('sha256').update(Buffer.concat(this.#transcript)).digest()
    return message(MESSAGE.finished, sequence, prf(this.#master, label, hash, 12))
  }

  /** A record by name, with what it holds; sealed records that cannot be read are `sealed`. */
  read(received: WireRecord): { readonly name: string; readonly content: Buffer } {
    const { type, epoch, fragment } = received
    const content = epoch === 0 ? fragment : this.#records?.open(received)
    if (!content) return { name: 'sealed', content: fragment }
    const mark = epoch === 0 ? '' : '*'
    return { name: `${nameOf(type, content)}${mark}`, content }
  }
}

function nameOf(type: number, content: Buffer): string {
  switch (type) {
    case TYPE.handshake:
      return NAMES[content[0] ?? -1] ?? `message ${content[0]}`
    case TYPE.changeCipherSpec:
      return 'ChangeCipherSpec'
    case TYPE.applicationData:
      return 'ApplicationData'
    case TYPE.alert:
      return `Alert ${DESCRIPTIONS[content[1] ?? -1] ?? content[1]}`
    default:
      return `type ${type}`
  }
}

/** Names in order; how many of one kind come one after another is no part of it. */
export function answerOf(names: readonly string[]): string {
  return names.filter((name, index) => name !== names[index - 1]).join(', ') || SILENCE
}

/** The records of datagrams in order; a datagram more or less makes no difference. */
export function allRecords(datagrams: readonly Buffer[]): WireRecord[] {
  return datagrams.flatMap((datagram) => recordsOf(datagram))
}

/** Of a hello's fragment: the random. */
export function randomOf(hello: Buffer): Buffer {
  return hello.subarray(MESSAGE_HEADER + 2, MESSAGE_HEADER + 34)
}
