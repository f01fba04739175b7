// An HTTP server that strangers reach: bounded in connections and in patience, and closed in good order.

import { createServer, type RequestListener, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Hono } from 'hono'
import { listenAt } from '../../listen-http.js'
import { limitConnections } from './connections.js'
import { expectProxyHeaders } from './proxy-protocol.js'
import { TrustedProxies } from './sources.js'

export interface HttpListenerOptions {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** Most connections at once. */
  readonly connections: number
  /** Of those, most of one source. @defaultValue all */
  readonly mostOfSource?: number
  /** Milliseconds for the head of a request; twice that for all of it. */
  readonly requestTimeout: number
  readonly proxies?: TrustedProxies
  /** Whose connections begin with a header of the PROXY protocol. @defaultValue nobody's */
  readonly proxyProtocol?: TrustedProxies
  /** Told about errors of the server itself, e.g. too many open files; it goes on. */
  readonly onError?: ((error: Error) => void) | undefined
}

/** What answers: Node's own objects, or those of the Fetch standard. */
export type HttpHandler = { readonly request: RequestListener } | { readonly fetch: Hono['fetch'] }

export interface HttpListener {
  /** `http://<host>:<port>`, as bound. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Stops listening, lets answers that are being made leave for a second, then ends all connections. */
  close(): Promise<void>
}

/** Milliseconds that a socket may be silent: more than the page's stream of events ever is. */
const IDLE_MS = 60_000
/** Milliseconds that answers have when the server closes. */
const CLOSING_MS = 1_000

/** @throws the system's error when it cannot listen. */
export async function listenHttp(
  handler: HttpHandler,
  options: HttpListenerOptions,
): Promise<HttpListener> {
  const { connections, requestTimeout, proxies = new TrustedProxies() } = options
  const serverOptions = {
    headersTimeout: requestTimeout,
    requestTimeout: 2 * requestTimeout,
    connectionsCheckingInterval: Math.max(100, Math.min(1_000, requestTimeout / 4)),
    keepAliveTimeout: 5_000,
    maxHeaderSize: 8_192,
  }
  const server =
    'request' in handler
      ? createServer(serverOptions, handler.request)
      : // Others in this process may use fetch() as Node made it.
        (createAdaptorServer({ ...handler, overrideGlobalObjects: false, serverOptions }) as Server)
  server.setTimeout(IDLE_MS)
  const { mostOfSource = connections } = options
  limitConnections(server, { most: connections, mostOfSource, proxies })
  if (options.proxyProtocol !== undefined) {
    expectProxyHeaders(server, options.proxyProtocol, requestTimeout)
  }
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    answerUnreadable(error, socket)
  })
  const bound = await listenAt(server, options.host, options.port)
  // From here on an error is a connection's that could not be accepted: no reason to end.
  server.on('error', (error) => options.onError?.(error))
  return {
    ...bound,
    close: () => closed(server),
  }
}

/** What never became a request: too slow, too long a head, no HTTP. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, name] = UNREADABLE[error.code ?? ''] ?? ['400 Bad Request', 'invalid']
  const body = JSON.stringify({ error: name, message: 'expected a request in HTTP/1.1' })
  // Not only ended: who never closes its side would keep the place.
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

const UNREADABLE: Readonly<Record<string, readonly [status: string, error: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'too-large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'timeout'],
}

async function closed(server: Server): Promise<void> {
  if (!server.listening) return
  await new Promise<void>((resolve) => {
    const impatient = setTimeout(() => server.closeAllConnections(), CLOSING_MS)
    server.close(() => {
      clearTimeout(impatient)
      resolve()
    })
    server.closeIdleConnections()
  })
}
