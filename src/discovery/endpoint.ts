// Endpoints as strangers name them: checked, then put in the order of RFC 2782.

import { isIP, isIPv6 } from 'node:net'
import type { Endpoint } from './types.js'

/**
 * How many endpoints of one answer are looked at. A DNS message of 64 KiB holds about as many; a sender of
 * more wants to drown out the others.
 */
export const MOST_ENDPOINTS = 1_024

/** Priority and weight have 16 bits in an SRV record (RFC 2782). */
const LARGEST = 65_535

/**
 * One endpoint out of untrusted data, as a fresh object.
 *
 * @returns the endpoint, or what is wrong with it. The text repeats nothing of the value.
 */
export function parseEndpoint(value: unknown): Endpoint | string {
  if (value === null || typeof value !== 'object') return 'it is not an object'
  const { host, port, priority, weight, servername } = value as Partial<Record<string, unknown>>
  if (!isHost(host)) return 'its host is neither an address nor a name'
  if (!isWithin(port, 1)) return 'its port is not an integer from 1 to 65535'
  if (!isWithin(priority, 0)) return 'its priority is not an integer from 0 to 65535'
  if (!isWithin(weight, 0)) return 'its weight is not an integer from 0 to 65535'
  if (servername === undefined) return { host, port, priority, weight }
  if (!isHost(servername) || isIP(servername) !== 0) return 'its servername is not a name'
  return { host, port, priority, weight, servername }
}

/**
 * The order in which to try endpoints: by priority, and by chance within a priority, so that each is
 * first as often as its weight says (RFC 2782). Those of weight 0 have a very small chance to come
 * before others, and an even one among themselves.
 *
 * @param random - gives numbers from 0 up to 1; a seeded one makes the order repeatable.
 * @returns a new array; nothing is left out.
 */
export function orderEndpoints(
  endpoints: readonly Endpoint[],
  random: () => number = Math.random,
): Endpoint[] {
  const priorities = [...new Set(endpoints.map(({ priority }) => priority))].sort((a, b) => a - b)
  return priorities.flatMap((priority) =>
    byWeight(
      endpoints.filter((endpoint) => endpoint.priority === priority),
      random,
    ),
  )
}

function byWeight(endpoints: readonly Endpoint[], random: () => number): Endpoint[] {
  // The RFC leaves the order before drawing open, except for those of weight 0, which come first. A shuffled
  // one spreads connections where nobody set weights, which is nearly everywhere.
  const shuffled = shuffle(endpoints, random)
  const left = [
    ...shuffled.filter(({ weight }) => weight === 0),
    ...shuffled.filter(({ weight }) => weight > 0),
  ]
  let sum = left.reduce((total, { weight }) => total + weight, 0)
  const ordered: Endpoint[] = []
  while (left.length > 0) {
    // From 0 to the sum, both included; the first whose running sum reaches it is next.
    const drawn = Math.floor(random() * (sum + 1))
    let running = 0
    const at = left.findIndex(({ weight }) => {
      running += weight
      return running >= drawn
    })
    const [next] = left.splice(at, 1)
    if (next === undefined) break
    sum -= next.weight
    ordered.push(next)
  }
  return ordered
}

function shuffle(endpoints: readonly Endpoint[], random: () => number): Endpoint[] {
  const keyed = endpoints.map((endpoint) => ({ endpoint, key: random() }))
  return keyed.sort((a, b) => a.key - b.key).map(({ endpoint }) => endpoint)
}

/** host:port, IPv6 in brackets. */
export function endpointText({ host, port }: Pick<Endpoint, 'host' | 'port'>): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/**
 * Whether this is an IP address or a host name. Stricter than DNS, which allows any byte: such a name
 * ends up in logs and URLs. Underscores are allowed, as container networks use them.
 */
export function isHost(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 253) return false
  if (isIP(value) !== 0) return true
  if (/^[\d.]*$/.test(value)) return false
  return value
    .replace(/\.$/, '')
    .split('.')
    .every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))
}

function isWithin(value: unknown, least: number): value is number {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= LARGEST
}
