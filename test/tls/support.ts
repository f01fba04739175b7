// Servers and connections on loopback that end with their test.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { McbnError } from '../../src/errors.js'
import type { TlsConnectOptions, TlsServerOptions, TlsSocket } from '../../src/tls/index.js'
import { connect, createServer, type TlsServer } from '../../src/tls/index.js'

export const identity = 'Client1'
export const VERSIONS = ['TLSv1.3', 'TLSv1.2'] as const
export const LOOPBACK = '127.0.0.1'
/** Sanitizers take time, and memory for what was freed; see vitest.config.ts. */
export { slowdown } from '../support/pace.js'

/** A key that no other test has. */
export function freshKey(): Buffer {
  return randomBytes(32)
}

/** Listens on a free loopback port; closed, with its connections, when the test ends. */
export async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

export interface Served<Peer> {
  readonly server: TlsServer<Peer>
  readonly port: number
  /** What tlsClientError has told so far. */
  readonly failures: McbnError[]
}

export async function serve<Peer = undefined>(
  options: TlsServerOptions<Peer>,
  onSecureConnection?: (socket: TlsSocket<Peer>) => void,
): Promise<Served<Peer>> {
  const server = createServer<Peer>(options, (socket) => {
    // A peer that is torn down by its test is not this test's subject.
    if (socket.listenerCount('error') === 0) socket.on('error', () => {})
    onSecureConnection?.(socket)
  })
  const failures: McbnError[] = []
  server.on('tlsClientError', (error: McbnError) => failures.push(error))
  return { server, port: await listen(server), failures }
}

/** A server that sends everything back. */
export function echo<Peer = undefined>(options: TlsServerOptions<Peer>): Promise<Served<Peer>> {
  return serve<Peer>(options, (socket) => socket.pipe(socket))
}

/** A client socket, destroyed when the test ends. */
export function dial(options: TlsConnectOptions): TlsSocket {
  const socket = connect({ host: LOOPBACK, ...options })
  // Tests that mean errors wait for them; others end their peers without a word.
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

/** A client socket that is open. */
export async function dialOpen(options: TlsConnectOptions): Promise<TlsSocket> {
  const socket = dial(options)
  await once(socket, 'secureConnect')
  return socket
}

/** The error that a connection attempt must end with. */
export async function failureOf(socket: TlsSocket): Promise<McbnError> {
  return new Promise((resolve, reject) => {
    socket.once('error', resolve)
    socket.once('secureConnect', () => reject(new Error('the connection opened')))
    socket.once('close', () => reject(new Error('the connection closed without an error')))
  })
}

/** Both ends of an open connection. */
export async function openPair(
  settings: Partial<TlsServerOptions> & Partial<TlsConnectOptions> = {},
): Promise<{ client: TlsSocket; server: TlsSocket; listener: TlsServer }> {
  const key = freshKey()
  const { server, port } = await serve({ ...settings, psk: { [identity]: key } })
  const accepted = once(server, 'secureConnection')
  const client = await dialOpen({ ...settings, port, psk: { identity, key } })
  return { client, server: (await accepted)[0] as TlsSocket, listener: server }
}

export { readAll } from './streams.js'
