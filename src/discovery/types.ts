// What a resolver is. Anything that can turn a name into addresses is one: three come with mcbn, and
// examples/xds.ts is a fourth in a few lines.

import { type OptionTable, refuseUnknown } from '../option-names.js'

/**
 * Where a service might be reached. Nobody vouches for it: a pre-shared key decides who is there, so a
 * wrong endpoint costs an attempt and nothing more.
 */
export interface Endpoint {
  /** An IP address, or a name whose A and AAAA records are asked for when connecting. */
  readonly host: string
  /** TCP or UDP port, 1 to 65,535. */
  readonly port: number
  /** 0 to 65,535; the lowest is tried first (RFC 2782). */
  readonly priority: number
  /** 0 to 65,535: the share of the connections among endpoints of one priority (RFC 2782). */
  readonly weight: number
  /** The name to ask the server for (RFC 6066 section 3), where the resolver knows one. */
  readonly servername?: string
}

export interface ResolveOptions {
  /** Gives up: what is under way rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

const RESOLVE_OPTIONS = { signal: undefined } as const satisfies OptionTable<ResolveOptions>

/** @internal */
export function signalOf(options: ResolveOptions): AbortSignal | undefined {
  refuseUnknown('resolve', options, RESOLVE_OPTIONS)
  return options.signal
}

/** Turns the name of a service into endpoints. */
export interface Resolver {
  /**
   * Finds where a service is now.
   *
   * @param service - a name as this resolver's directory spells it.
   * @returns at least one endpoint, in any order: {@link orderEndpoints} orders them.
   * @throws {McbnError} `MCBN_DISCOVERY_FAILED` when there is no endpoint, or no directory answers.
   */
  resolve(service: string, options?: ResolveOptions): Promise<readonly Endpoint[]>
  /**
   * Finds where a service is, now and whenever that changes, until `signal` or the loop ends it. May
   * give an empty list: the service has no endpoint just now.
   *
   * @throws {McbnError} `MCBN_DISCOVERY_FAILED` when the first question fails; later ones are repeated.
   */
  watch?(service: string, options?: ResolveOptions): AsyncIterable<readonly Endpoint[]>
  /** Ends everything under way and gives back what was borrowed; never rejects. */
  close?(): Promise<void>
}
