// How many sockets there may be, in all and of one source. Where there are too many, the one that has done
// nothing for longest makes room: a client that shares an address with a flood still gets an answer.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { sourceOf } from '../../source.js'
import type { TrustedProxies } from './sources.js'

export interface ConnectionLimits {
  /** In all. */
  readonly most: number
  /** Of one source; proxies of the list are no source. */
  readonly mostOfSource: number
  readonly proxies: TrustedProxies
}

interface Connection {
  readonly socket: Socket
  readonly source: string
  /** The latest exchange on it. */
  exchange?: { readonly request: IncomingMessage; readonly response: ServerResponse }
}

/** Above the limit for the moment in which one that makes room is still closing. */
const CLOSING = 64

/** Bounds a server's connections. */
export function limitConnections(server: Server, limits: ConnectionLimits): void {
  const { most, mostOfSource, proxies } = limits
  server.maxConnections = most + CLOSING
  /** By source, each the oldest first. */
  const sources = new Map<string, Map<Socket, Connection>>()
  let count = 0

  const greediest = (): Map<Socket, Connection> | undefined => {
    let found: Map<Socket, Connection> | undefined
    for (const held of sources.values()) if (held.size > (found?.size ?? 0)) found = held
    return found
  }
  const remove = (source: string, socket: Socket): void => {
    const held = sources.get(source)
    if (!held?.delete(socket)) return
    count -= 1
    if (held.size === 0) sources.delete(source)
  }

  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress
    const source = sourceOf(address).own
    const held = sources.get(source) ?? new Map<Socket, Connection>()
    const full = !proxies.includes(address) && held.size >= mostOfSource
    if ((full || count >= most) && !makeRoom(full ? held : greediest(), remove)) {
      socket.destroy()
      return
    }
    sources.set(source, held.set(socket, { socket, source }))
    count += 1
    socket.once('close', () => remove(source, socket))
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = sources.get(sourceOf(request.socket.remoteAddress).own)?.get(request.socket)
    if (connection !== undefined) connection.exchange = { request, response }
  })
}

/** Ends the oldest connection on which no answer is being made. @returns whether there was one. */
function makeRoom(
  held: Map<Socket, Connection> | undefined,
  remove: (source: string, socket: Socket) => void,
): boolean {
  for (const { socket, source, exchange } of held?.values() ?? []) {
    // A client that sends slowly, or nothing, has no claim; one that has asked is owed an answer.
    if (exchange?.request.complete && !exchange.response.writableEnded) continue
    remove(source, socket)
    socket.destroy()
    return true
  }
  return false
}
