// What mcbn publishes on node:diagnostics_channel. Channels are named as Node names its own (net.client.socket,
// http.client.request.start); docs/API.md lists them. Messages are plain objects without secrets: identities are
// public (RFC 4279 section 7.3), keys are never in them. Without a subscriber nothing is made.

import { type Channel, channel } from 'node:diagnostics_channel'

/** One side's channels of one protocol. */
export interface SessionChannels {
  /** A {@link SessionOpenMessage}. */
  readonly open: Channel
  /** A {@link SessionCloseMessage}, of a session that was open. */
  readonly close: Channel
  /** A {@link HandshakeErrorMessage}. */
  readonly handshakeError: Channel
}

/** What open sockets of mcbn/tls and mcbn/dtls have in common. */
interface SecureSocket {
  readonly pskIdentity: Buffer | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  getProtocol(): string | null
  getCipher(): { readonly name: string } | undefined
}

export interface SessionOpenMessage {
  /** The same object in all messages of a session. */
  readonly socket: object
  readonly pskIdentity: Buffer | undefined
  readonly protocol: string | null
  readonly cipher: string | undefined
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
}

export interface SessionCloseMessage extends SessionOpenMessage {
  /** Absent: closed in order. */
  readonly error: Error | undefined
}

export interface HandshakeErrorMessage {
  /** Absent on DTLS servers: a client that has proved nothing has no socket. */
  readonly socket: object | undefined
  readonly error: Error
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
}

/** A question that a server put to its key lookup, and what came of it. The identity is not told. */
export interface PskLookupMessage {
  readonly protocol: string
  /** `abandoned`: the handshake ended first. */
  readonly outcome: 'found' | 'unknown' | 'failed' | 'timeout' | 'abandoned'
  /** Milliseconds. */
  readonly duration: number
}

function channelsOf(side: string): SessionChannels {
  return {
    open: channel(`mcbn.${side}.session.open`),
    close: channel(`mcbn.${side}.session.close`),
    handshakeError: channel(`mcbn.${side}.handshake.error`),
  }
}

export const DTLS_CLIENT = channelsOf('dtls.client')
export const DTLS_SERVER = channelsOf('dtls.server')
export const TLS_CLIENT = channelsOf('tls.client')
export const TLS_SERVER = channelsOf('tls.server')
/** A {@link PskLookupMessage}. */
export const PSK_LOOKUP = channel('mcbn.psk.lookup')
/** { socket, host, port }: `dtls.connect` was called. */
export const DTLS_CLIENT_SOCKET = channel('mcbn.dtls.client.socket')
/** { server, address, family, port } */
export const DTLS_SERVER_LISTEN = channel('mcbn.dtls.server.listen')
/** { server } */
export const DTLS_SERVER_CLOSE = channel('mcbn.dtls.server.close')

export function publishOpen({ open }: SessionChannels, socket: SecureSocket): void {
  if (open.hasSubscribers) open.publish(described(socket))
}

export function publishClose(
  { close }: SessionChannels,
  socket: SecureSocket,
  error: Error | undefined,
): void {
  if (close.hasSubscribers) close.publish({ ...described(socket), error })
}

/** @returns tells how a lookup ended, once; undefined without a subscriber. */
export function lookupBegins(
  protocol: string,
): ((outcome: PskLookupMessage['outcome']) => void) | undefined {
  if (!PSK_LOOKUP.hasSubscribers) return undefined
  const began = performance.now()
  return (outcome) => {
    PSK_LOOKUP.publish({
      protocol,
      outcome,
      duration: performance.now() - began,
    } satisfies PskLookupMessage)
  }
}

export function publishHandshakeError(
  { handshakeError }: SessionChannels,
  error: () => Error,
  remote: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined },
  socket?: object,
): void {
  if (!handshakeError.hasSubscribers) return
  const { remoteAddress, remotePort } = remote
  handshakeError.publish({ socket, error: error(), remoteAddress, remotePort })
}

function described(socket: SecureSocket): SessionOpenMessage {
  const { pskIdentity, remoteAddress, remotePort } = socket
  return {
    socket,
    pskIdentity,
    protocol: socket.getProtocol(),
    cipher: socket.getCipher()?.name,
    remoteAddress,
    remotePort,
  }
}
