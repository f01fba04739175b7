// Secrets at rest: a key from a passphrase or a key file, AES-256-GCM over the secrets, and the
// parameters in the open beside them, all of them authenticated.
//
//   passphrase --scrypt (RFC 7914), N = 2^17, r = 8, p = 1: 128 MiB-->  key --\
//   key file   --HKDF-SHA-256 (RFC 5869)---------------------------->  key ---> AES-256-GCM
//   fresh key  --the same; beside it, as a key service wrapped it--->  key --/
//   AAD = lp("mcbn/1 store") || lp(canonical header) || lp(the caller's aad)

import { createCipheriv, createDecipheriv, randomBytes, randomFillSync, scrypt } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { hkdfExpand, hkdfExtract } from '../../psk/hkdf.js'
import { secretBytes, secretCopy } from '../../secret-bytes.js'
import { toBase64url } from '../base/base64url.js'
import { canonicalBytes } from '../base/canonical.js'
import {
  NONCE_BYTES,
  parseSealed,
  SALT_BYTES,
  SEALED_MAX_BYTES,
  type SealedSecrets,
  type StoreKdf,
  TAG_BYTES,
  WRAPPED_MAX_BYTES,
} from './sealed-file.js'

export {
  SEALED_MAX_BYTES,
  type SealedSecrets,
  type StoreKdf,
  WRAPPED_MAX_BYTES,
} from './sealed-file.js'

/** A service that keeps a key which never leaves it: a KMS, a token (PKCS#11), see `keyCommand`. */
export interface KeyWrapper {
  /**
   * @param key - 32 bytes; borrowed.
   * @returns 1 to 4,096 bytes from which only the service makes the key again.
   */
  wrap(key: Uint8Array): Promise<Uint8Array>
  /** @returns the key, which the caller owns and wipes. */
  unwrap(wrapped: Uint8Array): Promise<Uint8Array>
}

/** What opens sealed secrets: one of the three. */
export type StoreLock =
  /**
   * At least 8 bytes. A string is brought to Unicode normal form C first, so that every keyboard types the
   * same one; bytes are taken as they are, and the caller can wipe them.
   */
  | {
      readonly passphrase: string | Uint8Array
      readonly keyFile?: undefined
      readonly keyWrapper?: undefined
    }
  /** 32 to 4,096 random bytes, e.g. `head -c 32 /dev/urandom`; kept where the store's copies are not. */
  | {
      readonly keyFile: Uint8Array
      readonly passphrase?: undefined
      readonly keyWrapper?: undefined
    }
  /** Asked each time that secrets are sealed or opened, each time about another key. */
  | {
      readonly keyWrapper: KeyWrapper
      readonly passphrase?: undefined
      readonly keyFile?: undefined
    }

/** What a new store uses; OWASP's and RFC 7914's order of magnitude for a file that is opened rarely. */
const SCRYPT = { log2n: 17, r: 8, p: 1 } as const
const KEY_BYTES = 32
const PASSPHRASE_BYTES = { min: 8, max: 1024 } as const
const KEY_FILE_BYTES = { min: 32, max: 4096 } as const

/**
 * Seals secrets.
 *
 * @param plaintext - 1 to 49,152 bytes; borrowed, the caller wipes them.
 * @param lock - borrowed; what is derived from it is wiped.
 * @param aad - public, at most 65,535 bytes: what the secrets belong to; {@link openSecrets} needs the same.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT` for an unusable lock.
 */
export async function sealSecrets(
  plaintext: Uint8Array,
  lock: StoreLock,
  aad: Uint8Array,
): Promise<SealedSecrets> {
  if (plaintext.length < 1 || plaintext.length > SEALED_MAX_BYTES) {
    throw outOfRange('plaintext', `1 to ${SEALED_MAX_BYTES} bytes`, `${plaintext.length}`)
  }
  const salt = toBase64url(randomBytes(SALT_BYTES))
  const { kdf, secret } = await freshKdf(lock, salt)
  const nonce = randomBytes(NONCE_BYTES)
  const header = {
    version: 'mcbn/1',
    cipher: 'aes-256-gcm',
    kdf,
    nonce: toBase64url(nonce),
  } as const
  const key = await deriveKey(secret, kdf)
  try {
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(authenticated(header, aad))
    const body = cipher.update(plaintext)
    const ciphertext = Buffer.concat([body, cipher.final(), cipher.getAuthTag()])
    return { ...header, ciphertext: toBase64url(ciphertext) }
  } finally {
    key.fill(0)
  }
}

