// Sealed secrets as a file has them: read field by field, since what is not known would not be authenticated.

import { McbnError } from '../../errors.js'
import { fromBase64url, toBase64url } from '../base/base64url.js'

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
  | {
      readonly name: 'wrapped'
      /** 32 bytes. */
      readonly salt: string
      /** 1 to 4,096 bytes: a fresh key, as the key service wrapped it. */
      readonly wrapped: string
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

/** Most bytes of a wrapped key. */
export const WRAPPED_MAX_BYTES = 4096
/**
 * What a file may ask for: at most twice the memory and four times the work, since an altered file must
 * not stop the machine before its tag says that it was altered.
 */
const SCRYPT_BOUNDS = { log2n: [14, 18], r: [8, 8], p: [1, 4] } as const

export const SALT_BYTES = 32
export const NONCE_BYTES = 12
export const TAG_BYTES = 16

export interface ParsedSealed {
  readonly header: Omit<SealedSecrets, 'ciphertext'>
  readonly nonce: Buffer
  readonly ciphertext: Buffer
}

/** Field by field into fresh objects; what is not known is refused, since it would not be authenticated. */
export function parseSealed(value: unknown): ParsedSealed {
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
  const ciphertext = bytesWithin('ciphertext', fields['ciphertext'], {
    min: TAG_BYTES + 1,
    max: SEALED_MAX_BYTES + TAG_BYTES,
  })
  const header = {
    version: 'mcbn/1',
    cipher: 'aes-256-gcm',
    kdf: parseKdf(fields['kdf']),
    nonce: toBase64url(nonce),
  } as const
  return { header, nonce, ciphertext }
}

const KDF_FIELDS = {
  scrypt: ['name', 'log2n', 'r', 'p', 'salt'],
  'hkdf-sha256': ['name', 'salt'],
  wrapped: ['name', 'salt', 'wrapped'],
} as const satisfies Record<StoreKdf['name'], readonly string[]>

function parseKdf(value: unknown): StoreKdf {
  const name = (Object(value) as { name?: unknown }).name
  if (name !== 'scrypt' && name !== 'hkdf-sha256' && name !== 'wrapped') {
    throw invalid("kdf.name: expected 'scrypt', 'hkdf-sha256' or 'wrapped'")
  }
  const fields = object('kdf', value, KDF_FIELDS[name])
  const salt = fromBase64url(fields['salt'], SALT_BYTES)
  if (salt === undefined) throw invalid(`kdf.salt: expected ${SALT_BYTES} bytes as base64url`)
  if (name === 'hkdf-sha256') return { name, salt: toBase64url(salt) }
  if (name === 'wrapped') {
    const bounds = { min: 1, max: WRAPPED_MAX_BYTES }
    const wrapped = bytesWithin('kdf.wrapped', fields['wrapped'], bounds)
    return { name, salt: toBase64url(salt), wrapped: toBase64url(wrapped) }
  }
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

/** Bytes whose number is not known before, within bounds. */
function bytesWithin(
  what: string,
  text: unknown,
  { min, max }: { readonly min: number; readonly max: number },
): Buffer {
  const length = typeof text === 'string' ? Math.floor((text.length * 3) / 4) : 0
  const bytes = length >= min && length <= max ? fromBase64url(text, length) : undefined
  if (bytes === undefined) throw invalid(`${what}: expected ${min} to ${max} bytes as base64url`)
  return bytes
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
