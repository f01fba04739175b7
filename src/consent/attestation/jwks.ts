// Key sets (RFC 7517): reading one, and keeping one that is fetched from a fixed address.

import { type CryptoKey, importJWK } from 'jose'
import type { Clock } from '../base/clock.js'
import { isObject, type JsonObject, own } from './json.js'
import { refused } from './refuse.js'

/** RSA keys that verify RS256, by key id. */
export type KeySet = ReadonlyMap<string, CryptoKey>

/** A set with more keys, or an answer with more bytes, is not an issuer's. */
const MOST_KEYS = 64
const MOST_BYTES = 262_144
/** Moduli of 2048 bits (RFC 7518 section 3.3) to 8192, which verify in a tenth of a millisecond. */
const MODULUS_BYTES = { min: 256, max: 1024 } as const
const MOST_EXPONENT_BYTES = 4

/** Says what is wrong with a key set; callers turn it into an error of their own. */
export class NotAKeySet extends Error {
  override readonly name = 'NotAKeySet'
}

/**
 * Reads a key set. Keys of other types and uses are passed over (RFC 7517 section 5); what has to be right
 * is that at least one RSA key remains, that no key id stands for two keys, and that no key is private.
 *
 * @throws {NotAKeySet}
 */
export async function readKeySet(value: unknown): Promise<KeySet> {
  const list = isObject(value) ? own(value, 'keys') : undefined
  if (!Array.isArray(list)) throw new NotAKeySet('expected an object with the list "keys"')
  if (list.length > MOST_KEYS) {
    throw new NotAKeySet(`expected at most ${MOST_KEYS} keys, got ${list.length}`)
  }
  const keys = new Map<string, CryptoKey>()
  for (const [at, item] of list.entries()) {
    const where = `keys[${at}]`
    if (!isObject(item)) throw new NotAKeySet(`${where}: expected an object`)
    if (Object.hasOwn(item, 'd') || Object.hasOwn(item, 'k')) {
      throw new NotAKeySet(`${where}: expected a public key, got a private one: it is burnt`)
    }
    const key = await readKey(item, where)
    if (key === undefined) continue
    if (keys.has(key.id)) throw new NotAKeySet(`${where}: expected every kid once`)
    keys.set(key.id, key.key)
  }
  if (keys.size === 0) throw new NotAKeySet('expected at least one RSA key for RS256')
  return keys
}

async function readKey(
  item: JsonObject,
  where: string,
): Promise<{ readonly id: string; readonly key: CryptoKey } | undefined> {
  const use = own(item, 'use')
  const alg = own(item, 'alg')
  if (own(item, 'kty') !== 'RSA') return undefined
  if ((use !== undefined && use !== 'sig') || (alg !== undefined && alg !== 'RS256')) {
    return undefined
  }
  const id = own(item, 'kid')
  if (typeof id !== 'string' || id.length < 1 || id.length > 256) {
    throw new NotAKeySet(`${where}.kid: expected 1 to 256 characters`)
  }
  const n = integer(item, 'n', where, MODULUS_BYTES.min, MODULUS_BYTES.max)
  const e = integer(item, 'e', where, 1, MOST_EXPONENT_BYTES)
  try {
    const key = await importJWK({ kty: 'RSA', n, e, alg: 'RS256' }, 'RS256')
    if (key instanceof Uint8Array) throw new NotAKeySet(`${where}: expected an RSA key`)
    return { id, key }
  } catch {
    throw new NotAKeySet(`${where}: expected an RSA key`)
  }
}

function integer(item: JsonObject, name: string, where: string, min: number, max: number): string {
  const value = own(item, name)
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64url').length : 0
  if (typeof value !== 'string' || bytes < min || bytes > max) {
    throw new NotAKeySet(`${where}.${name}: expected ${min} to ${max} bytes in base64url`)
  }
  return value
}

/** How a fetched key set is kept; all resolved. Durations in milliseconds. */
export interface RemoteKeysOptions {
  readonly address: string
  readonly fetch: typeof globalThis.fetch
  readonly cacheMaxAge: number
  readonly staleMaxAge: number
  readonly cooldown: number
  readonly timeout: number
  readonly clock: Clock
}

/**
 * The key set at one address, fetched when first needed. One set is held, so memory is bounded by the
 * bounds of a set. However many tokens with unknown key ids arrive, the address is asked once a cooldown.
 */
export class RemoteKeys {
  readonly #options: RemoteKeysOptions
  #keys: KeySet | undefined
  #fetchedAt = Number.NEGATIVE_INFINITY
  #attemptedAt = Number.NEGATIVE_INFINITY
  #failure: unknown
  #running: Promise<void> | undefined

  constructor(options: RemoteKeysOptions) {
    this.#options = options
  }

  /**
   * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`: no such key; with a `cause` where there may be one, but no
   * keys are to be had, or they were asked for too short a time ago.
   */
  async key(id: string): Promise<CryptoKey> {
    const { cacheMaxAge, staleMaxAge, cooldown } = this.#options
    const asked = this.#age() > cacheMaxAge || !this.#keys?.has(id) ? await this.#refresh() : true
    if (this.#keys === undefined || this.#age() > staleMaxAge) {
      throw refused('keys', `the issuer's keys are not to be had now; retry in ${cooldown} ms`, {
        cause: this.#failure,
      })
    }
    const key = this.#keys.get(id)
    if (key !== undefined) return key
    // Somebody's junk may have used up this cooldown, and the issuer may have rolled its keys since.
    const unknown = asked ? {} : { cause: new Error(`asked less than ${cooldown} ms ago`) }
    throw refused('header kid', "expected one of the issuer's keys", unknown)
  }

  #age(): number {
    return this.#options.clock.monotonic() - this.#fetchedAt
  }

  /** Never throws: what was fetched before may still do. @returns whether the address was asked. */
  async #refresh(): Promise<boolean> {
    const now = this.#options.clock.monotonic()
    if (this.#running === undefined) {
      if (now - this.#attemptedAt < this.#options.cooldown) return false
      this.#attemptedAt = now
      this.#running = this.#fetch(now).finally(() => {
        this.#running = undefined
      })
    }
    await this.#running
    return true
  }

  async #fetch(startedAt: number): Promise<void> {
    try {
      this.#keys = await readKeySet(await fetchJson(this.#options))
      // Counted from the start: an answer that took long is no younger for it.
      this.#fetchedAt = startedAt
      this.#failure = undefined
    } catch (error) {
      this.#failure = error
    }
  }
}

async function fetchJson(options: RemoteKeysOptions): Promise<unknown> {
  const signal = AbortSignal.timeout(options.timeout)
  const timedOut = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  // Raced, since a fetch of somebody's own may not heed the signal, and all verification waits for it.
  return await Promise.race([answerOf(options, signal), timedOut])
}

async function answerOf(options: RemoteKeysOptions, signal: AbortSignal): Promise<unknown> {
  const answer = await options.fetch(options.address, {
    // The address is the trust: whoever could redirect could choose the keys.
    redirect: 'error',
    headers: { accept: 'application/json' },
    signal,
  })
  if (answer.status !== 200) {
    await answer.body?.cancel()
    throw new NotAKeySet(`expected status 200, got ${answer.status}`)
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body ?? []) {
    size += chunk.length
    if (size > MOST_BYTES) throw new NotAKeySet(`expected at most ${MOST_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new NotAKeySet('expected JSON')
  }
}
