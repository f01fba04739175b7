// A network as a workload holds it: while enough participants agree, it opens connections; when they do
// not any more, it ends them all.

import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { Deferred } from '../../deferred.js'
import { DtlsServer } from '../../dtls/index.js'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { integerOption, objectOption } from '../../options.js'
import { shielded } from '../../shield.js'
import type { TlsServer } from '../../tls/index.js'
import { Stopwatch } from '../base/stopwatch.js'
import { type VerifiedDescriptor, verifySignedDescriptor } from '../descriptor/signed.js'
import type { Role, SignedDescriptor } from '../descriptor/types.js'
import { endedError } from './ending.js'
import { Epoch, type EpochListener } from './epoch.js'
import { NetworkDtls, NetworkTls } from './openers.js'
import { type JoinSettings, pinnedDescriptor } from './options.js'
import { TrackedSockets } from './sockets.js'
import { demandSuccessor } from './successor.js'
import type { EndReason, NetworkEvents, Redundancy, WorkloadLease } from './types.js'

export interface AdvanceOptions {
  /**
   * The next descriptor's hash, 32 bytes or 64 hex digits. Needed where participants of this epoch have left
   * or changed their keys; without it all of them must have signed the next one too.
   */
  readonly descriptorHash?: Uint8Array | string
  /**
   * Milliseconds for which the old epoch's connections go on, and a server still accepts new ones of it.
   *
   * @defaultValue 10_000
   */
  readonly overlap?: number
  /** Gives the attempt up; the epoch in use is not touched. */
  readonly signal?: AbortSignal
}

const ADVANCE_OPTIONS = {
  descriptorHash: undefined,
  overlap: undefined,
  signal: undefined,
} as const satisfies OptionTable<AdvanceOptions>

/** The one place where this default is written. */
export const ADVANCE_DEFAULTS = { overlap: 10_000 } as const

/** How `join` starts a network. Not exported by mcbn/consent: it is done once, before anybody has the network. */
export let joinEpoch: (network: Network, signal: AbortSignal | undefined) => Promise<void>

/**
 * A network joined by `join`. Emits `progress`, `renewed`, `redundancy`, `withdrawn`, `blamed`, `advanced` and, last,
 * `ended`: then its sockets and servers are closed and its keys wiped.
 */
export class Network extends EventEmitter<NetworkEvents> {
  /** TLS connections of the network; a client connects, a server listens. */
  readonly tls: NetworkTls
  /** DTLS associations of the network; a client connects, a server listens. */
  readonly dtls: NetworkDtls
  readonly role: Role
  readonly #settings: JoinSettings
  readonly #listener: EpochListener
  readonly #stopwatch: Stopwatch
  readonly #ended = new Deferred<EndReason>()
  readonly #servers = new Set<TlsServer | DtlsServer>()
  /** Plain connections of TLS servers, handshakes under way among them. */
  readonly #transports = new Set<Socket>()
  #epoch: Epoch
  /** The epoch before, during the overlap. */
  #before: Epoch | undefined
  #next: Epoch | undefined
  #cancelOverlap: (() => void) | undefined
  #reason: EndReason | undefined

  static {
    joinEpoch = (network, signal) => network.#epoch.join(signal)
  }

  /** @internal See `join`. */
  constructor(verified: VerifiedDescriptor, settings: JoinSettings) {
    super()
    this.role = settings.role
    this.#settings = settings
    this.#stopwatch = new Stopwatch(settings.clock)
    this.#listener = {
      onProgress: (progress) => {
        shielded(() => settings.onProgress?.(progress))
        shielded(() => this.emit('progress', progress))
      },
      onRenewed: (lease) => shielded(() => this.emit('renewed', lease)),
      onRedundancy: (redundancy, epoch) => {
        if (epoch === this.#epoch) shielded(() => this.emit('redundancy', redundancy))
      },
      onWithdrawn: (label) => shielded(() => this.emit('withdrawn', label)),
      onBlamed: (error) => shielded(() => this.emit('blamed', error)),
      onEnded: (epoch, reason) => this.#onEpochEnded(epoch, reason),
    }
    this.#epoch = this.#newEpoch(verified)
    const core = {
      role: this.role,
      current: () => this.#current(),
      epochOf: (identity: Buffer) => this.#epochOf(identity),
      addServer: (server: TlsServer | DtlsServer) => this.#addServer(server),
    }
    this.tls = new NetworkTls(core)
    this.dtls = new NetworkDtls(core)
  }

  // ---- what it is ---------------------------------------------------------------------------------

  /** Its name. */
  get name(): string {
    return this.#epoch.verified.descriptor.network
  }

  /** The epoch that new connections use. */
  get epoch(): number {
    return this.#epoch.number
  }

  /** The descriptor that new connections use, with all signatures. */
  get descriptor(): SignedDescriptor {
    return this.#epoch.verified.signed
  }

  /** Hash of the descriptor, hex. */
  get descriptorHash(): string {
    return this.#epoch.verified.hashHex
  }

  /** The identity that connections have on the wire. */
  get identity(): string {
    return this.#epoch.verified.identity
  }

  /** Key check value, hex: equal at both workloads when their keys are. The one thing that may be shown. */
  get kcv(): string {
    return this.#epoch.kcv ?? ''
  }

  /** The live leases of the epoch in use. */
  get leases(): readonly WorkloadLease[] {
    return this.#epoch.leases
  }

