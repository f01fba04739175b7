// A listening server of either protocol, its connections handed to a service.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { DtlsServer, DtlsSocket } from '../dtls/index.js'
import type { DtlsVersion, PskSource } from '../psk/types.js'
import type { TlsServer, TlsSocket } from '../tls/index.js'
import type { KeyLog, LibraryOptions, TlsVersion, VersionRange } from './connection.js'
import type { Diagnostics } from './diagnostics.js'
import { atMost, factsOf, factsText, GOODBYE_MS } from './link.js'
import { logLine } from './log.js'
import type { Service } from './services.js'
import { formatHostPort, formatTarget, type Target } from './url.js'

/** What serving takes, wherever the keys come from. */
export interface ServeOptions {
  readonly target: Target
  readonly keyLog: KeyLog | undefined
  readonly service: Service
  readonly diagnostics: Diagnostics
}

export interface ListenOptions extends ServeOptions {
  readonly psk: PskSource
  /** Of the target's protocol. */
  readonly versions: VersionRange
  /** Passed on to the library as they are. */
  readonly options: LibraryOptions & { readonly pskIdentityHint?: string }
}

export interface Listener {
  readonly address: string
  readonly port: number
  /** What a DTLS server has counted. */
  figures?(): object
  /** Of dtls://, for metrics. */
  readonly dtls?: Pick<DtlsServer, 'stats'>
  /** Takes no more peers and says goodbye to those that are there. */
  close(): Promise<void>
}

/** The line that scripts wait for: the URL as it was typed, with the port that it got. */
export function announce(typed: Target, { address, port }: Listener, { json }: Diagnostics): void {
  const url = formatTarget({ ...typed, port })
  const line = json ? logLine({ event: 'listening', url, address, port }) : `listening on ${url}`
  process.stdout.write(`${line}\n`)
}

// Libraries are loaded here and not at the top: `mcbn --help` needs no addon.

export async function listenTls(call: ListenOptions): Promise<Listener> {
  const { createServer } = await import('../tls/index.js')
  const versions = call.versions as VersionRange<TlsVersion>
  const options = { psk: call.psk, ...versions, ...call.options }
  return await serveTls(call, (onSocket) => createServer(options, onSocket))
}

/** @param create - makes the server, with the listener of `secureConnection`. */
export async function serveTls(
  { target, diagnostics, service, keyLog }: ServeOptions,
  create: (onSocket: (socket: TlsSocket) => void) => TlsServer,
): Promise<Listener> {
  const sockets = new Set<TlsSocket>()
  const server = create((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    follow(socket, diagnostics)
    service.stream(socket)
  })
  server.on('tlsClientError', (error, socket) => {
    diagnostics.peerFailed(error, formatHostPort(socket.remoteAddress, socket.remotePort))
  })
  if (keyLog !== undefined) server.on('keylog', keyLog.append)
  server.listen(target.port, target.host)
  await once(server, 'listening')
  // From here on one failed accept (no file descriptor left) must not end the others.
  server.on('error', (error) => diagnostics.peerFailed(error, 'accept'))
  return {
    ...placeOf(server.address()),
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.end()
      await atMost(GOODBYE_MS, closed)
      for (const socket of sockets) socket.destroy()
    },
  }
}

export async function listenDtls(call: ListenOptions): Promise<Listener> {
  const { createServer } = await import('../dtls/index.js')
  const versions = call.versions as VersionRange<DtlsVersion>
  const options = { psk: call.psk, ...versions, ...call.options }
  return await serveDtls(call, (onSocket) => createServer(options, onSocket))
}

/** @param create - makes the server, with the listener of `secureConnection`. */
export async function serveDtls(
  { target, diagnostics, service, keyLog }: ServeOptions,
  create: (onSocket: (socket: DtlsSocket) => void) => DtlsServer,
): Promise<Listener> {
  const server = create((socket) => {
    follow(socket, diagnostics)
    service.datagrams(socket)
  })
  server.on('clientError', (error, { address, port }) => {
    diagnostics.peerFailed(error, formatHostPort(address, port))
  })
  if (keyLog !== undefined) server.on('keylog', keyLog.append)
  server.listen(target.port, target.host)
  await once(server, 'listening')
  server.on('error', (error) => diagnostics.peerFailed(error, 'socket'))
  return {
    ...placeOf(server.address()),
    figures: () => server.stats,
    dtls: server,
    close: async () => server.close(),
  }
}

/** Tells of a connection's begin and end, and sees to it that no failure is without a listener. */
function follow(socket: TlsSocket | DtlsSocket, diagnostics: Diagnostics): void {
  const facts = factsOf(socket)
  diagnostics.event('connected', `${facts.peer} connected (${factsText(facts)})`, { ...facts })
  socket.on('error', (error: Error) => diagnostics.peerFailed(error, facts.peer))
  socket.once('close', () => {
    diagnostics.event('closed', `${facts.peer} closed`, { peer: facts.peer })
  })
}

function placeOf(address: AddressInfo | string | null): { address: string; port: number } {
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return address
}
