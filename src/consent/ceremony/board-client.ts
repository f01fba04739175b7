// The other end of a board: a transport over HTTP. What comes is bounded and unverified, as from anybody.

import { bodyWithin } from '../base/read-within.js'
import { MESSAGE_MAX_BYTES } from './messages.js'
import { invalid } from './refusals.js'
import {
  type CeremonyTransport,
  checkName,
  PUBLISHED_MAX_BYTES,
  taken,
  unreachable,
} from './transport.js'

/** Milliseconds for one message, there or back. */
const TIMEOUT = 10_000

/** See {@link serveBoard}. */
export class BoardTransport implements CeremonyTransport {
  readonly #url: URL

  /**
   * @param url - of the board: `http://` or `https://`, without a query.
   * @throws {McbnError} `MCBN_CEREMONY_INVALID` for anything else.
   */
  constructor(url: string) {
    const parsed = URL.canParse(url) ? new URL(url) : undefined
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.search !== '') {
      throw invalid('board: expected a URL as http://host:port, got something else')
    }
    this.#url = new URL(`${parsed.href.replace(/\/+$/, '')}/v1/`)
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > MESSAGE_MAX_BYTES)
      throw invalid(`${name}: expected at most ${MESSAGE_MAX_BYTES} bytes`)
    const response = await this.#ask(name, { method: 'PUT', body: Uint8Array.from(bytes) })
    const said = await this.#read(name, response)
    if (response.ok) return
    if (response.status === 409) throw taken(name)
    const text = Buffer.from(said).toString('utf8').trim().slice(0, 300)
    throw invalid(`${name}: the board refuses it (${response.status}): ${text}`)
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const response = await this.#ask(name, { method: 'GET' })
    const bytes = await this.#read(name, response)
    if (response.status === 404) return undefined
    if (response.ok) return bytes
    throw unreachable(this.#url.href, new Error(`it answers ${response.status} for ${name}`))
  }

  async #ask(name: string, init: RequestInit): Promise<Response> {
    const url = new URL(checkName(name), this.#url)
    try {
      return await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT) })
    } catch (error) {
      throw unreachable(this.#url.href, causeOf(error))
    }
  }

  async #read(name: string, response: Response): Promise<Uint8Array> {
    let bytes: Buffer | undefined
    try {
      bytes = await bodyWithin(response, PUBLISHED_MAX_BYTES)
    } catch (error) {
      throw unreachable(this.#url.href, causeOf(error))
    }
    if (bytes !== undefined) return bytes
    throw invalid(`${name}: expected at most ${PUBLISHED_MAX_BYTES} bytes from the board, got more`)
  }
}

/** fetch says `fetch failed`; why is inside. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? error.cause : error
}
