// DTLS servers and clients on loopback that end with their test.

import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import type {
  DtlsConnectOptions,
  DtlsServer,
  DtlsServerOptions,
  DtlsSocket,
} from '../../src/dtls/index.js'
import { connect, createServer } from '../../src/dtls/index.js'
import type { McbnError } from '../../src/errors.js'
import { waitFor } from '../support/wait.js'

export const identity = 'Client1'
export const LOOPBACK = '127.0.0.1'

/** A key that no other test has. */
export function freshKey(): Buffer {
  return randomBytes(32)
}

export interface Served<Peer> {
  readonly server: DtlsServer<Peer>
  readonly port: number
  /** What clientError has told so far. */
  readonly failures: McbnError[]
}

/** Listens on a free loopback port; closed, with its sessions, when the test ends. */
export async function listen<Peer>(
  server: DtlsServer<Peer>,
  host = LOOPBACK,
  port = 0,
): Promise<number> {
  server.listen(port, host)
  onTestFinished(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

export async function serve<Peer = undefined>(
  options: DtlsServerOptions<Peer>,
  onSecureConnection?: (socket: DtlsSocket<Peer>) => void,
): Promise<Served<Peer>> {
  const server = createServer<Peer>(options, onSecureConnection)
  const failures: McbnError[] = []
  server.on('clientError', (error) => failures.push(error as McbnError))
  return { server, port: await listen(server), failures }
}

/** A server that sends every message back. */
export function echo<Peer = undefined>(options: DtlsServerOptions<Peer>): Promise<Served<Peer>> {
  return serve<Peer>(options, (socket) => {
    socket.on('message', (message) => socket.send(message))
  })
}

/** A client socket, destroyed when the test ends. */
export function dial(options: DtlsConnectOptions): DtlsSocket {
  const socket = connect({ host: LOOPBACK, ...options })
  // Tests that mean errors wait for them; others end their peers without a word.
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

export async function dialOpen(options: DtlsConnectOptions): Promise<DtlsSocket> {
  return await dial(options).opened
}

/** The error that a connection attempt must end with. */
export async function failureOf(socket: DtlsSocket): Promise<McbnError> {
  return await socket.opened.then(
    () => {
      throw new Error('the connection opened')
    },
    (error) => error as McbnError,
  )
}

/** Both ends of an open session. */
export async function openPair(
  settings: Partial<DtlsServerOptions> & Partial<DtlsConnectOptions> = {},
): Promise<{
  client: DtlsSocket
  server: DtlsSocket
  listener: DtlsServer
  port: number
  failures: McbnError[]
}> {
  const key = freshKey()
  const { server, port, failures } = await serve({ ...settings, psk: { [identity]: key } })
  const accepted = once(server, 'secureConnection')
  const client = await dialOpen({ ...settings, port, psk: { identity, key } })
  return { client, server: (await accepted)[0] as DtlsSocket, listener: server, port, failures }
}

/** The next message of a socket. */
export async function nextMessage(socket: DtlsSocket, timeout = 10_000): Promise<Buffer> {
  const [message] = await once(socket, 'message', { signal: AbortSignal.timeout(timeout) })
  return message as Buffer
}

/** Sends a message and waits until it has come back; what comes before it is not looked at. */
export async function roundTrip(socket: DtlsSocket, text = 'still here'): Promise<void> {
  const answer = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no echo of "${text}"`)), 10_000)
    const look = (message: Buffer): void => {
      if (message.toString() !== text) return
      clearTimeout(timer)
      socket.off('message', look)
      resolve()
    }
    socket.on('message', look)
  })
  socket.send(text)
  await answer
}

/** Keeps everything that comes. */
export function collect(socket: DtlsSocket): Buffer[] {
  const messages: Buffer[] = []
  socket.on('message', (message) => messages.push(message))
  return messages
}

/** A plain UDP socket on loopback, closed when the test ends. */
export async function rawSocket(port = 0, host = LOOPBACK): Promise<Socket> {
  const socket = createSocket({
    type: host.includes(':') ? 'udp6' : 'udp4',
    recvBufferSize: 1 << 21,
  })
  socket.on('error', () => {})
  onTestFinished(() => void socket.close())
  socket.bind(port, host)
  await once(socket, 'listening')
  return socket
}

/** Options of one that speaks DTLS 1.3 alone, and of a server that speaks 1.2 too. */
export const NEWER = { minVersion: 'DTLSv1.3' } as const
export const BOTH = { maxVersion: 'DTLSv1.3' } as const
export const VERSIONS = ['DTLSv1.2', 'DTLSv1.3'] as const

/** A UDP port that takes what comes and says nothing. */
export async function silentPort(): Promise<number> {
  return (await rawSocket()).address().port
}

/** Sends many datagrams without overrunning the receiver's buffer. */
export async function flood(
  from: Socket,
  port: number,
  count: number,
  make: (index: number) => Uint8Array,
): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    from.send(make(index), port, LOOPBACK)
    if (index % 64 === 63) await new Promise(setImmediate)
  }
}

/** Waits for so many failures, and gives the last of them. */
export async function failureNumber(failures: McbnError[], count: number): Promise<McbnError> {
  await waitFor(`failure ${count}`, () => failures.length >= count)
  return failures[count - 1] as McbnError
}

/** Resident bytes of this process, after a collection where the runner allows one. */
export function residentBytes(): number {
  ;(globalThis as { gc?: () => void }).gc?.()
  return process.memoryUsage().rss
}
