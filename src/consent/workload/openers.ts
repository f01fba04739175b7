// What a network gives an application to open connections with: mcbn/tls and mcbn/dtls, their keys chosen
// by the network, and each role confined to its own end.

import * as dtls from '../../dtls/index.js'
import { McbnError } from '../../errors.js'
import type { PskLookup, PskProtocol } from '../../psk/types.js'
import * as tls from '../../tls/index.js'
import type { NetworkProtocol, Role } from '../descriptor/types.js'
import type { Epoch } from './epoch.js'
import { guardDtls, guardTls } from './sockets.js'

/** As in mcbn/tls; the network has the keys. */
export type NetworkTlsConnectOptions = Omit<tls.TlsConnectOptions, 'psk'>
export type NetworkTlsServerOptions = Omit<tls.TlsServerOptions, 'psk'>
/** As in mcbn/dtls; the network has the keys. */
export type NetworkDtlsConnectOptions = Omit<dtls.DtlsConnectOptions, OfNetwork>
export type NetworkDtlsServerOptions = Omit<dtls.DtlsServerOptions, OfNetwork>
/** Descriptors have no key for DTLS 1.3. */
type KeyedProtocol = Exclude<PskProtocol, 'DTLSv1.3'>
type OfNetwork = 'psk' | keyof dtls.DtlsVersionOptions

/** What openers need of their network. */
export interface NetworkCore {
  readonly role: Role
  /** The epoch for new connections. @throws {McbnError} `MCBN_CONSENT_ENDED`. */
  current(): Epoch
  /** The live epoch that an identity belongs to, the clocks looked at. */
  epochOf(identity: Buffer): Epoch | undefined
  /** Ends it with the network. */
  addServer(server: tls.TlsServer | dtls.DtlsServer): void
}

/** Each protocol has its own key (RFC 9258 section 5.1 gives the reason). */
const PROTOCOL_OF: Readonly<Record<KeyedProtocol, NetworkProtocol>> = {
  'TLSv1.3': 'tls13',
  'TLSv1.2': 'tls12',
  'DTLSv1.2': 'dtls12',
}

/** TLS within a network. */
export class NetworkTls {
  readonly #network: NetworkCore

  /** @internal */
  constructor(network: NetworkCore) {
    this.#network = network
  }

