// Secrets at rest: a key from a passphrase or a key file, AES-256-GCM over the secrets, and the
// parameters in the open beside them, all of them authenticated.
//
//   passphrase --scrypt (RFC 7914), N = 2^17, r = 8, p = 1: 128 MiB-->  key --\
//   key file   --HKDF-SHA-256 (RFC 5869)---------------------------->  key ---> AES-256-GCM
//   AAD = lp("mcbn/1 store") || lp(canonical header) || lp(the caller's aad)

import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { hkdfExpand, hkdfExtract } from '../../psk/hkdf.js'
import { secretBytes, secretCopy } from '../../secret-bytes.js'
import { fromBase64url, toBase64url } from '../base/base64url.js'
import { canonicalBytes } from '../base/canonical.js'

/** What opens sealed secrets: one of the two. */
export type StoreLock =
  /**
   * At least 8 bytes. A string is brought to Unicode normal form C first, so that every keyboard types the
   * same one; bytes are taken as they are, and the caller can wipe them.
   */
  | { readonly passphrase: string | Uint8Array; readonly keyFile?: undefined }
  /** 32 to 4,096 random bytes, e.g. `head -c 32 /dev/urandom`; kept where the store's copies are not. */
  | { readonly keyFile: Uint8Array; readonly passphrase?: undefined }

/** How the key was made; public. */
export type StoreKdf =
  | {
      readonly name: 'scrypt'
      /** Memory is 128 * r * 2^log2n bytes (RFC 7914 section 2). */
      readonly log2n: number
      readonly r: number
      readonly p: number
      /** 32 bytes. */
      readonly salt: string
    }
  | {
      readonly name: 'hkdf-sha256'
      /** 32 bytes. */
      readonly salt: string
    }

/** Sealed secrets as JSON: everything but `ciphertext` is the public header; bytes are base64url. */
export interface SealedSecrets {
  readonly version: 'mcbn/1'
  readonly cipher: 'aes-256-gcm'
  readonly kdf: StoreKdf
  /** 12 random bytes. Key and nonce are both fresh with every sealing, so neither ever repeats. */
  readonly nonce: string
  /** As long as the secrets, and GCM's 16 bytes of tag behind. */
  readonly ciphertext: string
}

/** Most secrets sealed at once, in bytes. */
export const SEALED_MAX_BYTES = 48 * 1024

/** What a new store uses; OWASP's and RFC 7914's order of magnitude for a file that is opened rarely. */
const SCRYPT = { log2n: 17, r: 8, p: 1 } as const
/**
 * What a file may ask for: at most twice the memory and four times the work, since an altered file must
 * not stop the machine before its tag says that it was altered.
 */
const SCRYPT_BOUNDS = { log2n: [14, 18], r: [8, 8], p: [1, 4] } as const

const KEY_BYTES = 32
const SALT_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
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
  const secret = lockBytes(lock)
  const salt = toBase64url(randomBytes(SALT_BYTES))
  const kdf: StoreKdf =
    secret.kind === 'passphrase'
      ? { name: 'scrypt', ...SCRYPT, salt }
      : { name: 'hkdf-sha256', salt }
  const nonce = randomBytes(NONCE_BYTES)
  const header = {
    version: 'mcbn/1',
    cipher: 'aes-256-gcm',
    kdf,
    nonce: toBase64url(nonce),
  } as const
  const key = await deriveKey(secret.bytes, kdf)
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
  const secret = lockBytes(lock)
  const wanted = header.kdf.name === 'scrypt' ? 'passphrase' : 'key file'
  if (secret.kind !== wanted) {
    secret.bytes.fill(0)
    throw invalid(
      `lock: expected the ${wanted} that these secrets were sealed with, got a ${secret.kind}`,
    )
  }
  const key = await deriveKey(secret.bytes, header.kdf)
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

