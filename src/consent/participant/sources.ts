// Named proxies are believed about the address of their client; nobody else is.

import { BlockList, isIP } from 'node:net'
import { McbnError } from '../../errors.js'

/** The headers in which proxies tell for whom they ask. */
export interface ForwardingHeaders {
  /** RFC 7239. */
  readonly forwarded?: string | undefined
  readonly xForwardedFor?: string | undefined
}

/** More entries than this are not looked at: the list is as long as a stranger makes it. */
const MOST_HOPS = 16
const MOST_HEADER = 4_096

/** The proxies that are believed, by an explicit list. */
export class TrustedProxies {
  readonly #list = new BlockList()
  readonly #some: boolean

  /**
   * @param entries - addresses or networks, `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
   * @param option - their name, for messages.
   * @throws {McbnError} `MCBN_OPTION_RANGE` naming the entry.
   */
  constructor(entries: readonly string[] = [], option = 'trustedProxies') {
    for (const [at, entry] of entries.entries()) {
      const { address, bits, family } = networkOf(entry, `${option}[${at}]`)
      this.#list.addSubnet(address, bits, family)
    }
    this.#some = entries.length > 0
  }

  includes(address: string | undefined): boolean {
    if (!this.#some || address === undefined) return false
    const plain = plainAddress(address)
    const family = plain === undefined ? 0 : isIP(plain)
    return family !== 0 && this.#list.check(plain as string, family === 6 ? 'ipv6' : 'ipv4')
  }

  /**
   * The client's address. The hops are read from the nearest on, and the first that is not a proxy of the list
   * counts, since everything beyond it is only what that one said.
   *
   * @param remote - the address of the connection.
   */
  clientOf(remote: string | undefined, headers: ForwardingHeaders): string | undefined {
    if (!this.includes(remote)) return remote
    const hops = hopsOf(headers)
    let client = remote
    for (const hop of hops.slice(-MOST_HOPS).reverse()) {
      const address = plainAddress(hop)
      // "unknown" and hidden names (RFC 7239 section 6) tell no more than the proxy that wrote them.
      if (address === undefined) return client
      client = address
      if (!this.includes(address)) return client
    }
    return client
  }
}

/**
 * An address or network that was given as text.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` beginning with `where`.
 */
export function networkOf(entry: unknown, where: string) {
  const [address = '', prefix, ...more] = String(entry).split('/')
  const version = isIP(address)
  const most = version === 6 ? 128 : 32
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
  if (version === 0 || more.length > 0 || bits < 0 || bits > most) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `${where}: expected an IP address or a network such as 10.0.0.0/8, got ${JSON.stringify(entry)}`,
    )
  }
  return { address, bits, family: version === 6 ? 'ipv6' : 'ipv4' } as const
}

/** RFC 7239 where there is such a header, else the older one; the nearest hop last. */
function hopsOf({ forwarded, xForwardedFor }: ForwardingHeaders): string[] {
  const header = forwarded ?? xForwardedFor ?? ''
  // From the end: that is what the nearest proxies have written.
  const entries = header.slice(-MOST_HEADER).split(',')
  if (forwarded === undefined) return entries.map((entry) => entry.trim()).filter(Boolean)
  return entries.map((entry) => {
    const match = /(?:^|;)\s*for=(?:"([^"]*)"|([^;\s]*))/i.exec(entry)
    return match?.[1] ?? match?.[2] ?? 'unknown'
  })
}

/** An address without brackets, port and zone; IPv4 where it is mapped. */
function plainAddress(text: string): string | undefined {
  const [, bracketed] = /^\[([^\]]+)\](?::\d+)?$/.exec(text) ?? []
  const [, dotted] = /^(\d{1,3}(?:\.\d{1,3}){3})(?::\d+)?$/.exec(text) ?? []
  const address = (bracketed ?? dotted ?? text).replace(/%.*$/, '')
  const [, mapped] = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address) ?? []
  const plain = mapped ?? address
  return isIP(plain) === 0 ? undefined : plain
}
