// From a name to a connection: endpoints in the order of RFC 2782, one after the other, until one opens.
//
// The pre-shared key alone decides who answers at an endpoint. A resolver that lies can make this
// slow or make it fail; it cannot make it connect to somebody else.

import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { functionOption, integerOption, millisecondsOption, objectOption } from '../options.js'
import { orAborted, startDeadline } from './deadline.js'
import { endpointText, MOST_ENDPOINTS, orderEndpoints, parseEndpoint } from './endpoint.js'
import type { Endpoint, Resolver } from './types.js'

export interface DiscoveryConnectOptions {
  /** Gives up: rejects with the signal's reason, and closes what was half open. */
  readonly signal?: AbortSignal
  /**
   * Endpoints that are tried at most, 1 to 1,024.
   *
   * @defaultValue 8
   */
  readonly attempts?: number
  /**
   * Milliseconds for one endpoint, connecting and handshake; `0` leaves it to the socket's own
   * `handshakeTimeout`.
   *
   * @defaultValue 5_000
   */
  readonly attemptTimeout?: number
  /**
   * Milliseconds for everything, asking the resolver included; `0` waits forever.
   *
   * @defaultValue 30_000
   */
  readonly timeout?: number
  /**
   * Gives numbers from 0 up to 1 to choose by weight with.
   *
   * @defaultValue Math.random
   */
  readonly random?: () => number
}

/** The options and their defaults. */
export const CONNECT_DEFAULTS = {
  signal: undefined,
  attempts: 8,
  attemptTimeout: 5_000,
  timeout: 30_000,
  random: Math.random,
} as const satisfies OptionTable<DiscoveryConnectOptions>

/** What a socket of mcbn/tls or mcbn/dtls has. */
export interface OpeningSocket {
  /** Settles with the handshake. */
  readonly opened: Promise<unknown>
  destroy(error?: Error): unknown
}

/**
 * Connects to a service by name, e.g.
 * `connect(resolver, 'ledger', (endpoint) => tls.connect({ ...endpoint, psk }))`.
 *
 * @param open - starts a connection to one endpoint, and may add listeners to its socket. Called for
 * one endpoint after the other; what it throws ends it all.
 * @returns the first socket whose handshake succeeds.
 * @throws {McbnError} `MCBN_DISCOVERY_FAILED`: the resolver gave nothing to try. `MCBN_CONNECTION_FAILED`:
 * no endpoint would; the message tells why, one by one, and `cause` is an AggregateError of their errors.
 * Errors that no other endpoint would mend (of kind `usage`, `environment`, `internal`) come as they are.
 */
export async function connect<Socket extends OpeningSocket>(
  resolver: Resolver,
  service: string,
  open: (endpoint: Endpoint) => Socket,
  options: DiscoveryConnectOptions = {},
): Promise<Socket> {
  functionOption('open', open)
  const attempt = (endpoint: Endpoint, signal: AbortSignal) => opened(open(endpoint), signal)
  return await tryEndpoints(resolver, service, attempt, options)
}

async function opened<Socket extends OpeningSocket>(
  socket: Socket,
  signal: AbortSignal,
): Promise<Socket> {
  const destroy = (): void => void socket.destroy()
  signal.addEventListener('abort', destroy, { once: true })
  try {
    await socket.opened
    return socket
  } finally {
    signal.removeEventListener('abort', destroy)
  }
}

/**
 * The same for anything that can be tried at an endpoint; {@link connect} is made of it.
 *
 * @param attempt - must give up when its signal aborts: the endpoint's time is up by then.
 */
