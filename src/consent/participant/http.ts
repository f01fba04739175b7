// A participant on HTTP: the messages of protocol.ts, on a server of Node's or within one of the caller's.
//
// Cleartext on purpose: the operator who carries these messages is the one they are protected from, so TLS
// to some proxy of the operator's would protect nothing. A share leaves sealed to a key that the evidence is
// bound to, challenges are good once, and every answer is signed: reading gains nothing, altering is noticed,
// and stopping messages is what an operator can do anyway. Nothing here is a secret or takes one. (The page of a
// participant is another matter: it has its own address, see web/serve.ts.)

import type { IncomingMessage, RequestListener } from 'node:http'
import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono } from 'hono'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { integerOption, portOption } from '../../options.js'
import { type Source, sourceOf } from '../../source.js'
import { bodyWithin } from '../base/read-within.js'
import { type BudgetName, Budgets } from './budgets.js'
import { type HttpListener, listenHttp } from './http-listener.js'
import type { Participant } from './participant.js'
import { ANSWER_HEADERS, protocol } from './protocol.js'
import { TrustedProxies } from './sources.js'

export interface ServeParticipantOptions {
  /** @defaultValue '127.0.0.1' */
  readonly host?: string
  /** 0 takes a free one. @defaultValue 0 */
  readonly port?: number
  /**
   * Requests a second that one source may send, over ten seconds; half as much evidence, a fifth of each of the
   * rest, counted apart. A source is an IPv4 address or an IPv6 network of 64 bits; one of 48 bits may send four
   * times as much. Instances that renew a lease are not held to it. @defaultValue 100
   */
  readonly requestsPerSecond?: number
  /**
   * Addresses and networks (`10.0.0.0/8`) of the proxies whose `Forwarded` (RFC 7239) or `X-Forwarded-For` is
   * believed. Without it all that comes through a proxy is one source. @defaultValue none
   */
  readonly trustedProxies?: readonly string[]
  /**
   * Addresses and networks of the proxies whose connections begin with a header of the PROXY protocol, version 2.
   * It tells the client, and has to be there; from others none is taken. @defaultValue none
   */
  readonly proxyProtocol?: readonly string[]
  /** Most connections at once; one source may have a quarter of them. @defaultValue 1_024 */
  readonly connections?: number
  /** Milliseconds for the head of a request; twice that for all of it. @defaultValue 10_000 */
  readonly requestTimeout?: number
  /** Told about errors of the server itself, e.g. too many open files; it goes on. */
  readonly onError?: (error: Error) => void
}

const OPTIONS = {
  host: undefined,
  port: undefined,
  requestsPerSecond: undefined,
  trustedProxies: undefined,
  proxyProtocol: undefined,
  connections: undefined,
  requestTimeout: undefined,
  onError: undefined,
} as const satisfies OptionTable<ServeParticipantOptions>

/** The one place where defaults are written. */
export const HTTP_DEFAULTS = {
  host: '127.0.0.1',
  port: 0,
  requestsPerSecond: 100,
  connections: 1_024,
  requestTimeout: 10_000,
} as const satisfies ServeParticipantOptions

/** Where a participant listens. */
export interface ParticipantServer extends HttpListener {
  /** Requests since the start that were told to wait, by what their source had asked too often. */
  readonly throttled: Readonly<Record<BudgetName, number>>
}

/**
 * Serves a participant. The participant stays the caller's to close.
 *
 * @throws the system's error when it cannot listen; `MCBN_OPTION_TYPE` or `MCBN_OPTION_RANGE` for a limit.
 */
export async function serveParticipant(
  participant: Participant,
  options: ServeParticipantOptions = {},
): Promise<ParticipantServer> {
  refuseUnknown('serveParticipant', options, OPTIONS)
  const { requestsPerSecond, ...limits } = resolve(options)
  const proxies = new TrustedProxies(options.trustedProxies)
  const budgets = new Budgets(requestsPerSecond)
  const request = nodeListener(participant, budgets, proxies)
  const mostOfSource = Math.max(1, Math.floor(limits.connections / 4))
  const { onError } = options
  const proxyProtocol = new TrustedProxies(options.proxyProtocol, 'proxyProtocol')
  const listener = await listenHttp(
    { request },
    { ...limits, mostOfSource, proxies, proxyProtocol, onError },
  )
  return {
    ...listener,
    get throttled() {
      return budgets.refused
    },
  }
}

