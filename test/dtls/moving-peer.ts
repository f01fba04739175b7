// A session of a hand-made client that has a connection ID, for tests that move it.

import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import type { DtlsServer, DtlsServerOptions, DtlsSocket } from '../../src/dtls/index.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { collect, freshKey, identity, serve } from './support.js'

export const text = (value: string): Buffer => Buffer.from(value)

export interface Opened {
  readonly server: DtlsServer
  readonly port: number
  readonly key: Buffer
  readonly peer: DtlsPeer
  readonly socket: DtlsSocket
  readonly messages: Buffer[]
}

/** A server with connection IDs, and a session of a hand-made client. */
export async function open(
  options: Partial<DtlsServerOptions> = {},
  client: { readonly returnRoutability?: boolean; readonly key?: Buffer } = {},
): Promise<Opened> {
  const key = freshKey()
  const { server, port } = await serve({
    ...options,
    psk: { [identity]: key, other: key },
    connectionId: true,
  })
  const { peer, socket } = await join(server, port, key, client.returnRoutability ?? false)
  return { server, port, key, peer, socket, messages: collect(socket) }
}

export async function join(
  server: DtlsServer,
  port: number,
  key: Buffer,
  returnRoutability = false,
  on?: Socket,
  name = identity,
): Promise<{ peer: DtlsPeer; socket: DtlsSocket }> {
  const settings = {
    port,
    identity: text(name),
    key,
    connectionId: Buffer.alloc(0),
    returnRoutability,
  }
  const accepted = once(server, 'secureConnection')
  const peer = on ? DtlsPeer.on(on, settings) : await DtlsPeer.create(settings)
  await peer.open()
  return { peer, socket: (await accepted)[0] as DtlsSocket }
}

/** What comes to a socket of a test's. */
export function heardBy(socket: Socket): Buffer[] {
  const heard: Buffer[] = []
  socket.on('message', (datagram) => heard.push(datagram))
  return heard
}
