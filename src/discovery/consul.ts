// Consul's catalog over its HTTP API: registered instances, their health checks, and blocking
// queries that tell of a change (developer.hashicorp.com/consul/api-docs: health, acl, blocking queries).

import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import {
  booleanOption,
  functionOption,
  integerOption,
  objectOption,
  stringOption,
} from '../options.js'
import { type Health, parseHealth } from './consul-health.js'
import { ConsulToken } from './consul-token.js'
import { orAborted, sleep, startDeadline } from './deadline.js'
import { askJson, type HttpAnswer, type HttpQuestion } from './http.js'
import { type Endpoint, type ResolveOptions, type Resolver, signalOf } from './types.js'

export interface ConsulOptions {
  /**
   * Consul's agent: `http://` or `https://`, host and port; no user name, path or query.
   *
   * @defaultValue 'http://127.0.0.1:8500'
   */
  readonly address?: string
  /** An ACL token to ask with. Not together with `login`. @defaultValue none */
  readonly token?: string
  /** Instead of a token: exchanges a token of another issuer, such as an attestation, for Consul's. */
  readonly login?: ConsulLogin
  /** @defaultValue the agent's own. */
  readonly datacenter?: string
  /** Only instances that have all of these. @defaultValue none */
  readonly tags?: readonly string[]
  /**
   * Whether only instances count whose checks all pass. If not, failing ones come last.
   *
   * @defaultValue true
   */
  readonly passing?: boolean
  /**
   * Milliseconds for a question's answer; a blocking query may take `wait` longer.
   *
   * @defaultValue 5_000
   */
  readonly timeout?: number
  /**
   * Milliseconds a blocking query of `watch` waits for a change, 1,000 to 600,000.
   *
   * @defaultValue 300_000
   */
  readonly wait?: number
  /**
   * Milliseconds between the answers of `watch` while they come thick and fast; the first two of a burst
   * come at once.
   *
   * @defaultValue 15_000
   */
  readonly churnInterval?: number
  /** Certificates to trust for `https://`, in PEM. @defaultValue those of Node.js */
  readonly ca?: string
  /** Told of every question of `watch` that failed and is repeated. */
  readonly onRetry?: (error: McbnError, milliseconds: number) => void
  /**
   * Told of every registered instance that cannot be used, and why: it has no address or no port. Without
   * it such an instance is told only when no other is left.
   */
  readonly onUnusable?: (reason: string) => void
}

export interface ConsulLogin {
  /** The name of the auth method, of type `jwt`, that Consul's operator made. */
  readonly authMethod: string
  /** Gets a fresh token for it; asked at every login. Given up after 30 s. */
  readonly bearerToken: (options: { readonly signal: AbortSignal }) => Promise<string>
}

/** The options and their defaults. */
export const CONSUL_DEFAULTS = {
  address: 'http://127.0.0.1:8500',
  token: undefined,
  login: undefined,
  datacenter: undefined,
  tags: undefined,
  passing: true,
  timeout: 5_000,
  wait: 300_000,
  churnInterval: 15_000,
  ca: undefined,
  onRetry: undefined,
  onUnusable: undefined,
} as const satisfies OptionTable<ConsulOptions>

/** 2 MiB: room for a thousand instances with their checks. */
const MOST_BYTES = 2_097_152

/** Milliseconds before a failed question of `watch` is repeated: the first time, and at most. */
const BACKOFF = { first: 500, most: 60_000 } as const

/**
 * A resolver over Consul. Its secrets never show in errors, logs, `util.inspect` or JSON. `close()` logs
 * out, if it had logged in.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT`.
 */
export function consulResolver(options: ConsulOptions = {}): Resolver {
  objectOption('options', options)
  refuseUnknown('consulResolver', options, CONSUL_DEFAULTS)
  return new Consul(options)
}

class Consul implements Resolver {
  readonly #address: URL
  readonly #token: ConsulToken
  readonly #query: URLSearchParams
  readonly #timeout: number
  readonly #wait: number
  readonly #churnInterval: number
  readonly #ca: string | undefined
  readonly #onRetry: ConsulOptions['onRetry']
  readonly #onUnusable: ConsulOptions['onUnusable']
  /** Aborted by close(). */
  readonly #closing = new AbortController()

