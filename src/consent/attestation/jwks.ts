// Key sets (RFC 7517): reading one, and keeping one that is fetched from a fixed address.

import { KeyObject, X509Certificate } from 'node:crypto'
import { importJWK } from 'jose'
import type { Clock } from '../base/clock.js'
import { bodyWithin } from '../base/read-within.js'
import { isObject, type JsonObject, own } from './json.js'
import type { JwtAlgorithm } from './jwt.js'
import { refused } from './refuse.js'

/** RSA keys that verify one algorithm, by key id. */
export type KeySet = ReadonlyMap<string, KeyObject>

/** Further keys of a set are not looked at; an answer with more bytes is not an issuer's. */
const MOST_KEYS = 64
const MOST_BYTES = 262_144
/** Moduli of 2048 bits (RFC 7518 section 3.3) to 8192, which verify in a tenth of a millisecond. */
const MODULUS_BYTES = { min: 256, max: 1024 } as const
const MOST_EXPONENT_BYTES = 4
const MOST_CERTIFICATE_LENGTH = 16_384
/** Milliseconds that evidence under a key that is known waits for fresh ones. */
const STALE_WAIT = 500

/** Says what is wrong with a key set; callers turn it into their own error. */
export class NotAKeySet extends Error {
  override readonly name = 'NotAKeySet'
}

/**
 * Reads a key set. What cannot be used is passed over (RFC 7517 section 5): other types and uses, members that
 * are missing or out of range, entries that are no keys, what is there twice. Refused is what is dangerous:
 * a private key, whose set nobody may trust any more, and nothing that could be used. A key id that stands for
 * two keys stands for none.
 *
 * @throws {NotAKeySet}
 */
export async function readKeySet(
  value: unknown,
  algorithm: JwtAlgorithm = 'RS256',
): Promise<KeySet> {
  const list = isObject(value) ? own(value, 'keys') : undefined
  if (!Array.isArray(list)) throw new NotAKeySet('expected an object with the list "keys"')
  const found = new Map<string, RsaJwk>()
  const ambiguous = new Set<string>()
  for (const [at, item] of list.entries()) {
    if (!isObject(item)) continue
    if (Object.hasOwn(item, 'd') || Object.hasOwn(item, 'k')) {
      throw new NotAKeySet(`keys[${at}]: expected a public key, got a private one: it is burnt`)
    }
    const key = rsaJwkOf(item, algorithm)
    if (key === undefined) continue
    const before = found.get(key.kid)
    if (before !== undefined && (before.n !== key.n || before.e !== key.e)) ambiguous.add(key.kid)
    if (before !== undefined || found.size < MOST_KEYS) found.set(key.kid, before ?? key)
  }
  const keys = new Map<string, KeyObject>()
  for (const { kid, n, e } of found.values()) {
    const key = ambiguous.has(kid) ? undefined : await imported(n, e, algorithm)
    if (key !== undefined) keys.set(kid, key)
  }
  if (keys.size === 0) throw new NotAKeySet(`expected at least one RSA key for ${algorithm}`)
  return keys
}

interface RsaJwk {
  readonly kid: string
  readonly n: string
  readonly e: string
}

/** An RSA key that may verify the algorithm; `undefined` for everything else. */
function rsaJwkOf(item: JsonObject, algorithm: JwtAlgorithm): RsaJwk | undefined {
  const use = own(item, 'use')
  const alg = own(item, 'alg')
  const kid = own(item, 'kid')
  const numbers = Object.hasOwn(item, 'n') ? item : numbersOfCertificate(item)
  const n = integer(own(numbers, 'n'), MODULUS_BYTES.min, MODULUS_BYTES.max)
  const e = integer(own(numbers, 'e'), 1, MOST_EXPONENT_BYTES)
  if (own(item, 'kty') !== 'RSA' || n === undefined || e === undefined) return undefined
  if ((use !== undefined && use !== 'sig') || (alg !== undefined && alg !== algorithm)) {
    return undefined
  }
  if (typeof kid !== 'string' || kid.length < 1 || kid.length > 256) return undefined
  return { kid, n, e }
}

