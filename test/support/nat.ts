// A UDP relay for one client that changes the port it has to the server, as a NAT does after a pause.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

const LOOPBACK = '127.0.0.1'

export class Nat {
  readonly #server: number
  readonly #front: Socket
  #backs: Socket[] = []
  #client = 0
  /** What the client has sent, in order. */
  readonly sent: Buffer[] = []
  /** What has come from the server, with the port of ours that it was sent to. */
  readonly received: { readonly port: number; readonly datagram: Buffer }[] = []
  /** Whether a datagram of the client's goes on; all do unless told. */
  passToServer: (datagram: Buffer) => boolean = () => true
  /** Whether one that came to a port of ours goes on to the client; that of the newest unless told. */
  passToClient: (datagram: Buffer, port: number) => boolean = (_, port) => port === this.outside

  private constructor(server: number) {
    this.#server = server
    this.#front = createSocket('udp4')
    this.#front.on('message', (datagram, { port }) => {
      this.#client = port
      this.sent.push(datagram)
      if (this.passToServer(datagram)) this.sendFrom(this.outside, datagram)
    })
  }

  static async start(server: number): Promise<Nat> {
    const nat = new Nat(server)
    nat.#front.bind(0, LOOPBACK)
    await once(nat.#front, 'listening')
    onTestFinished(() => {
      for (const socket of [nat.#front, ...nat.#backs]) socket.close()
    })
    await nat.move()
    return nat
  }

  /** Where the client connects to. */
  get port(): number {
    return this.#front.address().port
  }

  /** Where the server hears the client from now. */
  get outside(): number {
    return (this.#backs.at(-1) as Socket).address().port
  }

  /** From now on the client has another port. The old one is lost, unless `passToClient` says otherwise. */
  async move(): Promise<number> {
    const back = createSocket('udp4')
    back.on('error', () => {})
    back.bind(0, LOOPBACK)
    await once(back, 'listening')
    const { port } = back.address()
    back.on('message', (datagram) => {
      this.received.push({ port, datagram })
      if (this.passToClient(datagram, port)) this.#front.send(datagram, this.#client, LOOPBACK)
    })
    this.#backs.push(back)
    return port
  }

  /** Sends anything to the server from a port that the client has or had. */
  sendFrom(port: number, datagram: Buffer): void {
    const back = this.#backs.find((socket) => socket.address().port === port)
    back?.send(datagram, this.#server, LOOPBACK)
  }
}
