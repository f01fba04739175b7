// A load balancer that knows nothing of DTLS: it gives each client another port towards one of the nodes,
// and takes answers from that node alone.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

const LOOPBACK = '127.0.0.1'

interface Flow {
  readonly client: number
  node: number
  back: Socket
}

export class Balancer {
  readonly #front = createSocket('udp4')
  readonly #flows = new Map<number, Flow>()
  readonly #backs = new Set<Socket>()
  /** The nodes' ports. */
  nodes: readonly number[]
  /** Which node a client comes to, of those in `nodes`; in turn unless told. */
  choose: (client: number) => number
  #turn = 0

  private constructor(nodes: readonly number[]) {
    this.nodes = nodes
    this.choose = () => this.#turn++ % this.nodes.length
    this.#front.on('message', (datagram, { port }) => void this.#pass(port, datagram))
  }

  static async start(nodes: readonly number[]): Promise<Balancer> {
    const balancer = new Balancer(nodes)
    balancer.#front.bind(0, LOOPBACK)
    await once(balancer.#front, 'listening')
    onTestFinished(() => {
      for (const socket of [balancer.#front, ...balancer.#backs]) socket.close()
    })
    return balancer
  }

  get port(): number {
    return this.#front.address().port
  }

  /** Every client comes from another port from now on, to the node that `choose` says. */
  async move(): Promise<void> {
    for (const flow of this.#flows.values()) {
      flow.node = this.choose(flow.client)
      flow.back = await this.#open(flow.client, flow.node)
    }
  }

  async #pass(client: number, datagram: Buffer): Promise<void> {
    let flow = this.#flows.get(client)
    if (!flow) {
      const node = this.choose(client)
      flow = { client, node, back: createSocket('udp4') }
      this.#flows.set(client, flow)
      flow.back.close()
      flow.back = await this.#open(client, node)
    }
    const { back } = flow
    if (this.#backs.has(back)) back.send(datagram)
  }

  async #open(client: number, node: number): Promise<Socket> {
    const back = createSocket('udp4')
    back.on('error', () => {})
    back.on('message', (datagram) => this.#front.send(datagram, client, LOOPBACK))
    // Connected: what another node sends does not come in.
    back.connect(this.nodes[node] as number, LOOPBACK)
    await once(back, 'connect')
    this.#backs.add(back)
    return back
  }
}