/**
 * Modulus and exponent of the key in the first certificate of `x5c` (RFC 7517 section 4.7), for sets such as
 * Azure's that have them nowhere else. The certificate is only their wrapping: the set's address is the trust.
 */
function numbersOfCertificate(item: JsonObject): JsonObject {
  const chain = own(item, 'x5c')
  const first: unknown = Array.isArray(chain) ? chain[0] : undefined
  if (typeof first !== 'string' || first.length > MOST_CERTIFICATE_LENGTH) return {}
  try {
    const { publicKey } = new X509Certificate(Buffer.from(first, 'base64'))
    return publicKey.asymmetricKeyType === 'rsa' ? { ...publicKey.export({ format: 'jwk' }) } : {}
  } catch {
    return {}
  }
}

async function imported(
  n: string,
  e: string,
  algorithm: JwtAlgorithm,
): Promise<KeyObject | undefined> {
  try {
    const read = await importJWK({ kty: 'RSA', n, e, alg: algorithm }, algorithm)
    if (read instanceof Uint8Array) return undefined
    const key = KeyObject.from(read)
    // Leading zeros are no length.
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
    return bits < 8 * MODULUS_BYTES.min ? undefined : key
  } catch {
    return undefined
  }
}

/** Base64url of so many bytes. */
function integer(value: unknown, min: number, max: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const bytes = Buffer.from(value, 'base64url').length
  return bytes < min || bytes > max ? undefined : value
}

/** How a fetched key set is kept; all resolved. Durations in milliseconds. */
export interface RemoteKeysOptions {
  readonly address: string
  readonly algorithm: JwtAlgorithm
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
  /** The fetch that runs takes longer than anybody waits who has a key. */
  #slow = false

  constructor(options: RemoteKeysOptions) {
    this.#options = options
  }

  /**
   * @throws {McbnError} `MCBN_EVIDENCE_REFUSED`: no such key; with a `cause` where there may be one, but the
   * keys could not be fetched, or they were asked for too short a time ago.
   */
  async key(id: string): Promise<KeyObject> {
    const { cacheMaxAge, staleMaxAge, cooldown } = this.#options
    const known = this.#keys?.has(id) === true && this.#age() <= staleMaxAge
    let asked = true
    // A key that is known is used while the address takes its time; one that is not has to be waited for.
    if (!known) asked = await this.#refresh()
    else if (this.#age() > cacheMaxAge) await this.#soon(this.#refresh())
    if (this.#keys === undefined || this.#age() > staleMaxAge) {
      throw refused('keys', `the issuer's keys cannot be fetched now; retry in ${cooldown} ms`, {
        cause: this.#failure,
      })
    }
    const key = this.#keys.get(id)
    if (key !== undefined) return key
    // Somebody's junk may have used up this cooldown, and the issuer may have rolled its keys since.
    const unknown = asked ? {} : { cause: new Error(`asked less than ${cooldown} ms ago`) }
    throw refused('header kid', "expected one of the issuer's keys", unknown)
  }

  /** Waits a moment, and not at all while an address is known to hang. */
  async #soon(refresh: Promise<unknown>): Promise<void> {
    if (this.#slow) return
    let cancel = (): void => undefined
    const late = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(STALE_WAIT, () => {
        this.#slow = this.#running !== undefined
        resolve()
      })
    })
    await Promise.race([refresh, late])
    cancel()
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
        this.#slow = false
      })
    }
    await this.#running
    return true
  }

  async #fetch(startedAt: number): Promise<void> {
    try {
      this.#keys = await readKeySet(await fetchJson(this.#options), this.#options.algorithm)
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
    // The address is the trust: a redirect would let others choose the keys.
    redirect: 'error',
    headers: { accept: 'application/json' },
    signal,
  })
  if (answer.status !== 200) {
    await answer.body?.cancel()
    throw new NotAKeySet(`expected status 200, got ${answer.status}`)
  }
  const bytes = await bodyWithin(answer, MOST_BYTES)
  if (bytes === undefined) throw new NotAKeySet(`expected at most ${MOST_BYTES} bytes`)
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new NotAKeySet('expected JSON')
  }
}