  /** How many participants agree, and how many have to; of the epoch in use. */
  get redundancy(): Redundancy {
    return this.#epoch.redundancy
  }

  /** Open sockets of the network. */
  get connections(): number {
    return this.#epoch.sockets.size + (this.#before?.sockets.size ?? 0)
  }

  /** Resolves when the network has ended, with the reason. Never rejects. */
  get ended(): Promise<EndReason> {
    return this.#ended.promise
  }

  // ---- what it does -------------------------------------------------------------------------------

  /**
   * Joins the network's next epoch and moves over: new connections use it at once, those of the old one
   * end after the overlap. Servers accept both until then, so update servers before clients.
   *
   * @throws {McbnError} `MCBN_DESCRIPTOR_INVALID` unless it is a later epoch of the same network, signed by
   * the same people (or pinned); `MCBN_OPTION_CONFLICT` while it is advancing already; `MCBN_CONSENT_ENDED`;
   * and all that `join` does. The epoch in use goes on after a failure.
   */
  async advance(
    next: SignedDescriptor | string | Uint8Array,
    options: AdvanceOptions = {},
  ): Promise<void> {
    objectOption('options', options)
    refuseUnknown('advance', options, ADVANCE_OPTIONS)
    const overlap = integerOption(
      'overlap',
      options.overlap,
      { min: 0, max: 86_400_000, unit: 'ms' },
      ADVANCE_DEFAULTS.overlap,
    )
    this.#current()
    if (this.#next) {
      const busy = `expected one call at a time; epoch ${this.#next.number} is being joined`
      throw new McbnError('MCBN_OPTION_CONFLICT', `advance: ${busy}`)
    }
    const { descriptorHash, signal } = options
    const pinned = descriptorHash !== undefined
    const verified = pinned ? pinnedDescriptor(next, descriptorHash) : verifySignedDescriptor(next)
    demandSuccessor(this.#epoch.verified, verified, pinned)
    const epoch = this.#newEpoch(verified)
    this.#next = epoch
    try {
      await epoch.join(signal)
    } finally {
      this.#next = undefined
    }
    if (this.#reason) {
      epoch.close()
      throw endedError(this.#reason)
    }
    this.#moveTo(epoch, overlap)
  }

  /** Ends the network from this side. @returns resolves when servers and sockets are closed. */
  async close(): Promise<void> {
    const epochs = [this.#next, this.#before, this.#epoch]
    this.#next?.close()
    this.#before?.close()
    this.#epoch.close()
    await Promise.all([
      ...[...this.#servers].map(closed),
      ...epochs.map((epoch) => epoch?.returned),
    ])
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** What may be shown of it. */
  toJSON() {
    const { name, epoch, role, identity, kcv, leases, descriptorHash } = this
    return { network: name, epoch, role, descriptorHash, identity, kcv, leases }
  }

  // ---- epochs -------------------------------------------------------------------------------------

  #newEpoch(verified: VerifiedDescriptor): Epoch {
    const sockets = new TrackedSockets()
    return new Epoch(verified, this.#settings, this.#stopwatch, sockets, this.#listener)
  }

  #current(): Epoch {
    if (this.#epoch.check() && this.#epoch.live) return this.#epoch
    throw this.#reason
      ? endedError(this.#reason)
      : new McbnError('MCBN_CONSENT_ENDED', 'the network is not joined')
  }

  #epochOf(identity: Buffer): Epoch | undefined {
    for (const epoch of [this.#epoch, this.#before]) {
      // Looked at before the identity is: a clock must not tell which identities exist.
      if (!epoch?.check() || !epoch.live) continue
      if (identity.equals(Buffer.from(epoch.verified.identity, 'utf8'))) return epoch
    }
    return undefined
  }

  #moveTo(epoch: Epoch, overlap: number): void {
    this.#endOverlap()
    this.#before = this.#epoch
    this.#epoch = epoch
    this.#cancelOverlap = this.#settings.clock.after(overlap, () => this.#endOverlap())
    shielded(() => this.emit('advanced', epoch.number))
  }

  #endOverlap(): void {
    this.#cancelOverlap?.()
    this.#cancelOverlap = undefined
    this.#before?.close()
  }

  #onEpochEnded(epoch: Epoch, reason: EndReason): void {
    const { identity } = epoch.verified
    for (const server of this.#servers) server.revoke(identity)
    if (epoch === this.#before) {
      this.#before = undefined
      return
    }
    if (epoch !== this.#epoch) return
    this.#reason = reason
    this.#next?.close()
    this.#endOverlap()
    for (const server of this.#servers) {
      server.close()
      // One that was about to listen, or is told to later.
      server.on('listening', () => server.close())
    }
    for (const transport of this.#transports) transport.destroy()
    this.#ended.resolve(reason)
    shielded(() => this.emit('ended', reason))
  }

  #addServer(server: TlsServer | DtlsServer): void {
    this.#servers.add(server)
    server.once('close', () => this.#servers.delete(server))
    if (server instanceof DtlsServer) return
    server.on('connection', (transport: Socket) => {
      this.#transports.add(transport)
      transport.once('close', () => this.#transports.delete(transport))
    })
  }
}

function closed(server: TlsServer | DtlsServer): Promise<void> {
  if (server instanceof DtlsServer) return server.close()
  if (!server.listening) return Promise.resolve()
  return new Promise((resolve) => {
    server.once('close', resolve)
    server.close()
  })
}
