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

/** A name that is no address could be made to point here by whoever owns it (DNS rebinding). */
const LOOPBACK_HOST = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/
const LOOPBACK_ADDRESS = /^(127\.|::1$|::ffff:127\.)/

/**
 * Answers 403 to whoever is not a page of ours asking from this machine.
 *
 * @param hosts - further names under which a proxy of the owner's offers the page; the proxy then
 * decides who gets here, so the sender's address is no longer asked for.
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
  if (!LOOPBACK_HOST.test(name) && !names.has(name)) {
    return 'Host: expected localhost or a loopback address'
  }
  if (names.size === 0 && !LOOPBACK_ADDRESS.test(remoteAddress(context))) {
    return 'expected a connection from this machine; use a tunnel such as `ssh -L`'
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

function remoteAddress(context: Context): string {
  try {
    return getConnInfo(context).remote.address ?? ''
  } catch {
    return ''
  }
}
