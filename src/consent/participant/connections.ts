// Who is on the other end of a socket, for holding floods against it; and how many sockets it may have.

import type { Server } from 'node:http'
import { isIPv6, type Socket } from 'node:net'

/**
 * The source that a remote address stands for. IPv6: the network of 64 bits, since whoever has one
 * address there has all of them (RFC 6177).
 */
export function sourceOf(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.replace(/%.*$/, '').toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...new Array<string>(missing).fill('0'), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}

/** Bounds a server's connections, in all and by source; whoever comes beyond is hung up on. */
export function limitConnections(server: Server, most: number, mostOfSource: number): void {
  server.maxConnections = most
  const counts = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    const source = sourceOf(socket.remoteAddress)
    const count = (counts.get(source) ?? 0) + 1
    if (count > mostOfSource) {
      socket.destroy()
      return
    }
    counts.set(source, count)
    socket.once('close', () => {
      const left = (counts.get(source) ?? 1) - 1
      if (left > 0) counts.set(source, left)
      else counts.delete(source)
    })
  })
}
