// Endpoints that are written down.

import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { objectOption } from '../options.js'
import { parseEndpoint } from './endpoint.js'
import { type Endpoint, type Resolver, signalOf } from './types.js'

const ENDPOINT_FIELDS = {
  host: undefined,
  port: undefined,
  priority: 0,
  weight: 0,
  servername: undefined,
} as const satisfies OptionTable<Endpoint>

/** One endpoint as people write it: `host:port`, IPv6 in brackets, or its fields. */
export type StaticEndpoint =
  | string
  | (Pick<Endpoint, 'host' | 'port'> & {
      /** @defaultValue 0 */
      readonly priority?: number
      /** @defaultValue 0 */
      readonly weight?: number
      readonly servername?: string
    })

/**
 * A resolver over a record that the application has: service name to endpoints.
 *
 * @param services - read once; e.g. `{ ledger: ['10.0.0.7:8081', { host: 'b.example', port: 8081, priority: 1 }] }`.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, naming service and position.
 */
export function staticResolver(
  services: Readonly<Record<string, StaticEndpoint | readonly StaticEndpoint[]>>,
): Resolver {
  objectOption('services', services)
  // A Map: the name asked for may be anybody's, `__proto__` included.
  const known = new Map(
    Object.entries(services).map(([service, given]) => {
      const list = (Array.isArray(given) ? given : [given]) as readonly StaticEndpoint[]
      return [service, list.map((each, at) => endpointOf(each, `services.${service}[${at}]`))]
    }),
  )
  return {
    async resolve(service, options = {}) {
      signalOf(options)?.throwIfAborted()
      const endpoints = known.get(service) ?? []
      if (endpoints.length > 0) return endpoints
      throw new McbnError(
        'MCBN_DISCOVERY_FAILED',
        `service ${JSON.stringify(service)}: expected one of ${known.size} that are written down here`,
      )
    },
  }
}

function endpointOf(given: StaticEndpoint, where: string): Endpoint {
  const fields = typeof given === 'string' ? hostAndPort(given) : given
  if (typeof given === 'object' && given !== null) refuseUnknown(where, given, ENDPOINT_FIELDS)
  const parsed =
    fields === undefined
      ? 'it is not host:port'
      : parseEndpoint({ ...ENDPOINT_FIELDS, ...(fields as object) })
  if (typeof parsed !== 'string') return parsed
  throw new McbnError('MCBN_OPTION_RANGE', `${where}: expected an endpoint, but ${parsed}`)
}

function hostAndPort(text: string): { host: string; port: number } | undefined {
  const { v6, name, port } =
    /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]+)):(?<port>\d{1,5})$/.exec(text)?.groups ?? {}
  const host = v6 ?? name
  return host === undefined ? undefined : { host, port: Number(port) }
}
