// DNS SRV (RFC 2782): priority and weight in the record; A and AAAA are left to the code that connects.

import { Resolver as DnsResolver } from 'node:dns/promises'
import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import {
  functionOption,
  integerOption,
  millisecondsOption,
  objectOption,
  typeName,
} from '../options.js'
import { isHost, MOST_ENDPOINTS, parseEndpoint } from './endpoint.js'
import { type Endpoint, type ResolveOptions, type Resolver, signalOf } from './types.js'

export interface DnsSrvOptions {
  /**
   * DNS servers to ask: addresses, each with `:port` where it is not 53; IPv6 in brackets then.
   *
   * @defaultValue those of the system (`/etc/resolv.conf`).
   */
  readonly servers?: readonly string[]
  /**
   * Milliseconds until the first try of each server is repeated.
   *
   * @defaultValue 2_000
   */
  readonly timeout?: number
  /**
   * How often each server is asked before giving up, 1 to 10.
   *
   * @defaultValue 2
   */
  readonly tries?: number
  /**
   * Milliseconds an answer is used again; `0` asks every time. Node.js does not tell the TTL of an SRV
   * record, so this stands in its place: choose at most what the zone says.
   *
   * @defaultValue 5_000
   */
  readonly cacheTime?: number
  /**
   * Told of every record that cannot be used, and why: its target is not a host name, or its port is 0.
   * Without it such a record is told only when no other is left.
   */
  readonly onUnusable?: (reason: string) => void
}

/** The options and their defaults. */
export const DNS_SRV_DEFAULTS = {
  servers: undefined,
  timeout: 2_000,
  tries: 2,
  cacheTime: 5_000,
  onUnusable: undefined,
} as const satisfies OptionTable<DnsSrvOptions>

/** Names whose answers are kept at once; the oldest goes first. */
const MOST_CACHED = 256

/**
 * The name to ask for, by RFC 2782: `_mcbn._tcp.example.com`, or `_mcbn._udp.example.com` for DTLS.
 *
 * @param protocol - what is spoken there; decides between `_tcp` and `_udp`.
 * @param service - the service's name. @defaultValue 'mcbn'
 */
export function srvName(protocol: 'tls' | 'dtls', domain: string, service = 'mcbn'): string {
  return `_${service}._${protocol === 'tls' ? 'tcp' : 'udp'}.${domain}`
}

/**
 * A resolver over DNS SRV records. Asks for the name as it is given: full, without the search list of
 * resolv.conf.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
 */
export function dnsSrvResolver(options: DnsSrvOptions = {}): Resolver {
  objectOption('options', options)
  refuseUnknown('dnsSrvResolver', options, DNS_SRV_DEFAULTS)
  return new DnsSrv(options)
}

class DnsSrv implements Resolver {
  readonly #servers: readonly string[] | undefined
  readonly #timeout: number
  readonly #tries: number
  readonly #cacheTime: number
  readonly #onUnusable: DnsSrvOptions['onUnusable']
  readonly #cache = new Map<string, { readonly until: number; readonly found: Endpoint[] }>()
  readonly #asking = new Set<DnsResolver>()
  #closed = false

  constructor({ servers, timeout, tries, cacheTime, onUnusable }: DnsSrvOptions) {
    const { timeout: wait, tries: times, cacheTime: keep } = DNS_SRV_DEFAULTS
    this.#timeout = integerOption('timeout', timeout, { min: 1, max: 60_000, unit: 'ms' }, wait)
    this.#tries = integerOption('tries', tries, { min: 1, max: 10 }, times)
    this.#cacheTime = millisecondsOption('cacheTime', cacheTime, keep)
    this.#servers = serversOption(servers)
    this.#onUnusable = functionOption('onUnusable', onUnusable)
  }

  async resolve(service: string, options: ResolveOptions = {}): Promise<readonly Endpoint[]> {
    const signal = signalOf(options)
    if (this.#closed) {
      throw new McbnError('MCBN_SOCKET_CLOSED', 'this resolver is closed: make a new one')
    }
    signal?.throwIfAborted()
    if (!isHost(service)) {
      throw new McbnError(
        'MCBN_DISCOVERY_FAILED',
        'service: expected a domain name such as _mcbn._tcp.example.com',
      )
    }
    const kept = this.#cache.get(service)
    if (kept !== undefined && performance.now() < kept.until) return kept.found
    this.#cache.delete(service)
    const found = await this.#ask(service, signal)
    this.#keep(service, found)
    return found
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const resolver of this.#asking) resolver.cancel()
    this.#cache.clear()
  }