/**
 * Opens what {@link sealSecrets} made.
 *
 * @param sealed - untrusted: the parsed JSON. A file that asks for more than 256 MiB is refused unread.
 * @param aad - as given when sealing.
 * @returns fresh bytes outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_STORE_INVALID` for another passphrase or key file, another kind of lock, another
 * aad, or any altered bit; the first and the last cannot be told apart. The lock's own errors as with sealing.
 */
export async function openSecrets(
  sealed: unknown,
  lock: StoreLock,
  aad: Uint8Array,
): Promise<Buffer> {
  const { header, nonce, ciphertext } = parseSealed(sealed)
  const wanted = LOCK_OF[header.kdf.name]
  const got = kindOf(lock)
  if (got !== wanted) {
    throw invalid(`lock: expected the ${wanted} that these secrets were sealed with, got a ${got}`)
  }
  const secret = await secretFor(lock, header.kdf)
  const key = await deriveKey(secret, header.kdf)
  let plaintext: Buffer | undefined
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(authenticated(header, aad))
    decipher.setAuthTag(ciphertext.subarray(ciphertext.length - TAG_BYTES))
    plaintext = decipher.update(ciphertext.subarray(0, ciphertext.length - TAG_BYTES))
    decipher.final()
    return plaintext
  } catch {
    // GCM hands out bytes before it has checked them: nobody gets to see those.
    plaintext?.fill(0)
    throw invalid(
      `expected the ${wanted} and the files that these secrets were sealed with; one of them differs`,
    )
  } finally {
    key.fill(0)
  }
}

const LOCK_OF = {
  scrypt: 'passphrase',
  'hkdf-sha256': 'key file',
  wrapped: 'key service',
} as const satisfies Record<StoreKdf['name'], string>

/** @throws {McbnError} `MCBN_OPTION_CONFLICT`, `MCBN_OPTION_TYPE` unless it is one of the three. */
function kindOf(lock: StoreLock): (typeof LOCK_OF)[StoreKdf['name']] {
  const { passphrase, keyFile, keyWrapper } = Object(lock) as Record<string, unknown>
  const given = [passphrase, keyFile, keyWrapper].filter((one) => one !== undefined)
  if (given.length > 1) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      'lock: expected one of a passphrase, a key file and a key service, got several',
    )
  }
  if (keyWrapper !== undefined) return 'key service'
  if (keyFile !== undefined) return 'key file'
  if (typeof passphrase === 'string' || passphrase instanceof Uint8Array) return 'passphrase'
  throw wrongType('lock', 'a passphrase (string or bytes), a key file (bytes) or a key service')
}

/** How a key is made for a new sealing, and of what; `secret` is for deriveKey to wipe. */
async function freshKdf(
  lock: StoreLock,
  salt: string,
): Promise<{ readonly kdf: StoreKdf; readonly secret: Buffer }> {
  const kind = kindOf(lock)
  if (lock.keyWrapper === undefined) {
    const name = 'hkdf-sha256' as const
    const kdf =
      kind === 'passphrase' ? { name: 'scrypt' as const, ...SCRYPT, salt } : { name, salt }
    return { kdf, secret: lockBytes(lock) }
  }
  const secret = randomFillSync(secretBytes(KEY_BYTES))
  try {
    const wrapped = await lock.keyWrapper.wrap(secret)
    const { length } = wrapped
    if (length < 1 || length > WRAPPED_MAX_BYTES) {
      throw invalid(`key service: expected 1 to ${WRAPPED_MAX_BYTES} wrapped bytes, got ${length}`)
    }
    if (Buffer.from(wrapped).includes(secret)) {
      throw invalid('key service: expected a wrapped key, got one that shows the key itself')
    }
    return { kdf: { name: 'wrapped', salt, wrapped: toBase64url(wrapped) }, secret }
  } catch (error) {
    secret.fill(0)
    throw error
  }
}

