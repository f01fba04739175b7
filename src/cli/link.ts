// One open connection as the commands see it: the same for a TLS stream and for DTLS datagrams.

import { formatHostPort } from './url.js'

/** What an open connection can tell about itself; all of it may be shown. */
export interface LinkFacts {
  /** host:port of the other side. */
  readonly peer: string
  readonly identity: string | undefined
  readonly protocol: string | undefined
  readonly cipher: string | undefined
  readonly alpn: string | undefined
}

/** What a connection reports. */
export interface LinkHandlers {
  /** Bytes of the stream, or one datagram. */
  data(bytes: Buffer): void
  /** Everything sent so far has been handed to the network. */
  flushed(): void
  /**
   * The connection is over; called once.
   * @param error - what broke it, or undefined after an orderly end from either side.
   */
  closed(error: Error | undefined): void
}

export interface Link {
  /** Reports from now on. Called once, in the same turn in which the handshake was done. */
  start(handlers: LinkHandlers): void
  readonly facts: LinkFacts
  /** Largest datagram in bytes; undefined on a stream. */
  readonly maxDatagramSize: number | undefined
  /** Whether the connection ended because neither side had anything to say for `--idle-timeout`. */
  readonly idle: boolean
  /** What a DTLS connection has counted; undefined on a stream. */
  readonly figures: object | undefined
  /** Whether something sent is still waiting here. */
  readonly unsent: boolean
  /** Whether the peer's stream ended without close_notify, so that its end may be missing. */
  readonly truncated: boolean
  /** @returns false when the connection is slower than the sender: wait for `flushed`. */
  send(data: Buffer): boolean
  /** Reads no more until {@link resume}; datagrams cannot be told to wait and come all the same. */
  pause(): void
  resume(): void
  /** Says goodbye (close_notify) after what was sent; resolves when over, after 1 s at the latest. */
  close(): Promise<void>
}

/** How long a goodbye may take, in milliseconds: longer, and the peer does not want one. */
export const GOODBYE_MS = 1000

/** The part of both libraries' sockets that {@link factsOf} reads. */
interface DescribedSocket {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly pskIdentity?: Buffer | undefined
  readonly alpnProtocol?: string | false | null | undefined
  getProtocol(): string | null | undefined
  getCipher(): { readonly name: string } | null | undefined
}

export function factsOf(socket: DescribedSocket): LinkFacts {
  return {
    peer: formatHostPort(socket.remoteAddress, socket.remotePort),
    identity: socket.pskIdentity?.toString('utf8'),
    protocol: socket.getProtocol() ?? undefined,
    cipher: socket.getCipher()?.name,
    alpn: socket.alpnProtocol || undefined,
  }
}

/** e.g. `TLSv1.3, TLS_AES_128_GCM_SHA256, identity "Client1"`. */
export function factsText({ identity, protocol, cipher, alpn }: LinkFacts): string {
  const parts = [
    protocol,
    cipher,
    alpn,
    identity === undefined ? undefined : `identity "${identity}"`,
  ]
  return parts.filter((part) => part !== undefined).join(', ')
}

/** Resolves with the promise or after `milliseconds`, whichever is first. */
export async function atMost(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  try {
    await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}