  async #ask(name: string, signal: AbortSignal | undefined): Promise<Endpoint[]> {
    // One for each question: cancel() cancels all questions of a resolver.
    const resolver = new DnsResolver({ timeout: this.#timeout, tries: this.#tries })
    if (this.#servers) resolver.setServers(this.#servers)
    const cancel = (): void => resolver.cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    this.#asking.add(resolver)
    try {
      return endpointsOf(name, await resolver.resolveSrv(name), this.#onUnusable)
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (error instanceof McbnError) throw error
      const code = (error as NodeJS.ErrnoException).code ?? 'no answer'
      const why = WHY[code] ?? code
      throw new McbnError('MCBN_DISCOVERY_FAILED', `${name}: ${why}`, { cause: error })
    } finally {
      signal?.removeEventListener('abort', cancel)
      this.#asking.delete(resolver)
    }
  }

  #keep(service: string, found: Endpoint[]): void {
    if (this.#cacheTime === 0 || this.#closed) return
    const [oldest] = this.#cache.keys()
    if (this.#cache.size >= MOST_CACHED && oldest !== undefined) this.#cache.delete(oldest)
    this.#cache.set(service, { until: performance.now() + this.#cacheTime, found })
  }
}

/** What c-ares says, in words. */
const WHY: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name does not exist (ENOTFOUND)',
  ENODATA: 'the name has no SRV record (ENODATA)',
  ETIMEOUT: 'no DNS server answered in time (ETIMEOUT)',
  ECONNREFUSED: 'no DNS server could be reached (ECONNREFUSED)',
  ECANCELLED: 'the resolver was closed meanwhile (ECANCELLED)',
  EBADRESP: 'the DNS server answered something unreadable (EBADRESP)',
  ESERVFAIL: 'the DNS server failed (ESERVFAIL)',
  EREFUSED: 'the DNS server refused to answer (EREFUSED)',
}

function endpointsOf(
  name: string,
  records: readonly { name: string; port: number; priority: number; weight: number }[],
  onUnusable: DnsSrvOptions['onUnusable'],
): Endpoint[] {
  // "A Target of '.' means that the service is decidedly not available at this domain" (RFC 2782).
  if (records.length === 1 && (records[0]?.name === '' || records[0]?.name === '.')) {
    const message = `${name}: the domain says that it does not offer this service (target ".")`
    throw new McbnError('MCBN_DISCOVERY_FAILED', message)
  }
  const read = records
    .slice(0, MOST_ENDPOINTS)
    .map(({ name: host, port, priority, weight }) =>
      parseEndpoint({ host, port, priority, weight }),
    )
  const endpoints = read.filter((endpoint) => typeof endpoint !== 'string')
  const unusable = read.filter((endpoint) => typeof endpoint === 'string')
  for (const reason of unusable) onUnusable?.(`${name}: an SRV record cannot be used: ${reason}`)
  if (endpoints.length > 0) return endpoints
  const [first] = unusable
  const message = `${name}: none of ${records.length} SRV records can be used; of the first, ${first ?? 'nothing was said'}`
  throw new McbnError('MCBN_DISCOVERY_FAILED', message)
}

function serversOption(servers: unknown): readonly string[] | undefined {
  if (servers === undefined) return undefined
  const expected =
    'servers: expected addresses such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]'
  if (!Array.isArray(servers) || !servers.every((server) => typeof server === 'string')) {
    throw new McbnError('MCBN_OPTION_TYPE', `${expected}, got ${typeName(servers)}`)
  }
  if (servers.length === 0) throw new McbnError('MCBN_OPTION_RANGE', `${expected}, got none`)
  try {
    new DnsResolver().setServers(servers as string[])
  } catch (cause) {
    throw new McbnError('MCBN_OPTION_RANGE', expected, { cause })
  }
  return [...(servers as string[])]
}
