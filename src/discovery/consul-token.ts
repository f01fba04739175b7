// The ACL token that Consul is asked with: given, or got by logging in with another issuer's token.

import { McbnError } from '../errors.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import { functionOption, objectOption, stringOption } from '../options.js'
import type { ConsulLogin, ConsulOptions } from './consul.js'
import { orAborted, startDeadline } from './deadline.js'
import type { HttpAnswer, HttpQuestion } from './http.js'

type Ask = (
  question: Pick<HttpQuestion, 'method' | 'url' | 'headers' | 'json' | 'signal'>,
) => Promise<HttpAnswer>

const LOGIN_FIELDS = {
  authMethod: undefined,
  bearerToken: undefined,
} as const satisfies OptionTable<ConsulLogin>

/** Milliseconds that getting a bearer token may take: an attestation is made in the meantime. */
const BEARER_TIMEOUT = 30_000

/** What may stand in an HTTP header; SecretIDs are UUIDs. */
const TOKEN_FORM = /^[\x21-\x7e]{1,4096}$/

/** All fields are private: neither inspect nor JSON shows the token. */
export class ConsulToken {
  readonly #fixed: string | undefined
  readonly #login: ConsulOptions['login']
  readonly #base: URL
  readonly #ask: Ask
  readonly #closing: AbortSignal
  /** What the last login gave, or is about to. */
  #session: Promise<string> | undefined
  /** Of a login that has succeeded. */
  #current: string | undefined

  constructor(options: ConsulOptions, base: URL, ask: Ask, closing: AbortSignal) {
    const { token, login } = options
    if (token !== undefined && login !== undefined) {
      throw new McbnError('MCBN_OPTION_CONFLICT', 'token: expected either token or login, got both')
    }
    if (token !== undefined && (typeof token !== 'string' || !TOKEN_FORM.test(token))) {
      throw new McbnError(
        'MCBN_OPTION_RANGE',
        'token: expected visible ASCII characters, got something else',
      )
    }
    this.#fixed = token
    this.#login = loginOption(login)
    this.#base = base
    this.#ask = ask
    this.#closing = closing
  }

  /** The token, after logging in where that is needed; undefined: asks without. */
  async get(): Promise<string | undefined> {
    if (this.#login === undefined) return this.#fixed
    // One login for all who wait; after a failed one the next question tries again.
    this.#session ??= this.#logIn(this.#login).catch((error: unknown) => {
      this.#session = undefined
      throw error
    })
    return await this.#session
  }

  /**
   * Consul does not take this token any more: it has expired, or was deleted.
   *
   * @returns whether another one can be had.
   */
  forget(token: string): boolean {
    if (this.#login === undefined) return false
    // Several questions may have been refused at once; the first has forgotten it already.
    if (token === this.#current) {
      this.#session = undefined
      this.#current = undefined
    }
    return true
  }

  /** Logs out. Never rejects: a token that nobody gives back expires by the auth method's TTL. */
  async giveBack(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    const token = await session?.catch(() => undefined)
    if (token === undefined) return
    const url = new URL('/v1/acl/logout', this.#base)
    await this.#ask({ method: 'POST', url, headers: { 'x-consul-token': token } }).catch(
      () => undefined,
    )
  }

  async #logIn({ authMethod, bearerToken }: NonNullable<ConsulOptions['login']>): Promise<string> {
    const bearer = await this.#bearer(bearerToken)
    const answer = await this.#ask({
      method: 'POST',
      url: new URL('/v1/acl/login', this.#base),
      json: { AuthMethod: authMethod, BearerToken: bearer },
      signal: this.#closing,
    })
    if (answer.status !== 200) {
      throw new Error(
        `login by auth method ${JSON.stringify(authMethod)} was refused (HTTP status ${answer.status}): check the method's bound claims, and the binding rules`,
      )
    }
    const { SecretID: secret } = (answer.body ?? {}) as { SecretID?: unknown }
    if (typeof secret !== 'string' || !TOKEN_FORM.test(secret)) {
      throw new Error('the answer to the login has no SecretID')
    }
    this.#current = secret
    return secret
  }

  async #bearer(bearerToken: NonNullable<ConsulOptions['login']>['bearerToken']): Promise<string> {
    const late = () => new Error(`bearerToken: no token within ${BEARER_TIMEOUT} ms`)
    const deadline = startDeadline([this.#closing], BEARER_TIMEOUT, late)
    try {
      const { signal } = deadline
      const token: unknown = await orAborted(
        Promise.resolve().then(() => bearerToken({ signal })),
        signal,
      )
      if (typeof token === 'string' && token !== '' && token.length <= 65_536) return token
      throw new Error('bearerToken: expected a token of 1 to 65536 characters')
    } finally {
      deadline.end()
    }
  }
}

function loginOption(login: ConsulOptions['login']): ConsulOptions['login'] {
  if (login === undefined) return undefined
  objectOption('login', login)
  refuseUnknown('login', login, LOGIN_FIELDS)
  const authMethod = stringOption('login.authMethod', login.authMethod, 128)
  const bearerToken = functionOption('login.bearerToken', login.bearerToken)
  if (!authMethod || !bearerToken) {
    throw new McbnError('MCBN_OPTION_TYPE', 'login: expected authMethod and bearerToken')
  }
  return { authMethod, bearerToken }
}