/** A copy of the lock's secret, for deriveKey to wipe. */
function lockBytes(lock: StoreLock): { kind: 'passphrase' | 'key file'; bytes: Buffer } {
  const { passphrase, keyFile } = Object(lock) as { passphrase?: unknown; keyFile?: unknown }
  if (passphrase !== undefined && keyFile !== undefined) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      'lock: expected a passphrase or a key file, got both',
    )
  }
  if (keyFile !== undefined) {
    if (!(keyFile instanceof Uint8Array)) throw wrongType('keyFile', 'bytes')
    const { min, max } = KEY_FILE_BYTES
    if (keyFile.length < min || keyFile.length > max) {
      throw outOfRange('keyFile', `${min} to ${max} random bytes`, `${keyFile.length}`)
    }
    if (keyFile.every((byte) => byte === keyFile[0])) {
      throw outOfRange('keyFile', 'random bytes', 'equal ones')
    }
    return { kind: 'key file', bytes: copy(keyFile) }
  }
  if (typeof passphrase !== 'string' && !(passphrase instanceof Uint8Array)) {
    throw wrongType('lock', 'a passphrase (string or bytes) or a key file (bytes)')
  }
  const length = Buffer.byteLength(
    typeof passphrase === 'string' ? passphrase.normalize('NFC') : passphrase,
  )
  const { min, max } = PASSPHRASE_BYTES
  if (length < min || length > max) {
    throw outOfRange('passphrase', `${min} to ${max} bytes`, `${length}`)
  }
  if (typeof passphrase !== 'string') return { kind: 'passphrase', bytes: copy(passphrase) }
  const bytes = secretBytes(length)
  bytes.write(passphrase.normalize('NFC'), 'utf8')
  return { kind: 'passphrase', bytes }
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

interface ParsedSealed {
  readonly header: Omit<SealedSecrets, 'ciphertext'>
  readonly nonce: Buffer
  readonly ciphertext: Buffer
}

/** Field by field into fresh objects; what is not known is refused, since it would not be authenticated. */
function parseSealed(value: unknown): ParsedSealed {
  const fields = object('sealed secrets', value, [
    'version',
    'cipher',
    'kdf',
    'nonce',
    'ciphertext',
  ])
  if (fields['version'] !== 'mcbn/1') throw invalid("version: expected 'mcbn/1'")
  if (fields['cipher'] !== 'aes-256-gcm') throw invalid("cipher: expected 'aes-256-gcm'")
  const nonce = fromBase64url(fields['nonce'], NONCE_BYTES)
  if (nonce === undefined) throw invalid(`nonce: expected ${NONCE_BYTES} bytes as base64url`)
  const text = fields['ciphertext']
  const length = typeof text === 'string' ? Math.floor((text.length * 3) / 4) : 0
  const bounded = length > TAG_BYTES && length <= SEALED_MAX_BYTES + TAG_BYTES
  const ciphertext = bounded ? fromBase64url(text, length) : undefined
  if (ciphertext === undefined) {
    throw invalid(
      `ciphertext: expected ${TAG_BYTES + 1} to ${SEALED_MAX_BYTES + TAG_BYTES} bytes as base64url`,
    )
  }
  const header = {
    version: 'mcbn/1',
    cipher: 'aes-256-gcm',
    kdf: parseKdf(fields['kdf']),
    nonce: toBase64url(nonce),
  } as const
  return { header, nonce, ciphertext }
}

function parseKdf(value: unknown): StoreKdf {
  const name = (Object(value) as { name?: unknown }).name
  if (name !== 'scrypt' && name !== 'hkdf-sha256') {
    throw invalid("kdf.name: expected 'scrypt' or 'hkdf-sha256'")
  }
  const names = name === 'scrypt' ? ['name', 'log2n', 'r', 'p', 'salt'] : ['name', 'salt']
  const fields = object('kdf', value, names)
  const salt = fromBase64url(fields['salt'], SALT_BYTES)
  if (salt === undefined) throw invalid(`kdf.salt: expected ${SALT_BYTES} bytes as base64url`)
  if (name === 'hkdf-sha256') return { name, salt: toBase64url(salt) }
  const cost = (field: 'log2n' | 'r' | 'p') => {
    const number = fields[field]
    const [min, max] = SCRYPT_BOUNDS[field]
    if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max) {
      throw invalid(`kdf.${field}: expected an integer from ${min} to ${max}`)
    }
    return number
  }
  return { name, log2n: cost('log2n'), r: cost('r'), p: cost('p'), salt: toBase64url(salt) }
}

function object(what: string, value: unknown, names: readonly string[]): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid(`${what}: expected an object`)
  }
  if (Object.keys(value).some((key) => !names.includes(key))) {
    throw invalid(`${what}: expected only ${names.join(', ')}`)
  }
  return value as Record<string, unknown>
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
