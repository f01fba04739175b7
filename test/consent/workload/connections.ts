// Connections inside joined networks.

import { type EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Network } from '../../../src/consent/workload/index.js'
import type { DtlsServer, DtlsSocket } from '../../../src/dtls/index.js'
import type { McbnError } from '../../../src/errors.js'
import type { TlsServer, TlsSocket } from '../../../src/tls/index.js'
import { LOOPBACK } from '../../tls/support.js'

/** A TLS server of the network that sends everything back. */
export async function echoTls(
  network: Network,
  options: Parameters<Network['tls']['createServer']>[0] = {},
): Promise<{ readonly server: TlsServer; readonly port: number; readonly failures: McbnError[] }> {
  const server = network.tls.createServer(options, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  const failures: McbnError[] = []
  server.on('tlsClientError', (error: McbnError) => failures.push(error))
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port, failures }
}

/** A DTLS server of the network that sends everything back. */
export async function echoDtls(
  network: Network,
): Promise<{ readonly server: DtlsServer; readonly port: number; readonly failures: McbnError[] }> {
  const server = network.dtls.createServer({}, (socket) => {
    socket.on('error', () => {})
    socket.on('message', (message) => socket.send(message))
  })
  const failures: McbnError[] = []
  server.on('clientError', (error) => failures.push(error as McbnError))
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port, failures }
}

export async function openTls(
  network: Network,
  port: number,
  options: Partial<Parameters<Network['tls']['connect']>[0]> = {},
): Promise<TlsSocket> {
  const socket = network.tls.connect({ host: LOOPBACK, port, ...options })
  // A network that ends resets its connections, also those that a test has done with.
  socket.on('error', () => {})
  await socket.opened
  return socket
}

export async function openDtls(network: Network, port: number): Promise<DtlsSocket> {
  const socket = network.dtls.connect({ host: LOOPBACK, port })
  socket.on('error', () => {})
  await socket.opened
  return socket
}

/** Sends a line and waits for it to come back. */
export async function talk(socket: TlsSocket, line = 'hello'): Promise<string> {
  const data = once(socket, 'data')
  socket.write(line)
  return `${(await data)[0]}`
}

export async function talkDtls(socket: DtlsSocket, line = 'hello'): Promise<string> {
  const message = once(socket, 'message')
  socket.send(line)
  return `${(await message)[0]}`
}

/** The error that a socket ends with. Asked for before the end. */
export function endOf(socket: TlsSocket | DtlsSocket): Promise<McbnError | undefined> {
  return new Promise((resolve) => {
    let failure: McbnError | undefined
    const emitter: EventEmitter = socket
    emitter.once('error', (error: McbnError) => {
      failure = error
    })
    emitter.once('close', () => resolve(failure))
  })
}

/** What a promise is rejected with. */
export async function rejection<Failure extends Error = McbnError>(
  promise: Promise<unknown>,
): Promise<Failure> {
  return await promise.then(
    () => {
      throw new Error('expected a rejection, the promise was fulfilled')
    },
    (error: Failure) => error,
  )
}