/**
 * The routes alone, for another server of the caller's.
 *
 * @param trustedProxies - as {@link ServeParticipantOptions.trustedProxies}.
 * @throws {McbnError} `MCBN_OPTION_RANGE` naming the entry.
 */
export function participantApp(
  participant: Participant,
  requestsPerSecond: number = HTTP_DEFAULTS.requestsPerSecond,
  trustedProxies: readonly string[] = [],
): Hono {
  const proxies = new TrustedProxies(trustedProxies)
  return appWithin(participant, new Budgets(requestsPerSecond), proxies)
}

function appWithin(participant: Participant, budgets: Budgets, proxies: TrustedProxies): Hono {
  const answer = protocol(participant, budgets)
  return new Hono().all('*', async (context) => {
    const { req } = context
    const { status, headers, body } = await answer({
      method: req.method,
      path: req.path,
      contentType: req.header('content-type'),
      contentLength: req.header('content-length'),
      source: () => sourceIn(context, proxies),
      body: async (mostBytes) => await bodyWithin(req.raw, mostBytes),
    })
    const text = req.method === 'HEAD' ? null : JSON.stringify(body)
    return new Response(text, { status, headers: { ...ANSWER_HEADERS, ...headers } })
  })
}

/** On Node's own request and response: objects of the Fetch standard for each would take several times as long. */
function nodeListener(
  participant: Participant,
  budgets: Budgets,
  proxies: TrustedProxies,
): RequestListener {
  const answer = protocol(participant, budgets)
  return (request, response) => {
    const { method = '', headers } = request
    if (!URL.canParse(`http://${headers.host ?? 'none'}/`)) {
      // RFC 9112 section 3.2.
      response.writeHead(400, { ...ANSWER_HEADERS, connection: 'close' })
      response.end(JSON.stringify({ error: 'invalid', message: 'expected a host in Host' }))
      return
    }
    const [path = ''] = (request.url ?? '').split('?', 1)
    const source = () => {
      const { forwarded } = headers
      const said = { forwarded, xForwardedFor: joined(headers['x-forwarded-for']) }
      return sourceOf(proxies.clientOf(request.socket.remoteAddress, said))
    }
    const incoming = {
      ...{ method, path, source },
      contentType: headers['content-type'],
      contentLength: headers['content-length'],
      body: (mostBytes: number) => nodeBody(request, mostBytes),
    }
    void answer(incoming).then((outgoing) => {
      // The sender has gone, or the time for its message is over.
      if (response.destroyed || response.headersSent) return
      // Text: it leaves together with the head, in one piece.
      const text = JSON.stringify(outgoing.body)
      response.writeHead(outgoing.status, {
        ...ANSWER_HEADERS,
        ...outgoing.headers,
        'content-length': Buffer.byteLength(text),
        // What is left of a body that is too long is not waited for.
        ...(outgoing.status === 413 && { connection: 'close' }),
      })
      response.end(text)
    })
  }
}

function nodeBody(request: IncomingMessage, mostBytes: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > mostBytes) resolve(undefined)
      else chunks.push(chunk)
    })
    request.once('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)))
    request.once('error', reject)
    // After each request that came whole, too: an error, with its stack, is made for others alone.
    request.once('close', () => {
      if (!request.complete) reject(new Error('closed'))
    })
  })
}

function joined(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(', ') : header
}

function sourceIn(context: Context, proxies: TrustedProxies): Source {
  const { address } = getConnInfo(context).remote
  const forwarded = context.req.header('forwarded')
  const xForwardedFor = context.req.header('x-forwarded-for')
  return sourceOf(proxies.clientOf(address, { forwarded, xForwardedFor }))
}

function resolve(options: ServeParticipantOptions) {
  const { host, port, requestsPerSecond, connections, requestTimeout } = options
  return {
    host: host ?? HTTP_DEFAULTS.host,
    port: portOption(port, HTTP_DEFAULTS.port),
    requestsPerSecond: integerOption(
      'requestsPerSecond',
      requestsPerSecond,
      { min: 1, max: 1_000_000 },
      HTTP_DEFAULTS.requestsPerSecond,
    ),
    connections: integerOption(
      'connections',
      connections,
      { min: 1, max: 65_536 },
      HTTP_DEFAULTS.connections,
    ),
    requestTimeout: integerOption(
      'requestTimeout',
      requestTimeout,
      { min: 100, max: 600_000 },
      HTTP_DEFAULTS.requestTimeout,
    ),
  }
}