/** For deriveKey to wipe. */
async function secretFor(lock: StoreLock, kdf: StoreKdf): Promise<Buffer> {
  if (lock.keyWrapper === undefined || kdf.name !== 'wrapped') return lockBytes(lock)
  const unwrapped = await lock.keyWrapper.unwrap(Buffer.from(kdf.wrapped, 'base64url'))
  try {
    if (unwrapped.length === KEY_BYTES) return copy(unwrapped)
    throw invalid(`key service: expected a key of ${KEY_BYTES} bytes, got ${unwrapped.length}`)
  } finally {
    unwrapped.fill(0)
  }
}

/** A copy of the lock's secret, for deriveKey to wipe. */
function lockBytes({ passphrase, keyFile }: StoreLock): Buffer {
  if (keyFile !== undefined) {
    if (!(keyFile instanceof Uint8Array)) throw wrongType('keyFile', 'bytes')
    const { min, max } = KEY_FILE_BYTES
    if (keyFile.length < min || keyFile.length > max) {
      throw outOfRange('keyFile', `${min} to ${max} random bytes`, `${keyFile.length}`)
    }
    if (keyFile.every((byte) => byte === keyFile[0])) {
      throw outOfRange('keyFile', 'random bytes', 'equal ones')
    }
    return copy(keyFile)
  }
  const given = passphrase as string | Uint8Array
  const length = passphraseLength(given)
  if (typeof given !== 'string') return copy(given)
  const bytes = secretBytes(length)
  bytes.write(given.normalize('NFC'), 'utf8')
  return bytes
}

/** Outside Node's shared pool, where a secret would linger. */
function copy(bytes: Uint8Array): Buffer {
  return secretCopy(bytes)
}

/** @param secret - owned by this call, and wiped. */
async function deriveKey(secret: Buffer, kdf: StoreKdf): Promise<Buffer> {
  const salt = Buffer.from(kdf.salt, 'base64url')
  try {
    if (kdf.name === 'scrypt') return await scryptKey(secret, salt, kdf)
    const prk = hkdfExtract('sha256', salt, secret)
    const key = hkdfExpand('sha256', prk, lengthPrefixed('mcbn/1 store key'), KEY_BYTES)
    prk.fill(0)
    return key
  } finally {
    secret.fill(0)
  }
}

function scryptKey(
  secret: Buffer,
  salt: Buffer,
  cost: { readonly log2n: number; readonly r: number; readonly p: number },
): Promise<Buffer> {
  const N = 2 ** cost.log2n
  // OpenSSL counts p blocks of 128 r bytes and N + 2 of them besides; Node's own limit is 32 MiB.
  const maxmem = 128 * cost.r * (N + cost.p + 2) + 4096
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, key: Buffer) => (error ? reject(error) : resolve(key))
    scrypt(secret, salt, KEY_BYTES, { N, r: cost.r, p: cost.p, maxmem }, done)
  })
}

function authenticated(header: object, aad: Uint8Array): Buffer {
  return Buffer.concat([
    lengthPrefixed('mcbn/1 store'),
    lengthPrefixed(canonicalBytes(header)),
    lengthPrefixed(aad),
  ])
}

function invalid(what: string): McbnError {
  return new McbnError('MCBN_STORE_INVALID', what)
}

function wrongType(name: string, expected: string): McbnError {
  return new McbnError('MCBN_OPTION_TYPE', `${name}: expected ${expected}`)
}

function outOfRange(name: string, expected: string, got: string): McbnError {
  return new McbnError('MCBN_OPTION_RANGE', `${name}: expected ${expected}, got ${got}`)
}

/**
 * Bytes of a passphrase, as it is sealed with.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` for one that is too short or too long.
 */
export function passphraseLength(given: string | Uint8Array): number {
  const length = Buffer.byteLength(typeof given === 'string' ? given.normalize('NFC') : given)
  const { min, max } = PASSPHRASE_BYTES
  if (length >= min && length <= max) return length
  throw outOfRange('passphrase', `${min} to ${max} bytes`, `${length}`)
}
