// Servers that export their sessions, and others that go on with them.

import { randomBytes } from 'node:crypto'
import type { DtlsServerOptions, DtlsSocket } from '../../src/dtls/index.js'
import { createServer } from '../../src/dtls/index.js'
import { dialOpen, identity, LOOPBACK, listen, roundTrip } from './support.js'

export const sealingKey = randomBytes(32)

export async function exported(server: {
  exportSessions: (options: { sealingKey: Uint8Array }) => AsyncIterable<Buffer>
}): Promise<Buffer[]> {
  const all: Buffer[] = []
  for await (const sealed of server.exportSessions({ sealingKey })) all.push(sealed)
  return all
}

/** A server on a port that another has left, which echoes. */
export async function successor<Peer = undefined>(options: DtlsServerOptions<Peer>, port: number) {
  const server = createServer<Peer>(options, (socket) => {
    socket.on('message', (message) => socket.send(message))
  })
  await listen(server, LOOPBACK, port)
  return server
}

export async function clients(
  count: number,
  port: number,
  key: Buffer,
  more = {},
): Promise<DtlsSocket[]> {
  const sockets = await Promise.all(
    Array.from({ length: count }, () => dialOpen({ port, psk: { identity, key }, ...more })),
  )
  for (const socket of sockets) await roundTrip(socket)
  return sockets
}
