// Strangers beside the path of a client, which talks through this process: they see where its datagrams come
// from and go to, send to both sides in each other's name, and have no key.
//
//   forged <port> <rate> <seconds>     what anybody can make up, to both
//   verifies <port> <rate> <seconds>   HelloVerifyRequests to the client, numbered for its first hello
//   cookies <port> <rate> <seconds>    the same, with every number that a client may expect
//   session <port> <rate> <seconds>    records of an open session, to both; with its connection IDs, if it has some
//
// Prints relay, a port. Bounded in count and time; everything stays in 127.0.0.0/8.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  alert,
  MESSAGE,
  message,
  RECORD_HEADER,
  record,
  TYPE,
  verifyRequest,
} from '../../test/support/dtls-wire.js'
import { say } from './counting.js'
import { HOST } from './credentials.js'
import { bound, flood } from './flood.js'

const [role, port = '', rate = '', seconds = ''] = process.argv.slice(2)
const CLIENT = '127.0.0.9'
const FAR = 2 ** 48 - 1
/** Both sides of these sessions have IDs this long. */
const ID_BYTES = 8

/** Passes on what a client and the server say, a new port of ours for each port of the client's. */
class Path {
  readonly #front: Socket
  #client = 0
  #back: Promise<Socket> | undefined
  /** The connection IDs seen in records to each side. */
  idOfServer: Buffer | undefined
  idOfClient: Buffer | undefined

  constructor(front: Socket) {
    this.#front = front
    front.on('message', (datagram, from) => {
      if (from.port !== this.#client) this.#moved(from.port)
      this.idOfServer = idOf(datagram) ?? this.idOfServer
      this.toServer(datagram)
    })
  }

  #moved(client: number): void {
    this.#client = client
    this.#back?.then((old) => old.close())
    this.#back = this.#way(client)
  }

  async #way(client: number): Promise<Socket> {
    const fresh = await bound('127.0.0.7')
    fresh.on('message', (answer) => {
      this.idOfClient = idOf(answer) ?? this.idOfClient
      this.#front.send(answer, client, CLIENT)
    })
    return fresh
  }

  /** In this order; what comes while the socket is made waits for it. */
  toServer(datagram: Buffer): void {
    this.#back?.then((back) => back.send(datagram, Number(port), HOST))
  }

  toClient(forgery: Buffer): void {
    if (this.#client !== 0) this.#front.send(forgery, this.#client, CLIENT)
  }
}

function idOf(datagram: Buffer): Buffer | undefined {
  if (datagram[0] !== TYPE.tls12Cid) return undefined
  // Between the record's number and its length (RFC 9146 section 4).
  return Buffer.from(datagram.subarray(RECORD_HEADER - 2, RECORD_HEADER - 2 + ID_BYTES))
}

type Forgery = () => Buffer

const TO_CLIENT: readonly Forgery[] = [
  () => record(TYPE.handshake, 1, 0, randomBytes(40)),
  () => record(TYPE.applicationData, 1, 1, randomBytes(60)),
  () => alert(2, 40, 9),
  () => record(TYPE.applicationData, 0, FAR, randomBytes(20)),
]
/** The same to the server, and a part of a key exchange. */
const TO_SERVER: readonly Forgery[] = [
  ...TO_CLIENT,
  () => {
    const part = message(MESSAGE.clientKeyExchange, 2, Buffer.alloc(4), { total: 20 })
    return record(TYPE.handshake, 0, 9, part)
  },
]

function forged(path: Path, index: number): void {
  const toServer = index % 2 === 0
  const kinds = toServer ? TO_SERVER : TO_CLIENT
  const forgery = (kinds[(index >> 1) % kinds.length] as Forgery)()
  toServer ? path.toServer(forgery) : path.toClient(forgery)
}

/** A record as this session has them, with a number near the latest. */
function sessionRecord(id: Buffer | undefined, index: number): Buffer {
  const made = record(
    id ? TYPE.tls12Cid : TYPE.applicationData,
    1,
    1 + (index % 5_000),
    randomBytes(48),
  )
  if (!id) return made
  const head = RECORD_HEADER - 2
  return Buffer.concat([made.subarray(0, head), id, made.subarray(head)])
}

const FLOODS: Readonly<Record<string, (path: Path, index: number) => void>> = {
  forged,
  verifies: (path) => path.toClient(verifyRequest(0)),
  cookies: (path, index) => path.toClient(verifyRequest(index % 5)),
  session: (path, index) =>
    index % 2 === 0
      ? path.toServer(sessionRecord(path.idOfServer, index >> 1))
      : path.toClient(sessionRecord(path.idOfClient, index >> 1)),
}

const front = await bound(HOST)
const path = new Path(front)
say('relay', front.address().port)
await flood(Number(rate), Number(seconds), (index) => FLOODS[`${role}`]?.(path, index))
// What is under way may come to its end.
await sleep(3_000)
process.exit(0)
