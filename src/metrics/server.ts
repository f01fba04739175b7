// The addresses at which a process tells how it is: /metrics for Prometheus, /healthz and /readyz for the
// system that starts and stops it. They take nothing and have nothing secret, so anybody on their network may ask.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listenAt } from '../listen-http.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { portOption } from '../options.js'
import type { Metrics } from './metrics.js'

/** Whether the process does what it is there for now. */
export type Readiness =
  | true
  | {
      /** A word or two, without names: anybody may read it. */
      readonly notReady: string
    }

export interface ServeOperationsOptions {
  /** @defaultValue '127.0.0.1' */
  readonly host?: string
  /** 0 takes a free one. @defaultValue 0 */
  readonly port?: number
  /** Absent: no `/metrics`. */
  readonly metrics?: Pick<Metrics, 'registry'>
  /** Asked at each `/readyz`. What it throws or rejects with means not ready. @defaultValue always ready */
  readonly ready?: () => Readiness | Promise<Readiness>
}

const OPTIONS = {
  host: undefined,
  port: undefined,
  metrics: undefined,
  ready: undefined,
} as const satisfies OptionTable<ServeOperationsOptions>

/** The one place where defaults are written. */
export const OPERATIONS_DEFAULTS = { host: '127.0.0.1', port: 0 } as const

export interface OperationsServer {
  /** `http://<host>:<port>`, as bound. */
  readonly url: string
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

/** A handful of scrapers and probes. */
const MOST_CONNECTIONS = 64
const REQUEST_MS = 10_000

/**
 * Serves `/metrics`, `/healthz` (200 while the event loop runs) and `/readyz` (200 or 503).
 *
 * @throws the system's error when it cannot listen; `MCBN_OPTION_TYPE` or `MCBN_OPTION_RANGE` for a port.
 */
export async function serveOperations(
  options: ServeOperationsOptions = {},
): Promise<OperationsServer> {
  refuseUnknown('serveOperations', options, OPTIONS)
  const { host } = { ...OPERATIONS_DEFAULTS, ...options }
  const port = portOption(options.port, OPERATIONS_DEFAULTS.port)
  const scrape = shared(async () => await options.metrics?.registry.metrics())
  const answer = async (path: string): Promise<Answer> => {
    if (path === '/healthz') return json(200, { ok: true })
    if (path === '/readyz') {
      const readiness = await readinessOf(options.ready)
      return json(readiness === true ? 200 : 503, {
        ready: readiness === true,
        ...(readiness !== true && { reason: readiness.notReady }),
      })
    }
    const text = path === '/metrics' ? await scrape() : undefined
    if (text === undefined) return json(404, { error: 'not-found' })
    return { status: 200, type: options.metrics?.registry.contentType ?? 'text/plain', body: text }
  }
  const server = createServer(
    { headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, maxHeaderSize: 4_096 },
    (request, response) => {
      void handle(request, answer).then(
        (given) => send(response, request, given),
        () => send(response, request, json(500, { error: 'internal' })),
      )
    },
  )
  server.maxConnections = MOST_CONNECTIONS
  server.setTimeout(REQUEST_MS)
  const bound = await listenAt(server, host, port)
  // A connection that cannot be accepted is no reason to end.
  server.on('error', () => undefined)
  return {
    ...bound,
    async close() {
      if (!server.listening) return
      const done = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await done
    },
  }
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

async function handle(
  { method, url = '' }: IncomingMessage,
  answer: (path: string) => Promise<Answer>,
): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return json(405, { error: 'method' })
  return await answer(url.replace(/\?.*$/, ''))
}

function send(response: ServerResponse, request: IncomingMessage, { status, type, body }: Answer) {
  // A body was not asked for, and is not read.
  if (!request.complete) response.setHeader('Connection', 'close')
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(status === 405 && { Allow: 'GET, HEAD' }),
  })
  response.end(body)
}

function json(status: number, object: object): Answer {
  return { status, type: 'application/json', body: JSON.stringify(object) }
}

async function readinessOf(ready: ServeOperationsOptions['ready']): Promise<Readiness> {
  try {
    return (await ready?.()) ?? true
  } catch {
    return { notReady: 'cannot be told' }
  }
}

/** However many ask at once, it is done once. */
function shared<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let running: Promise<Result> | undefined
  return () => {
    running ??= work().finally(() => {
      running = undefined
    })
    return running
  }
}
