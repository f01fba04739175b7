// The addresses of a service, now and whenever they change: for the members of a fleet of DTLS servers, which are
// behind one name.

import { lookup as dnsLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { functionOption, integerOption, objectOption } from '../options.js'
import { MOST_ENDPOINTS } from './endpoint.js'
import type { Endpoint, Resolver } from './types.js'

/** An address, and the port of the endpoint that has it. */
export interface ServiceAddress {
  readonly host: string
  readonly port: number
}

export interface WatchAddressesOptions {
  /** Ends the loop. */
  readonly signal?: AbortSignal
  /**
   * Milliseconds between two questions, 100 to 3_600_000.
   *
   * @defaultValue 5_000
   */
  readonly interval?: number
  /**
   * Finds all addresses of a name.
   *
   * @defaultValue dns.promises.lookup with `all: true`
   */
  readonly lookup?: (name: string) => Promise<readonly { readonly address: string }[]>
  /** Told of each failure: the addresses before it hold. */
  readonly onError?: (error: Error) => void
}

const WATCH_DEFAULTS = {
  signal: undefined,
  interval: 5_000,
  lookup: undefined,
  onError: undefined,
} as const satisfies OptionTable<WatchAddressesOptions>

/**
 * Asks a resolver for a service's endpoints, looks up every address of those that are names, and gives the list, each
 * time it changes. A name with several A or AAAA records, as a headless service of Kubernetes has, gives
 * several addresses. It goes on after failures, which leave the list as it was.
 *
 * @example
 * ```ts
 * const members = staticResolver({ fleet: 'gateway.default.svc.cluster.local:5685' })
 * for await (const list of watchAddresses(members, 'fleet', { signal })) server.setFleetMembers(list)
 * ```
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
 */
export async function* watchAddresses(
  resolver: Resolver,
  service: string,
  options: WatchAddressesOptions = {},
): AsyncGenerator<readonly ServiceAddress[], void, undefined> {
  objectOption('options', options)
  refuseUnknown('watchAddresses', options, WATCH_DEFAULTS)
  const { signal } = options
  const onError = functionOption('onError', options.onError)
  const lookup = functionOption('lookup', options.lookup) ?? lookUp
  const bounds = { min: 100, max: 3_600_000, unit: 'ms' }
  const interval = integerOption('interval', options.interval, bounds, WATCH_DEFAULTS.interval)
  let before = ''
  while (!signal?.aborted) {
    try {
      const endpoints = await resolver.resolve(service, signal ? { signal } : {})
      const found = await addressesOf(endpoints, lookup)
      const now = JSON.stringify(found)
      if (found.length > 0 && now !== before) {
        before = now
        yield found
      }
    } catch (error) {
      if (signal?.aborted) return
      onError?.(error as Error)
    }
    await sleep(interval, undefined, signal ? { signal } : {}).catch(() => {})
  }
}

async function addressesOf(
  endpoints: readonly Endpoint[],
  lookup: NonNullable<WatchAddressesOptions['lookup']>,
): Promise<ServiceAddress[]> {
  const each = await Promise.all(
    endpoints.slice(0, MOST_ENDPOINTS).map(async ({ host, port }) => {
      const addresses = isIP(host) === 0 ? await lookup(host) : [{ address: host }]
      return addresses.map(({ address }) => ({ host: address, port }))
    }),
  )
  const known = new Map(each.flat().map((found) => [`${found.port} ${found.host}`, found]))
  return [...known.keys()]
    .sort()
    .slice(0, MOST_ENDPOINTS)
    .map((key) => known.get(key) as ServiceAddress)
}

function lookUp(name: string): Promise<readonly { readonly address: string }[]> {
  return dnsLookup(name, { all: true })
}
