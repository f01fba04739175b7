// A UDP relay that loses datagrams and moves its clients to other ports.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { HOST } from './common.js'

const LOSS = 0.03
/** Beyond it the client that has been here longest is forgotten, as a NAT would. */
const MOST_CLIENTS = 150

export class Relay {
  readonly #server: number
  readonly #front = createSocket('udp4')
  readonly #backs = new Map<number, Socket>()
  moves = 0

  private constructor(server: number) {
    this.#server = server
    this.#front.on('message', (datagram, { port }) => {
      if (Math.random() >= LOSS) this.#back(port).send(datagram, this.#server, HOST)
    })
  }

  static async start(server: number): Promise<Relay> {
    const relay = new Relay(server)
    relay.#front.bind(0, HOST)
    await once(relay.#front, 'listening')
    return relay
  }

  get port(): number {
    return this.#front.address().port
  }

  /** The server hears the client of this port from elsewhere, from its next datagram on. */
  move(client: number): void {
    const back = this.#backs.get(client)
    if (!back) return
    this.#backs.delete(client)
    back.close()
    this.moves += 1
  }

  #back(client: number): Socket {
    const known = this.#backs.get(client)
    if (known) return known
    for (const [oldest] of this.#backs) {
      if (this.#backs.size < MOST_CLIENTS) break
      this.move(oldest)
    }
    const back = createSocket('udp4')
    back.on('error', () => {}) // the server refuses: its port is closed
    back.on('message', (datagram) => {
      if (Math.random() >= LOSS) this.#front.send(datagram, client, HOST)
    })
    this.#backs.set(client, back)
    return back
  }
}
