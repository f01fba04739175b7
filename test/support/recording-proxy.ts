// A UDP relay for many clients that keeps every datagram, and can send the clients' once more.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

const LOOPBACK = '127.0.0.1'
const BUFFER = 4_194_304

/** What passed between one client and the server. */
export interface Recorded {
  /** The client's. */
  readonly port: number
  readonly toServer: Buffer[]
  readonly toClient: Buffer[]
}

export class RecordingProxy {
  readonly #front: Socket
  readonly #server: number
  readonly #host: string
  readonly #clients = new Map<number, Recorded & { readonly back: Socket }>()

  private constructor(front: Socket, server: number, host: string) {
    this.#front = front
    this.#server = server
    this.#host = host
    front.on('message', (bytes, { port }) => this.#forward(bytes, port))
  }

  /** @param server - its port on `host`; it may come and go. */
  static async open(server: number, host: string): Promise<RecordingProxy> {
    const front = createSocket({ type: 'udp4', recvBufferSize: BUFFER, sendBufferSize: BUFFER })
    front.bind(0, LOOPBACK)
    await once(front, 'listening')
    return new RecordingProxy(front, server, host)
  }

  get port(): number {
    return this.#front.address().port
  }

  get recorded(): Recorded[] {
    return [...this.#clients.values()]
  }

  /** Everything that clients have sent so far. @returns how many datagrams. */
  async replay(): Promise<number> {
    let count = 0
    for (const { back, toServer } of this.#clients.values()) {
      for (const bytes of [...toServer]) {
        back.send(bytes, this.#server, this.#host)
        count += 1
        // No more at once than buffers take.
        if (count % 256 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    return count
  }

  close(): void {
    this.#front.close()
    for (const { back } of this.#clients.values()) back.close()
  }

  #forward(bytes: Buffer, port: number): void {
    const client = this.#clients.get(port) ?? this.#welcome(port)
    client.toServer.push(bytes)
    client.back.send(bytes, this.#server, this.#host)
  }

  #welcome(port: number): Recorded & { readonly back: Socket } {
    const back = createSocket({ type: 'udp4' })
    const client = { port, back, toServer: [] as Buffer[], toClient: [] as Buffer[] }
    back.on('error', () => {})
    back.on('message', (bytes) => {
      client.toClient.push(bytes)
      this.#front.send(bytes, port, LOOPBACK)
    })
    this.#clients.set(port, client)
    return client
  }
}
