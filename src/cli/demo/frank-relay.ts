// Frank between client and server: the bytes of TLS over TCP, the datagrams of DTLS over UDP.

import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Ports } from './calls.js'
import { HOST } from './cast.js'
import type { FrankRecord } from './frank-record.js'

/** Where the server listens, which changes when it starts again; absent: nowhere yet. */
export interface Route {
  ports: Ports | undefined
  /** Whether a bit of what the server says is flipped on the way. */
  flip: boolean
}

/** @returns the port that clients take for the server's. */
export async function relayTcp(route: Route, record: FrankRecord): Promise<number> {
  const server = createServer((near) => {
    near.on('error', () => near.destroy())
    if (route.ports === undefined) return void near.destroy()
    const far = connect(route.ports.tls, HOST)
    far.on('error', () => far.destroy())
    pass(near, far, (chunk) => chunk)
    let chunks = 0
    pass(far, near, (chunk) => {
      chunks += 1
      // The first is the server's side of the handshake; what comes then is what it says.
      return route.flip && chunks > 1 ? flipped(chunk) : chunk
    })
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port

  function pass(from: Socket, to: Socket, meddle: (chunk: Buffer) => Buffer): void {
    from.on('data', (chunk: Buffer) => {
      record.keep('tls', chunk)
      if (!to.destroyed) to.write(meddle(chunk))
    })
    from.on('end', () => to.end())
    from.on('close', () => to.destroySoon())
  }
}

/** @returns the port that clients take for the server's. */
export async function relayUdp(route: Route, record: FrankRecord): Promise<number> {
  const near = createSocket('udp4')
  /** A socket to the server for every client, so that answers find their way back. */
  const far = new Map<number, UdpSocket>()
  near.on('message', (message, { port, address }) => {
    record.keep('dtls', message)
    if (route.ports === undefined) return
    let socket = far.get(port)
    if (socket === undefined) {
      socket = createSocket('udp4')
      socket.on('error', () => undefined)
      socket.on('message', (answer) => {
        record.keep('dtls', answer)
        near.send(answer, port, address)
      })
      far.set(port, socket)
    }
    socket.send(message, route.ports.dtls, HOST)
  })
  near.on('error', () => undefined)
  near.bind(0, HOST)
  await once(near, 'listening')
  return near.address().port
}

/** TLS's record header (RFC 8446 section 5.2) stays as it is: it is the content that is altered. */
const RECORD_HEADER_BYTES = 5

function flipped(chunk: Buffer): Buffer {
  const altered = Buffer.from(chunk)
  const at = Math.min(RECORD_HEADER_BYTES, altered.length - 1)
  altered.writeUInt8(altered.readUInt8(at) ^ 1, at)
  return altered
}

/** @returns `open`, or why nobody answers. */
export function knock(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST)
    socket.setTimeout(2_000, () => socket.destroy(new Error('silence')))
    socket.once('connect', () => {
      socket.destroy()
      resolve('open')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}