  /**
   * Connects to a server of the network. One TLS version is offered, since each has its own key: the
   * newest that the descriptor and `minVersion`/`maxVersion` allow.
   *
   * @returns as mcbn/tls `connect`; the socket ends with `MCBN_CONSENT_ENDED` when consent does.
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` on a server, for a `psk`, for versions that the descriptor does
   * not have; `MCBN_CONSENT_ENDED`; and as mcbn/tls does.
   */
  connect(options: NetworkTlsConnectOptions, onSecureConnect?: () => void): tls.TlsSocket {
    demandRole(this.#network, 'client', 'tls.connect')
    refuseKeys(options)
    const epoch = this.#network.current()
    const versions = versionsOf(epoch, options)
    const version = versions[0] as tls.TlsVersion
    const key = keyOf(epoch, version)
    const psk = { identity: epoch.verified.identity, key }
    const socket = tls.connect({ ...options, minVersion: version, maxVersion: version, psk })
    epoch.sockets.add(socket)
    guardTls(socket, () => epoch.check())
    if (onSecureConnect)
      socket.once('secureConnect', () => void (epoch.check() && onSecureConnect()))
    return socket
  }

  /**
   * Makes a server of the network: clients of the same network and epoch can connect to it, nobody else.
   *
   * @returns as mcbn/tls `createServer`; closed, with its connections, when consent ends.
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` on a client, for a `psk`, for versions that the descriptor does
   * not have; `MCBN_CONSENT_ENDED`; and as mcbn/tls does.
   */
  createServer(
    options: NetworkTlsServerOptions = {},
    onSecureConnection?: (socket: tls.TlsSocket) => void,
  ): tls.TlsServer {
    demandRole(this.#network, 'server', 'tls.createServer')
    refuseKeys(options)
    const versions = versionsOf(this.#network.current(), options)
    const server = tls.createServer({
      ...options,
      maxVersion: versions[0] as tls.TlsVersion,
      minVersion: versions.at(-1) as tls.TlsVersion,
      psk: lookup(this.#network),
    })
    server.on('secureConnection', (socket: tls.TlsSocket) => {
      const epoch = this.#network.epochOf(socket.pskIdentity as Buffer)
      if (!epoch) return socket.destroy()
      epoch.sockets.add(socket)
      guardTls(socket, () => epoch.check())
      onSecureConnection?.(socket)
    })
    this.#network.addServer(server)
    return server
  }
}

/** DTLS within a network. */
export class NetworkDtls {
  readonly #network: NetworkCore

  /** @internal */
  constructor(network: NetworkCore) {
    this.#network = network
  }

  /**
   * Connects to a server of the network.
   *
   * @returns as mcbn/dtls `connect`; the socket ends with `MCBN_CONSENT_ENDED` when consent does.
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` on a server, for a `psk`, without `dtls12` in the descriptor;
   * `MCBN_CONSENT_ENDED`; and as mcbn/dtls does.
   */
  connect(options: NetworkDtlsConnectOptions, onSecureConnect?: () => void): dtls.DtlsSocket {
    demandRole(this.#network, 'client', 'dtls.connect')
    refuseKeys(options)
    refuseVersions(options)
    const epoch = this.#network.current()
    demandDtls(epoch)
    const psk = { identity: epoch.verified.identity, key: keyOf(epoch, 'DTLSv1.2') }
    const socket = dtls.connect({ ...options, psk })
    epoch.sockets.add(socket)
    guardDtls(socket, () => epoch.check())
    if (onSecureConnect)
      socket.once('secureConnect', () => void (epoch.check() && onSecureConnect()))
    return socket
  }

  /**
   * Makes a server of the network: clients of the same network and epoch can connect to it, nobody else.
   *
   * @returns as mcbn/dtls `createServer`; closed, with its sessions, when consent ends.
   * @throws {McbnError} `MCBN_OPTION_CONFLICT` on a client, for a `psk`, without `dtls12` in the descriptor;
   * `MCBN_CONSENT_ENDED`; and as mcbn/dtls does.
   */
  createServer(
    options: NetworkDtlsServerOptions = {},
    onSecureConnection?: (socket: dtls.DtlsSocket) => void,
  ): dtls.DtlsServer {
    demandRole(this.#network, 'server', 'dtls.createServer')
    refuseKeys(options)
    refuseVersions(options)
    demandDtls(this.#network.current())
    const server = dtls.createServer({ ...options, psk: lookup(this.#network) })
    server.on('secureConnection', (socket) => {
      const epoch = this.#network.epochOf(socket.pskIdentity as Buffer)
      if (!epoch) return void socket.destroy()
      epoch.sockets.add(socket)
      guardDtls(socket, () => epoch.check())
      onSecureConnection?.(socket)
    })
    this.#network.addServer(server)
    return server
  }
}

/** Asked for each handshake, so that the clocks are looked at before each one. */
function lookup(network: NetworkCore): PskLookup {
  return ({ identity, protocol }) =>
    protocol === 'DTLSv1.3' ? null : (network.epochOf(identity)?.key(PROTOCOL_OF[protocol]) ?? null)
}

function keyOf(epoch: Epoch, protocol: KeyedProtocol): Buffer {
  const key = epoch.key(PROTOCOL_OF[protocol])
  if (key) return key
  throw new McbnError('MCBN_INTERNAL', `expected a key for ${protocol} in a live epoch`)
}

/**
 * Keys are the same at both ends, so a machine that had both could be made to talk to itself (the Selfie
 * attack, RFC 9257 section 4.2): a role has one end only.
 */
function demandRole({ role }: NetworkCore, wanted: Role, call: string): void {
  if (role === wanted) return
  const rule =
    role === 'client'
      ? 'a client of a network only connects, it never listens'
      : 'a server of a network only listens, it never connects'
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    `${call}: this workload joined as ${role}; ${rule}, so that nobody can make it talk to itself`,
  )
}

function refuseKeys(options: object): void {
  if (options === null || typeof options !== 'object' || !('psk' in options)) return
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    "psk: expected none, the network's keys are used; leave it out, or use mcbn/tls or mcbn/dtls",
  )
}

function refuseVersions(options: object): void {
  const asked: readonly (keyof dtls.DtlsVersionOptions)[] = [
    'minVersion',
    'maxVersion',
    'pskModes',
    'groups',
  ]
  const stray = asked.find((name) => (options as dtls.DtlsVersionOptions)[name] !== undefined)
  if (stray === undefined) return
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    `${stray}: expected none, since a network has keys for DTLS 1.2 alone; leave it out, or use mcbn/dtls`,
  )
}

function demandDtls(epoch: Epoch): void {
  const { protocols } = epoch.verified.descriptor
  if (protocols.includes('dtls12')) return
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    `dtls: expected a protocol of the descriptor (${protocols.join(', ')}); dtls12 is not among them`,
  )
}

/** The TLS versions that descriptor and options both allow, the newest first. */
function versionsOf(
  epoch: Epoch,
  {
    minVersion = 'TLSv1.2',
    maxVersion = 'TLSv1.3',
  }: Pick<tls.TlsOptions, 'minVersion' | 'maxVersion'>,
): tls.TlsVersion[] {
  const { protocols } = epoch.verified.descriptor
  const versions = (['TLSv1.3', 'TLSv1.2'] as const).filter(
    (version) =>
      protocols.includes(PROTOCOL_OF[version]) && minVersion <= version && version <= maxVersion,
  )
  if (versions.length > 0) return versions
  throw new McbnError(
    'MCBN_OPTION_CONFLICT',
    `tls: expected versions from ${minVersion} to ${maxVersion} to be among the protocols of the descriptor (${protocols.join(', ')})`,
  )
}