export async function tryEndpoints<Result>(
  resolver: Resolver,
  service: string,
  attempt: (endpoint: Endpoint, signal: AbortSignal) => Promise<Result>,
  options: DiscoveryConnectOptions = {},
): Promise<Result> {
  objectOption('resolver', resolver)
  objectOption('options', options)
  refuseUnknown('discovery.connect', options, CONNECT_DEFAULTS)
  const { attempts, attemptTimeout, timeout, random } = resolveOptions(options)
  const name = `service ${JSON.stringify(`${service}`.slice(0, 255))}`
  const failures: Failure[] = []
  const overall = startDeadline([options.signal], timeout, () => timeUp(name, timeout, failures))
  try {
    const given = await ask(resolver, service, name, overall.signal)
    const endpoints = orderEndpoints(usable(given, name), random).slice(0, attempts)
    for (const endpoint of endpoints) {
      overall.signal.throwIfAborted()
      const late = () => new Error(`no connection within ${attemptTimeout} ms`)
      const own = startDeadline([overall.signal], attemptTimeout, late)
      try {
        // Outside of any promise: what it throws at once is the caller's mistake, not the endpoint's.
        const result = attempt(endpoint, own.signal)
        return await orAborted(result, own.signal).catch((thrown: unknown) => {
          overall.signal.throwIfAborted()
          // Destroyed sockets have their own errors; the reason is that the time was up.
          const error = own.signal.aborted ? own.signal.reason : thrown
          if (isFinal(error)) throw error
          failures.push({ endpoint, error: error as Error })
          throw NEXT
        })
      } catch (error) {
        if (error !== NEXT) throw error
      } finally {
        own.end()
      }
    }
    throw noneWould(name, failures, given.length)
  } finally {
    overall.end()
  }
}

/** Stands for "try the next one". */
const NEXT = new Error('next')

interface Failure {
  readonly endpoint: Endpoint
  readonly error: Error
}

async function ask(
  resolver: Resolver,
  service: string,
  name: string,
  signal: AbortSignal,
): Promise<readonly unknown[]> {
  let given: unknown
  try {
    given = await orAborted(resolver.resolve(service, { signal }), signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof McbnError) throw error
    const message = `${name}: the resolver failed`
    throw new McbnError('MCBN_DISCOVERY_FAILED', message, { cause: error })
  }
  if (Array.isArray(given) && given.length > 0) return given
  throw new McbnError('MCBN_DISCOVERY_FAILED', `${name}: the resolver gave no endpoint`)
}

/** Those that could be there; the resolver may be anybody's, and so may be what it was told. */
function usable(given: readonly unknown[], name: string): Endpoint[] {
  const parsed = given.slice(0, MOST_ENDPOINTS).map(parseEndpoint)
  const endpoints = parsed.filter((endpoint) => typeof endpoint !== 'string')
  if (endpoints.length > 0) return endpoints
  const why = parsed.find((each) => typeof each === 'string')
  const message = `${name}: none of ${given.length} endpoints can be used; of the first, ${why}`
  throw new McbnError('MCBN_DISCOVERY_FAILED', message)
}

/** Whether every other endpoint would fail the same way. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof McbnError)) return false
  return error.kind === 'usage' || error.kind === 'environment' || error.kind === 'internal'
}

function noneWould(name: string, failures: readonly Failure[], given: number): McbnError {
  const tried = failures.length === given ? 'all' : `${failures.length} of ${given}`
  const message = `${name}: tried ${tried} endpoints, no connection: ${list(failures)}`
  return new McbnError('MCBN_CONNECTION_FAILED', message, { cause: causes(failures) })
}

function timeUp(name: string, timeout: number, failures: readonly Failure[]): McbnError {
  const within = `${name}: no connection within ${timeout} ms`
  if (failures.length === 0) return new McbnError('MCBN_CONNECTION_FAILED', within)
  const options = { cause: causes(failures) }
  return new McbnError('MCBN_CONNECTION_FAILED', `${within}: ${list(failures)}`, options)
}

function causes(failures: readonly Failure[]): AggregateError {
  return new AggregateError(
    failures.map(({ error }) => error),
    'one error for each endpoint, in the order in which they were tried',
  )
}

/** One after the other: `10.0.0.7:8081: connect ECONNREFUSED (MCBN_CONNECTION_FAILED); ...`. */
function list(failures: readonly Failure[]): string {
  const shown = failures.slice(0, 8).map(({ endpoint, error }) => {
    const code = error instanceof McbnError ? ` (${error.code})` : ''
    return `${endpointText(endpoint)}: ${`${error?.message}`.slice(0, 200)}${code}`
  })
  const more = failures.length - shown.length
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ')
}

function resolveOptions(options: DiscoveryConnectOptions) {
  const { attempts, attemptTimeout, timeout, random } = CONNECT_DEFAULTS
  const bounds = { min: 1, max: MOST_ENDPOINTS }
  return {
    attempts: integerOption('attempts', options.attempts, bounds, attempts),
    attemptTimeout: millisecondsOption('attemptTimeout', options.attemptTimeout, attemptTimeout),
    timeout: millisecondsOption('timeout', options.timeout, timeout),
    random: functionOption('random', options.random) ?? random,
  }
}