  constructor(options: ConsulOptions) {
    const { timeout, wait, churnInterval } = CONSUL_DEFAULTS
    const span = (name: 'timeout' | 'wait' | 'churnInterval', min: number, otherwise: number) =>
      integerOption(name, options[name], { min, max: 600_000, unit: 'ms' }, otherwise)
    this.#timeout = span('timeout', 1, timeout)
    this.#wait = span('wait', 1_000, wait)
    this.#churnInterval = span('churnInterval', 0, churnInterval)
    this.#address = addressOption(options.address)
    this.#ca = stringOption('ca', options.ca, 1_048_576)
    this.#onRetry = functionOption('onRetry', options.onRetry)
    this.#onUnusable = functionOption('onUnusable', options.onUnusable)
    this.#query = queryOf(options)
    const stop = this.#closing.signal
    this.#token = new ConsulToken(options, this.#address, (asked) => this.#ask(asked), stop)
  }

  async resolve(service: string, options: ResolveOptions = {}): Promise<readonly Endpoint[]> {
    const signal = signalOf(options)
    const { endpoints, unusable } = await this.#guarded(service, signal, (both) =>
      this.#health(service, undefined, both),
    )
    if (endpoints.length > 0) return endpoints
    const [first] = unusable
    const why =
      first === undefined
        ? 'no instance is registered that passes what was asked for'
        : `none of ${unusable.length} registered instances can be used; ${first}`
    const message = `${this.#naming(service)}: ${why}`
    throw new McbnError('MCBN_DISCOVERY_FAILED', message)
  }

  async *watch(
    service: string,
    options: ResolveOptions = {},
  ): AsyncGenerator<readonly Endpoint[], void, undefined> {
    const signal = signalOf(options)
    let index: bigint | undefined
    let shown: string | undefined
    let failures = 0
    const bucket = new TokenBucket(this.#churnInterval)
    while (!signal?.aborted) {
      try {
        const from = index
        const answer = await this.#guarded(service, signal, async (both) => {
          await bucket.take(both)
          both.throwIfAborted()
          return await this.#health(service, from, both)
        })
        failures = 0
        index = nextIndex(index, answer.index)
        // Consul answers without a change when the time is up, or something else was written.
        const now = JSON.stringify(answer.endpoints)
        if (now !== shown) {
          shown = now
          yield answer.endpoints
        }
      } catch (error) {
        if (signal?.aborted || (this.#closing.signal.aborted && shown !== undefined)) return
        if (shown === undefined) throw error
        const most = Math.min(BACKOFF.most, BACKOFF.first * 2 ** failures)
        const pause = Math.ceil(most * (0.5 + Math.random() / 2))
        failures += 1
        this.#onRetry?.(error as McbnError, pause)
        await this.#pause(pause, signal)
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(closedError())
    await this.#token.giveBack()
  }

  async #health(
    service: string,
    index: bigint | undefined,
    signal: AbortSignal,
  ): Promise<Health & { readonly index: bigint | undefined }> {
    const url = new URL(`/v1/health/service/${encodeURIComponent(service)}`, this.#address)
    url.search = this.#query.toString()
    let timeout = this.#timeout
    if (index !== undefined) {
      url.searchParams.set('index', `${index}`)
      url.searchParams.set('wait', `${Math.ceil(this.#wait / 1_000)}s`)
      // Consul itself adds up to a sixteenth, to spread the clients that wait.
      timeout += Math.ceil((this.#wait * 17) / 16) + 1_000
    }
    const answer = await this.#asking(url, timeout, signal)
    if (answer.status !== 200) throw new Error(statusText(answer.status))
    const health = parseHealth(answer.body)
    for (const reason of health.unusable) this.#onUnusable?.(reason)
    return {
      ...health,
      index: parseIndex(answer.header('x-consul-index')),
    }
  }

  /** Asks with the token; once more with a new one if Consul does not know it any more. */
  async #asking(url: URL, timeout: number, signal: AbortSignal): Promise<HttpAnswer> {
    for (let again = false; ; again = true) {
      const token = await orAborted(this.#token.get(), signal)
      const headers = token === undefined ? {} : { 'x-consul-token': token }
      const answer = await this.#ask({ method: 'GET', url, headers, timeout, signal })
      const unknown = answer.status === 403 || answer.status === 401
      if (!unknown || again || token === undefined || !this.#token.forget(token)) return answer
    }
  }

  #ask(question: Omit<HttpQuestion, 'mostBytes' | 'ca' | 'timeout'> & { timeout?: number }) {
    return askJson({ timeout: this.#timeout, ...question, mostBytes: MOST_BYTES, ca: this.#ca })
  }

  /** Runs one question until the caller or close() ends it, and names service and address if it fails. */
  async #guarded<Value>(
    service: string,
    signal: AbortSignal | undefined,
    run: (both: AbortSignal) => Promise<Value>,
  ): Promise<Value> {
    if (this.#closing.signal.aborted) throw closedError()
    signal?.throwIfAborted()
    if (typeof service !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(service)) {
      const message = 'service: expected the name of a service, 1 to 255 visible ASCII characters'
      throw new McbnError('MCBN_DISCOVERY_FAILED', message)
    }
    const both = startDeadline([signal, this.#closing.signal], 0, closedError)
    try {
      return await run(both.signal)
    } catch (error) {
      if (both.signal.aborted) throw both.signal.reason
      const why = error instanceof Error ? error.message : 'it failed'
      const message = `${this.#naming(service)}: ${why}`
      throw new McbnError('MCBN_DISCOVERY_FAILED', message, { cause: error })
    } finally {
      both.end()
    }
  }

  async #pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    const either = startDeadline([signal, this.#closing.signal], 0, closedError)
    await sleep(milliseconds, either.signal)
    either.end()
  }

  #naming(service: string): string {
    return `service ${JSON.stringify(service)} at Consul ${this.#address.origin}`
  }
}

/** Two at once, then one each interval: what Consul asks of watchers, so that churn is not a busy loop. */
class TokenBucket {
  readonly #interval: number
  #tokens = 2
  #since = performance.now()

  constructor(interval: number) {
    this.#interval = interval
  }

  async take(signal: AbortSignal): Promise<void> {
    this.#refill()
    if (this.#tokens < 1) {
      await sleep(Math.ceil((1 - this.#tokens) * this.#interval), signal)
      this.#refill()
    }
    this.#tokens = Math.max(0, this.#tokens - 1)
  }

  #refill(): void {
    const now = performance.now()
    const gained = this.#interval === 0 ? 2 : (now - this.#since) / this.#interval
    this.#tokens = Math.min(2, this.#tokens + gained)
    this.#since = now
  }
}

/**
 * The index to wait beyond. One that went backwards restarts the loop (the servers were restored, or
 * upgraded); none, or 0, becomes 1, which makes Consul wait where 0 would not.
 */
function nextIndex(last: bigint | undefined, answered: bigint | undefined): bigint | undefined {
  const index = answered === undefined || answered < 1n ? 1n : answered
  return last !== undefined && index < last ? undefined : index
}

/** X-Consul-Index is a uint64. */
function parseIndex(text: string | undefined): bigint | undefined {
  return text !== undefined && /^\d{1,20}$/.test(text) ? BigInt(text) : undefined
}

function queryOf({ datacenter, tags, passing }: ConsulOptions): URLSearchParams {
  const query = new URLSearchParams()
  if (booleanOption('passing', passing, CONSUL_DEFAULTS.passing)) query.set('passing', 'true')
  const named = stringOption('datacenter', datacenter, 255)
  if (named !== undefined) query.set('dc', named)
  if (tags === undefined) return query
  // Such a tag needs no escaping in Consul's filter language; `tag=` is deprecated in its API.
  if (!Array.isArray(tags) || !tags.every((tag) => /^[^"`\\\p{Cc}]{1,255}$/u.test(tag))) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      'tags: expected an array of tags without quotes, backslashes and control characters',
    )
  }
  if (tags.length > 0) {
    query.set('filter', tags.map((tag) => `"${tag}" in Service.Tags`).join(' and '))
  }
  return query
}

function addressOption(address: unknown): URL {
  const given = stringOption('address', address, 2_048) ?? CONSUL_DEFAULTS.address
  // The value is not repeated: people put passwords before the @.
  const expected = 'address: expected http://host:port or https://host:port and nothing more'
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new McbnError('MCBN_OPTION_RANGE', expected)
  }
  if (url.username + url.password + url.search + url.hash !== '' || url.pathname !== '/') {
    throw new McbnError('MCBN_OPTION_RANGE', `${expected}, got a user name, path or query too`)
  }
  return url
}

function statusText(status: number): string {
  if (status === 401 || status === 403) {
    return `HTTP status ${status}: the token is unknown, or may not read this service (service:read, node:read)`
  }
  if (status === 500) return 'HTTP status 500: perhaps an unknown datacenter, or no leader'
  return `HTTP status ${status}`
}

function closedError(): McbnError {
  return new McbnError('MCBN_SOCKET_CLOSED', 'this resolver is closed: make a new one')
}
