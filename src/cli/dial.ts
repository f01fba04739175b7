// From a target to an open Link, or to the one error that says why not.

import type { EventEmitter } from 'node:events'
import type { DtlsSocket } from '../dtls/index.js'
import { McbnError } from '../errors.js'
import type { DtlsVersion, PskClientSource } from '../psk/types.js'
import type { TlsSocket } from '../tls/index.js'
import type { KeyLog, LibraryOptions, TlsVersion, VersionRange } from './connection.js'
import { DtlsLink } from './dtls-link.js'
import type { Link } from './link.js'
import { TlsLink } from './tls-link.js'
import type { Target } from './url.js'

export interface DialOptions {
  readonly target: Target
  readonly credential: PskClientSource
  /** Of the target's protocol. */
  readonly versions: VersionRange
  /** Passed on to the library as they are. */
  readonly options: LibraryOptions & {
    readonly servername?: string
    readonly signal?: AbortSignal
  }
  readonly keyLog: KeyLog | undefined
}

/**
 * Connects. Libraries are loaded here and not at the top: `mcbn --help` needs no addon.
 *
 * @param opened - called in the turn in which the handshake is done, when nothing has arrived yet.
 * @returns resolves after `opened`; rejects with the handshake's error.
 */
export function dial(call: DialOptions, opened: (link: Link) => void): Promise<void> {
  return call.target.protocol === 'tls' ? dialTls(call, opened) : dialDtls(call, opened)
}

async function dialTls(call: DialOptions, opened: (link: Link) => void): Promise<void> {
  const { connect } = await import('../tls/index.js')
  const { host, port } = call.target
  const versions = call.versions as VersionRange<TlsVersion>
  const socket = connect({ host, port, psk: call.credential, ...versions, ...call.options })
  await linkTls(socket, opened, call.keyLog)
}

async function dialDtls(call: DialOptions, opened: (link: Link) => void): Promise<void> {
  const { connect } = await import('../dtls/index.js')
  const { host, port } = call.target
  const versions = call.versions as VersionRange<DtlsVersion>
  const socket = connect({ host, port, psk: call.credential, ...versions, ...call.options })
  await linkDtls(socket, opened, call.keyLog)
}

/** Waits for the handshake of a socket that was just made; see {@link dial}. */
export function linkTls(
  socket: TlsSocket,
  opened: (link: Link) => void,
  keyLog?: KeyLog,
): Promise<void> {
  return handshake(socket, keyLog, () => opened(new TlsLink(socket)))
}

/** As {@link linkTls}. */
export function linkDtls(
  socket: DtlsSocket,
  opened: (link: Link) => void,
  keyLog?: KeyLog,
): Promise<void> {
  return handshake(socket, keyLog, () => opened(new DtlsLink(socket)))
}

async function handshake(
  socket: EventEmitter,
  keyLog: KeyLog | undefined,
  opened: () => void,
): Promise<void> {
  if (keyLog !== undefined) socket.on('keylog', keyLog.append)
  await new Promise<void>((resolve, reject) => {
    // Stays for good: what fails later is the link's to tell, but no emitter may lack a listener.
    socket.on('error', reject)
    socket.once('close', () => {
      const message = 'the connection was closed before the handshake was done'
      reject(new McbnError('MCBN_CONNECTION_FAILED', message))
    })
    socket.once('secureConnect', () => {
      try {
        opened()
        resolve()
      } catch (error) {
        reject(error)
      }
    })
  })
}
