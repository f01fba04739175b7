// What every request to the page has to pass before anything looks at it, and the headers that every
// answer carries. Stops other web sites (CSRF, framing, DNS rebinding), not other programs of this
// machine: those are stopped by the token.

import { getConnInfo } from '@hono/node-server/conninfo'
import type { Context, MiddlewareHandler } from 'hono'

/** Nothing but our own files, no inline code, no text that turns into markup (Trusted Types). */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const HEADERS = {
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'Cache-Control': 'no-store',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), clipboard-read=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
} as const

/** A name that is not an address could be made to point here by anyone who owns it (DNS rebinding). */
const LOOPBACK_HOST = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/
const LOOPBACK_ADDRESS = /^(127\.|::1$|::ffff:127\.)/

/**
 * What proxies add to a request: RFC 7239, RFC 9110 section 7.6.3, and what came before them. A proxy on this
 * machine connects from loopback and may write any Host; most of them still say that they are one.
 */
const FORWARDED =
  /^(forwarded|via|x-forwarded(-.*)?|x-real-ip|x-original-(host|url|uri)|x-client-ip|x-cluster-client-ip|true-client-ip|cf-connecting-ip|fastly-client-ip)$/

/**
 * Answers 403 unless our page asks, from this machine.
 *
 * @param hosts - names under which a proxy of the owner's offers the page. That proxy decides who gets here: a
 * request under such a name may come from any address and may be forwarded.
 */
export function guard(hosts: readonly string[]): MiddlewareHandler {
  const names = new Set(hosts.map((name) => name.toLowerCase()))
  return async (context, next) => {
    const wrong = whatIsWrong(context, names)
    if (wrong === undefined) await next()
    else context.res = context.json({ error: 'forbidden', message: wrong }, 403)
    for (const [name, value] of Object.entries(HEADERS)) context.res.headers.set(name, value)
    return undefined
  }
}

function whatIsWrong(context: Context, names: ReadonlySet<string>): string | undefined {
  const host = context.req.header('host')?.toLowerCase() ?? ''
  const name = host.replace(/:\d{1,5}$/, '')
  // With two of them, a proxy between may have looked at the other (RFC 9112 section 3.2).
  if (hostsTold(context) > 1) return 'Host: expected one'
  // A whole address outranks Host (RFC 9112 section 3.2.2); only proxies are sent one.
  if (!targetOf(context).startsWith('/')) return 'expected a path'
  if (!names.has(name)) {
    if (!LOOPBACK_HOST.test(name)) return 'Host: expected localhost or a loopback address'
    if (!LOOPBACK_ADDRESS.test(remoteAddress(context))) {
      return 'expected a connection from this machine; use a tunnel such as `ssh -L`'
    }
    const forwarded = Object.keys(context.req.header()).find((header) => FORWARDED.test(header))
    if (forwarded !== undefined) {
      return `${forwarded}: expected no proxy, or one under a name that the owner has given`
    }
  }
  // Browsers say where a request comes from; both headers are out of a foreign script's reach.
  const site = context.req.header('sec-fetch-site')
  const navigates = context.req.header('sec-fetch-mode') === 'navigate'
  if (context.req.method === 'GET') {
    if (site === undefined || site === 'same-origin' || site === 'none' || navigates)
      return undefined
    return 'expected a request of this page'
  }
  const origin = context.req.header('origin')
  if (origin !== `http://${host}` && origin !== `https://${host}`) {
    return 'Origin: expected this page'
  }
  if (site !== undefined && site !== 'same-origin') return 'expected a request of this page'
  // A form cannot send this type without asking first (CORS preflight).
  if (context.req.header('content-type') !== 'application/json') {
    return 'Content-Type: expected application/json'
  }
  return undefined
}

type Incoming = { readonly url?: string; readonly rawHeaders?: readonly string[] }

function incomingOf(context: Context): Incoming {
  return (context.env as { incoming?: Incoming } | undefined)?.incoming ?? {}
}

/** The request's target as it was sent; the path where the server is not Node's. */
function targetOf(context: Context): string {
  return incomingOf(context).url ?? context.req.path
}

function hostsTold(context: Context): number {
  const names = (incomingOf(context).rawHeaders ?? []).filter((_, at) => at % 2 === 0)
  return names.filter((name) => name.toLowerCase() === 'host').length
}

function remoteAddress(context: Context): string {
  try {
    return getConnInfo(context).remote.address ?? ''
  } catch {
    return ''
  }
}
