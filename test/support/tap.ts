// A wire that can be listened to: everything between a client and a server on loopback, in order.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

const LOOPBACK = '127.0.0.1'

/** What passed: a chunk of a TCP stream, or a datagram. */
export interface Passed {
  readonly from: 'client' | 'server'
  readonly bytes: Buffer
}

export interface Tap {
  /** Clients connect to this port. */
  readonly port: number
  readonly passed: Passed[]
  /** Everything of one direction, one after the other. */
  bytes(from: Passed['from']): Buffer
}

export interface UdpTap extends Tap {
  /** Sends once more what came from this side so far. */
  replay(from: Passed['from']): void
}

/**
 * In front of a TCP server, for one connection at a time.
 *
 * @param alter - what becomes of a chunk on its way; what passed is what arrived.
 */
export async function tapTcp(
  target: number,
  alter: (piece: Passed) => Buffer = ({ bytes }) => bytes,
): Promise<Tap> {
  const passed: Passed[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target, LOOPBACK)
    const carry = (from: Passed['from']) => (bytes: Buffer) => {
      const altered = alter({ from, bytes })
      passed.push({ from, bytes: altered })
      return altered
    }
    wire(client, upstream, carry('client'))
    wire(upstream, client, carry('server'))
    for (const socket of [client, upstream]) sockets.add(socket)
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return tap((server.address() as AddressInfo).port, passed)
}

/** In front of a UDP server, for one client at a time: the one that sent last gets the answers. */
export async function tapUdp(target: number): Promise<UdpTap> {
  const passed: Passed[] = []
  const front = createSocket('udp4')
  const back = createSocket('udp4')
  let client: { readonly port: number; readonly address: string } | undefined
  front.on('message', (bytes, from) => {
    client = from
    passed.push({ from: 'client', bytes })
    back.send(bytes, target, LOOPBACK)
  })
  back.on('message', (bytes) => {
    passed.push({ from: 'server', bytes })
    if (client) front.send(bytes, client.port, client.address)
  })
  front.bind(0, LOOPBACK)
  back.bind(0, LOOPBACK)
  await Promise.all([once(front, 'listening'), once(back, 'listening')])
  onTestFinished(() => {
    front.close()
    back.close()
  })
  const replay = (side: Passed['from']): void => {
    for (const { bytes } of passed.filter(({ from }) => from === side)) {
      if (side === 'client') back.send(bytes, target, LOOPBACK)
      else if (client) front.send(bytes, client.port, client.address)
    }
  }
  return { ...tap(front.address().port, passed), replay }
}

function wire(from: Socket, to: Socket, carry: (bytes: Buffer) => Buffer): void {
  from.on('data', (bytes: Buffer) => to.write(carry(bytes)))
  from.on('end', () => to.end())
  from.on('error', () => to.destroy())
  from.on('close', () => to.destroy())
}

function tap(port: number, passed: Passed[]): Tap {
  const bytes = (side: Passed['from']): Buffer =>
    Buffer.concat(passed.filter(({ from }) => from === side).map((piece) => piece.bytes))
  return { port, passed, bytes }
}
