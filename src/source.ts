// Whom a request, a connection or a lookup is counted by, so that one stranger gets no more than a share: an address,
// or the network that one customer has.

import { isIPv6 } from 'node:net'

/** The smallest first. */
export interface Source {
  /** The IPv4 address, or the IPv6 network of 64 bits: the holder of one address there has them all (RFC 6177). */
  readonly own: string
  /** IPv6 only: the network of 48 bits that a site commonly gets (RFC 6177). */
  readonly site?: string
}

const UNKNOWN: Source = { own: 'unknown' }
/** IPv4 hosts behind NAT64 (RFC 6052): each has its address. */
const NAT64 = /^64:ff9b:/i

/** The source that a remote address stands for. */
export function sourceOf(address: string | undefined): Source {
  if (address === undefined) return UNKNOWN
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address)
  if (mapped?.[1] !== undefined) return { own: mapped[1] }
  if (!isIPv6(address) || NAT64.test(address)) return { own: address }
  const groups = groupsOf(address)
  return {
    own: `${groups.slice(0, 4).join(':')}::/64`,
    site: `${groups.slice(0, 3).join(':')}::/48`,
  }
}

/** The eight groups, without leading zeros; a dotted end counts as it is, since only the first four matter. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = address.replace(/%.*$/, '').toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const dotted = address.includes('.') ? 1 : 0
  const missing = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length - dotted)
  const groups = [...before, ...new Array<string>(missing).fill('0'), ...after]
  return groups.map((group) => group.replace(/^0+(?=.)/, ''))
}
