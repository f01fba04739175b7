// A participant on HTTP.
//
//   POST /v1/request     ReleaseRequest  -> 200 ReleaseChallenge | 403, 503 Refused
//   POST /v1/evidence    ReleaseEvidence -> 200 Release | 403, 503 Refused
//   POST /v1/return      LeaseReturn -> 200 {returned}
//   GET  /v1/status      -> 200 who this is, and for which descriptor
//   GET  /v1/withdrawal  -> 200 Withdrawal | 404
//
// Everything else, and whatever cannot be read, is answered {"error", "message"} with HTTP's own status. A
// refusal is the same JSON whatever its status; the status is for people with curl.
//
// Cleartext on purpose: the operator who carries these messages is the one they are protected from, so TLS
// to some proxy of the operator's would protect nothing. A share leaves sealed to a key that the evidence is
// bound to, challenges are good once, and every answer is signed: reading gains nothing, altering is noticed,
// and stopping messages is what an operator can do anyway. Nothing here is a secret or takes one. (The page of a
// participant is another matter: it has its own address, see web/serve.ts.)

import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { integerOption, portOption } from '../../options.js'
import type { Refused } from '../release/messages.js'
import { MESSAGE_MAX_BYTES, readMessage } from '../release/parse.js'
import { type BudgetName, Budgets } from './budgets.js'
import { type HttpListener, listenHttp } from './http-listener.js'
import type { Participant } from './participant.js'
import { type Source, sourceOf, TrustedProxies } from './sources.js'

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
  /** Most connections at once; one source may have a quarter of them. @defaultValue 512 */
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
  connections: undefined,
  requestTimeout: undefined,
  onError: undefined,
} as const satisfies OptionTable<ServeParticipantOptions>

/** The one place where defaults are written. */
export const HTTP_DEFAULTS = {
  host: '127.0.0.1',
  port: 0,
  requestsPerSecond: 100,
  connections: 512,
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
  const { fetch } = appWithin(participant, budgets, proxies)
  const mostOfSource = Math.max(1, Math.floor(limits.connections / 4))
  const { onError } = options
  const listener = await listenHttp(fetch, { ...limits, mostOfSource, proxies, onError })
  return {
    ...listener,
    get throttled() {
      return budgets.refused
    },
  }
}

/** The routes alone, for another server of the caller's. */
export function participantApp(
  participant: Participant,
  requestsPerSecond: number = HTTP_DEFAULTS.requestsPerSecond,
  proxies: TrustedProxies = new TrustedProxies(),
): Hono {
  return appWithin(participant, new Budgets(requestsPerSecond), proxies)
}

function appWithin(participant: Participant, budgets: Budgets, proxies: TrustedProxies): Hono {
  const app = new Hono()
  app.onError((_error, context) =>
    answer(context, 500, 'internal', 'see the log of the participant'),
  )
  app.notFound((context) => answer(context, 404, 'not-found', 'expected a path of the protocol'))
  app.use(harmless)

  const busy = (context: Context, retryAfter: number) => {
    context.header('Retry-After', String(retryAfter))
    return context.json({ label: participant.label, code: 'busy', retryAfter }, 429)
  }
  const source = (context: Context): Source => sourceIn(context, proxies)
  const within =
    (name: BudgetName): MiddlewareHandler =>
    async (context, next) => {
      const retryAfter = await budgets.spend(name, source(context))
      return retryAfter === undefined ? await next() : busy(context, retryAfter)
    }
  // What is not a path of the protocol, too: nothing is free of a count.
  app.use(async (context, next) =>
    context.req.path.startsWith('/v1/') ? await next() : await within('other')(context, next),
  )
  app.use('/v1/status', within('status'))
  app.use('/v1/withdrawal', within('withdrawal'))

  /** @param proves - whether the message is of an instance that holds a lease: no budget stops those. */
  const message = (
    name: BudgetName,
    proves: (message: unknown) => boolean,
    handle: (message: unknown) => object | Promise<object>,
  ): [MiddlewareHandler, MiddlewareHandler, (context: Context) => Promise<Response>] => [
    jsonOnly,
    smallOnly,
    async (context) => {
      try {
        const body = readMessage(new Uint8Array(await context.req.arrayBuffer()))
        if (!proves(body)) {
          const retryAfter = await budgets.spend(name, source(context))
          if (retryAfter !== undefined) return busy(context, retryAfter)
        }
        const reply = await handle(body)
        return 'code' in reply ? refusal(context, reply as Refused) : context.json(reply)
      } catch (error) {
        if (!(error instanceof McbnError) || error.code !== 'MCBN_RELEASE_INVALID') throw error
        return answer(context, 400, 'invalid', error.message)
      }
    },
  ]
  const ofHolder = (body: unknown) => participant.isOfHolder(body)
  app.post('/v1/request', ...message('request', ofHolder, (body) => participant.request(body)))
  app.post('/v1/evidence', ...message('evidence', ofHolder, (body) => participant.evidence(body)))
  app.post('/v1/return', ...message('return', ofHolder, (body) => participant.giveBack(body)))
  app.get('/v1/status', (context) => {
    // Counters are for the participant's own people.
    const { counters: _, ...known } = participant.status()
    return context.json(known)
  })
  app.get('/v1/withdrawal', (context) => {
    const { withdrawal } = participant
    if (withdrawal !== undefined) return context.json(withdrawal)
    return answer(context, 404, 'not-withdrawn', 'this participant takes part')
  })
  for (const [path, allowed] of METHODS) {
    app.all(path, (context) => {
      context.header('Allow', allowed)
      return answer(context, 405, 'method', `expected ${allowed}`)
    })
  }
  return app
}

const METHODS = [
  ['/v1/request', 'POST'],
  ['/v1/evidence', 'POST'],
  ['/v1/return', 'POST'],
  ['/v1/status', 'GET, HEAD'],
  ['/v1/withdrawal', 'GET, HEAD'],
] as const

function answer(
  context: Context,
  status: 400 | 404 | 405 | 413 | 415 | 500,
  error: string,
  message: string,
): Response {
  return context.json({ error, message }, status)
}

function refusal(context: Context, refused: Refused): Response {
  if (refused.retryAfter !== undefined) context.header('Retry-After', String(refused.retryAfter))
  return context.json(refused, refused.code === 'busy' ? 503 : 403)
}

const harmless: MiddlewareHandler = async (context, next) => {
  await next()
  const { headers } = context.res
  if (!headers.has('Cache-Control')) headers.set('Cache-Control', 'no-store')
  headers.set('X-Content-Type-Options', 'nosniff')
}

/** A form of some web page cannot send this type without asking first, and nobody here says yes. */
const jsonOnly: MiddlewareHandler = async (context, next) => {
  const type = context.req.header('content-type') ?? ''
  if (/^application\/json\s*(;\s*charset=utf-8\s*)?$/i.test(type)) return await next()
  return answer(context, 415, 'media-type', 'expected Content-Type: application/json')
}

const tooLarge = (context: Context): Response =>
  answer(context, 413, 'too-large', `expected at most ${MESSAGE_MAX_BYTES} bytes`)
const counted = bodyLimit({ maxSize: MESSAGE_MAX_BYTES, onError: tooLarge })

/** Node's parser holds a sender to the length it has told; only a body without one has to be counted. */
const smallOnly: MiddlewareHandler = async (context, next) => {
  const length = context.req.header('content-length')
  if (length === undefined) return await counted(context, next)
  return Number(length) > MESSAGE_MAX_BYTES ? tooLarge(context) : await next()
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
