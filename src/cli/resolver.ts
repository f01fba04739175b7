// Where `connect` goes: to the place in the URL, or to where a resolver says that the service is.

import type { Resolver } from '../discovery/index.js'
import { UsageError } from './exit.js'
import { parseTarget, type Target } from './url.js'

/** What a resolver adds to one try. */
export interface Try {
  readonly signal?: AbortSignal
  readonly servername?: string
}

export interface Destination {
  /** For what depends on the protocol. Without a resolver, the place itself. */
  readonly target: Target
  /** Dials until one place answers. Rejects with the error of the only place, or of all. */
  reach(dial: (target: Target, more: Try) => Promise<void>): Promise<void>
}

/**
 * Reads the URL, which names a service where there is a resolver.
 *
 * @param resolver - `dns:`, `dns:server,server`, `consul:` or `consul:http://host:port`.
 * @throws {UsageError}
 */
export function destinationOf(url: string, resolver: string | undefined): Destination {
  if (resolver === undefined) {
    const target = parseTarget(url)
    if (target.port === 0) {
      throw new UsageError(
        `url "${url}": port 0 is for mcbn listen; connect needs the server's port`,
      )
    }
    return { target, reach: (dial) => dial(target, {}) }
  }
  const { protocol, name } = parseService(url)
  const directory = parseResolver(resolver)
  return {
    target: { protocol, host: name, port: 0 },
    async reach(dial) {
      const discovery = await import('../discovery/index.js')
      const service =
        directory.kind === 'dns' && !name.startsWith('_') ? discovery.srvName(protocol, name) : name
      const found = openResolver(directory, discovery)
      try {
        await discovery.tryEndpoints(
          found,
          service,
          ({ host, port, servername }, signal) =>
            dial({ protocol, host, port }, { signal, ...(servername && { servername }) }),
          // Each try is bounded by --handshake-timeout, the resolver by its own limits.
          { attemptTimeout: 0, timeout: 0 },
        )
      } finally {
        await found.close?.()
      }
    },
  }
}

type Directory =
  | { readonly kind: 'dns'; readonly servers: readonly string[] }
  | { readonly kind: 'consul'; readonly address: string }

function openResolver(
  directory: Directory,
  { consulResolver, dnsSrvResolver }: typeof import('../discovery/index.js'),
): Resolver {
  if (directory.kind === 'dns') {
    const { servers } = directory
    return dnsSrvResolver(servers.length > 0 ? { servers } : {})
  }
  const { address } = directory
  // As Consul's own command: on the command line every user of the machine could read it.
  const token = process.env['CONSUL_HTTP_TOKEN']
  return consulResolver({ ...(address && { address }), ...(token && { token }) })
}

function parseResolver(text: string): Directory {
  const [, kind, rest = ''] = /^(dns|consul):(.*)$/.exec(text) ?? []
  if (kind === 'dns') return { kind, servers: rest === '' ? [] : rest.split(',') }
  if (kind === 'consul') return { kind, address: rest }
  // Not repeated: there may be a token in it.
  throw new UsageError(
    '--resolver: expected dns:, dns:<server>[,<server>], consul: or consul:http://<host>:<port>',
  )
}

function parseService(url: string): { protocol: 'tls' | 'dtls'; name: string } {
  const [, protocol, name] = /^(tls|dtls):\/\/([^:/?#@[\]\s]+)\/?$/i.exec(url) ?? []
  if (protocol === undefined || name === undefined) {
    throw new UsageError(
      `url "${url.replace(/\/\/.*@/, '//...@')}": expected tls://name or dtls://name without a port, which --resolver finds`,
    )
  }
  return { protocol: protocol.toLowerCase() as 'tls' | 'dtls', name }
}
