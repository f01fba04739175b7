// A node of a fleet by docs/FLEET.md and node:crypto alone: what the addon seals it opens, and the other way
// round.

import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

export const KIND = { toOwner: 1, toClient: 2, announcement: 3, question: 4 } as const
const HEADER_BYTES = 25
const TAG_BYTES = 16

export interface FleetMessage {
  readonly kind: number
  readonly thread: number
  readonly to: number
  readonly from: number
  readonly time: number
  readonly address: Buffer
  readonly content: Buffer
}

export interface Sealing {
  readonly to?: number
  readonly thread?: number
  readonly address?: Buffer
  /** Seconds since 1970. */
  readonly time?: number
}

/** An IPv4 address and port as messages have them. */
export function ipv4(host: string, port: number): Buffer {
  return Buffer.from([4, ...host.split('.').map(Number), port >> 8, port & 255])
}

export class FleetPeer {
  readonly socket: Socket
  readonly received: FleetMessage[] = []
  /** The same, as they came. */
  readonly raw: Buffer[] = []
  readonly #key: Buffer
  readonly #node: number
  readonly #sender = randomBytes(8)
  #number = 0

  private constructor(socket: Socket, key: Buffer, node: number) {
    this.socket = socket
    this.#key = key
    this.#node = node
    socket.on('message', (datagram) => {
      this.raw.push(Buffer.from(datagram))
      this.received.push(this.open(datagram))
    })
  }

  static async start(key: Buffer, node: number): Promise<FleetPeer> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    onTestFinished(() => void socket.close())
    return new FleetPeer(socket, key, node)
  }

  get port(): number {
    return this.socket.address().port
  }

  send(port: number, message: Buffer): void {
    this.socket.send(message, port, '127.0.0.1')
  }

  seal(kind: number, content: Buffer, given: Sealing = {}): Buffer {
    const { to = 0, thread = 0, address = Buffer.alloc(0), time = Date.now() / 1_000 } = given
    this.#number += 1
    const header = Buffer.alloc(HEADER_BYTES)
    header.set([0xe1, thread, kind])
    header.writeUInt32BE(to, 3)
    header.writeUInt32BE(this.#node, 7)
    header.set(this.#sender, 11)
    header.writeUIntBE(this.#number, 19, 6)
    const plain = Buffer.concat([Buffer.alloc(4), Buffer.from([address.length]), address, content])
    plain.writeUInt32BE(Math.floor(time), 0)
    const cipher = createCipheriv('aes-256-gcm', this.#keyOf(header), nonceOf(header))
    cipher.setAAD(header)
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
    return Buffer.concat([header, sealed, cipher.getAuthTag()])
  }

  open(message: Buffer): FleetMessage {
    const header = message.subarray(0, HEADER_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', this.#keyOf(header), nonceOf(header))
    decipher.setAAD(header)
    decipher.setAuthTag(message.subarray(-TAG_BYTES))
    const sealed = message.subarray(HEADER_BYTES, -TAG_BYTES)
    const plain = Buffer.concat([decipher.update(sealed), decipher.final()])
    const end = 5 + (plain[4] as number)
    return {
      kind: header[2] as number,
      thread: header[1] as number,
      to: header.readUInt32BE(3),
      from: header.readUInt32BE(7),
      time: plain.readUInt32BE(0),
      address: plain.subarray(5, end),
      content: plain.subarray(end),
    }
  }

  /** What an announcement of these node IDs has, claimed now or then. */
  claims(nodes: readonly number[], since = Date.now()): Buffer {
    return Buffer.concat(
      nodes.map((node) => {
        const claim = Buffer.alloc(10)
        claim.writeUInt32BE(node, 0)
        claim.writeUIntBE(since, 4, 6)
        return claim
      }),
    )
  }

  /** HKDF-Expand (RFC 5869 section 2.3), one block: label, from, sender. */
  #keyOf(header: Buffer): Buffer {
    return createHmac('sha256', this.#key)
      .update('mcbn fleet 1')
      .update(header.subarray(7, 19))
      .update(Buffer.from([1]))
      .digest()
  }
}

function nonceOf(header: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(6), header.subarray(19, 25)])
}
