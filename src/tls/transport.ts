// A Duplex that answers like the net.Socket below it, so that node:http, node:http2 and others that
// expect a net.Socket find what they look for. Over another kind of stream the same calls do nothing
// and the same properties are undefined.

import type { AddressInfo, Socket } from 'node:net'
import type { DuplexOptions } from 'node:stream'
import { Duplex } from 'node:stream'

/** What a net.Socket may add to a Duplex. */
type Transport = Duplex & Partial<Omit<Socket, keyof Duplex>>

export abstract class TransportDuplex extends Duplex {
  protected readonly transport: Transport
  #received = 0
  #sent = 0
  #timeout = 0
  #idle: NodeJS.Timeout | undefined

  protected constructor(transport: Duplex, options: DuplexOptions) {
    super(options)
    this.transport = transport
  }

  /** The peer's address, as net.Socket gives it; undefined over another kind of stream. */
  get remoteAddress(): string | undefined {
    return this.transport.remoteAddress
  }

  /** The peer's TCP port; undefined over another kind of stream. */
  get remotePort(): number | undefined {
    return this.transport.remotePort
  }

  /** `IPv4` or `IPv6`; undefined over another kind of stream. */
  get remoteFamily(): string | undefined {
    return this.transport.remoteFamily
  }

  /** Our own address; undefined over another kind of stream. */
  get localAddress(): string | undefined {
    return this.transport.localAddress
  }

  /** Our own TCP port; undefined over another kind of stream. */
  get localPort(): number | undefined {
    return this.transport.localPort
  }

  /** `IPv4` or `IPv6`; undefined over another kind of stream. */
  get localFamily(): string | undefined {
    return this.transport.localFamily
  }

  /** The local address, as net.Socket gives it. */
  address(): AddressInfo | Record<string, never> {
    return (this.transport.address?.() as AddressInfo | undefined) ?? {}
  }

  /** Whether the stream below is still being connected; the handshake comes after that. */
  get connecting(): boolean {
    return this.transport.connecting ?? false
  }

  /** Whether the stream below has not begun to connect, or still does; as in net.Socket. */
  get pending(): boolean {
    return this.transport.pending ?? false
  }

  /** The state of the stream, as in net.Socket; `open` may be before `secureConnect`. */
  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.connecting) return 'opening'
    if (this.readable && this.writable) return 'open'
    if (this.readable) return 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  /** Bytes of plaintext received. */
  get bytesRead(): number {
    return this.#received
  }

  /** Bytes of plaintext sent; unlike in node:net, without those still waiting. */
  get bytesWritten(): number {
    return this.#sent
  }

  /** As in net.Socket; does nothing over another kind of stream. */
  setNoDelay(noDelay = true): this {
    this.transport.setNoDelay?.(noDelay)
    return this
  }

  /** As in net.Socket, `initialDelay` in milliseconds; does nothing over another kind of stream. */
  setKeepAlive(enable = false, initialDelay = 0): this {
    this.transport.setKeepAlive?.(enable, initialDelay)
    return this
  }

  /** Keeps the process alive, as it does at first. */
  ref(): this {
    this.transport.ref?.()
    return this
  }

  /** Does not keep the process alive any more. */
  unref(): this {
    this.transport.unref?.()
    return this
  }

  /** Milliseconds given to `setTimeout`; 0: none. */
  get timeout(): number {
    return this.#timeout
  }

  /**
   * Emits `timeout` after so many milliseconds without traffic; it does not close the socket. `0` ends
   * that. As in net.Socket.
   */
  setTimeout(milliseconds: number, callback?: () => void): this {
    clearTimeout(this.#idle)
    this.#idle = undefined
    this.#timeout = milliseconds
    if (milliseconds > 0 && !this.destroyed) {
      this.#idle = setTimeout(() => this.emit('timeout'), milliseconds).unref()
      if (callback) this.once('timeout', callback)
    } else if (callback) {
      this.removeListener('timeout', callback)
    }
    return this
  }

  /** Ends the socket once everything written has left. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  /** Closes the connection in order and waits until it is closed. */
  override async [Symbol.asyncDispose](): Promise<void> {
    if (this.closed) return
    await new Promise<void>((resolve) => {
      this.once('close', resolve)
      this.destroySoon()
    })
  }

  protected noteReceived(bytes: number): void {
    this.#received += bytes
    this.#idle?.refresh()
  }

  protected noteSent(bytes: number): void {
    this.#sent += bytes
    this.#idle?.refresh()
  }

  protected stopIdleTimer(): void {
    clearTimeout(this.#idle)
    this.#idle = undefined
  }
}
