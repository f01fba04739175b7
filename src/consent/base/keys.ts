// The two key pairs of a participant: Ed25519 signs, X25519 receives. And the one way in which anything
// of mcbn/1 is signed: over the length-prefixed name of the purpose, so that a signature made for one kind
// of message can never serve as another.

import {
  createPrivateKey,
  createPublicKey,
  sign as cryptoSign,
  verify as cryptoVerify,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { types } from 'node:util'
import { ed25519 } from '@noble/curves/ed25519.js'
import { McbnError } from '../../errors.js'
import { lengthPrefixed } from '../../psk/encoding.js'
import { secretBytes } from '../../secret-bytes.js'
import { fromBase64url, toBase64url } from './base64url.js'

/** Bytes of a public key, and of the seed of a private one. */
export const KEY_BYTES = 32
/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64

/** The private keys of one participant. `util.inspect` and JSON show nothing of them. */
export interface ParticipantKeys {
  /** Ed25519 (RFC 8032), private. */
  readonly ed25519: KeyObject
  /** X25519 (RFC 7748), private. */
  readonly x25519: KeyObject
}

/** The public keys of one participant as a descriptor lists them: base64url, 32 bytes each. */
export interface ParticipantPublicKeys {
  readonly ed25519: string
  readonly x25519: string
}

/** The seeds of both private keys, 32 bytes each; the holder owns and wipes them. */
export interface ParticipantSeeds {
  readonly ed25519: Buffer
  readonly x25519: Buffer
}

// RFC 8410: PKCS #8 with the seed at the end. Node 20 takes and gives raw private keys in no other way that could
// be wiped afterwards (a JWK is made of strings).
const PKCS8 = {
  ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  x25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
} as const
type Algorithm = keyof typeof PKCS8

/** Makes two fresh key pairs. */
export function generateParticipantKeys(): ParticipantKeys {
  return {
    ed25519: generateKeyPairSync('ed25519').privateKey,
    x25519: generateKeyPairSync('x25519').privateKey,
  }
}

/**
 * The seeds of both private keys, to be stored encrypted.
 *
 * @returns fresh bytes outside Node's shared pool; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_KEY_INVALID` unless private keys of the two kinds.
 */
export function exportPrivate(keys: ParticipantKeys): ParticipantSeeds {
  return { ed25519: seedOf(keys.ed25519, 'ed25519'), x25519: seedOf(keys.x25519, 'x25519') }
}

/**
 * Makes keys out of their seeds.
 *
 * @param seeds - 32 bytes each; borrowed, the caller wipes them.
 * @throws {McbnError} `MCBN_KEY_INVALID` for another length, or 32 equal bytes.
 */
export function importPrivate(seeds: {
  readonly ed25519: Uint8Array
  readonly x25519: Uint8Array
}): ParticipantKeys {
  return {
    ed25519: keyOfSeed(seeds.ed25519, 'ed25519'),
    x25519: keyOfSeed(seeds.x25519, 'x25519'),
  }
}

/**
 * The public halves, as a descriptor lists them.
 *
 * @throws {McbnError} `MCBN_KEY_INVALID` unless private keys of the two kinds.
 */
export function publicKeys(keys: ParticipantKeys): ParticipantPublicKeys {
  return {
    ed25519: toBase64url(publicBytes(keys.ed25519, 'ed25519')),
    x25519: toBase64url(publicBytes(keys.x25519, 'x25519')),
  }
}

/** The public half of an Ed25519 key, as a descriptor lists it. @throws {McbnError} `MCBN_KEY_INVALID`. */
export function publicKeyText(privateKey: KeyObject): string {
  return toBase64url(publicBytes(privateKey, 'ed25519'))
}

/**
 * Signs for one purpose: Ed25519 over lp(purpose) || parts, one after the other as they are. Where a
 * part's length can vary and another follows, the caller gives it length-prefixed.
 *
 * @param privateKey - Ed25519.
 * @param purpose - e.g. `mcbn/1 sign descriptor`; no two kinds of message have the same.
 * @returns 64 bytes.
 * @throws {McbnError} `MCBN_KEY_INVALID` unless a private Ed25519 key.
 */
export function sign(
  privateKey: KeyObject,
  purpose: string,
  ...parts: readonly Uint8Array[]
): Buffer {
  demand(privateKey, 'ed25519')
  return cryptoSign(null, signedBytes(purpose, parts), privateKey)
}

/**
 * Checks a signature of {@link sign}. Never throws: what cannot be a key or a signature verifies nothing.
 *
 * A public key of low order is refused too. RFC 8032 does not ask for it and OpenSSL does not do it, but
 * under such a key one signature is good for many messages, and nobody would have signed any of them.
 *
 * @param publicKey - base64url, 32 bytes.
 * @param signature - 64 bytes, or base64url of them.
 */
export function verifySignature(
  publicKey: string,
  purpose: string,
  parts: readonly Uint8Array[],
  signature: Uint8Array | string,
): boolean {
  const bytes = signatureBytes(signature)
  if (bytes === undefined) return false
  try {
    const key = verifyingKey(publicKey)
    return key !== undefined && cryptoVerify(null, signedBytes(purpose, parts), key, bytes)
  } catch {
    return false
  }
}

/** Keys that were found good: a network has few, and each is asked again with every message. */
const verifyingKeys = new Map<string, KeyObject>()
const MOST_VERIFYING_KEYS = 256

function verifyingKey(publicKey: string): KeyObject | undefined {
  const known = verifyingKeys.get(publicKey)
  if (known !== undefined) return known
  const bytes = fromBase64url(publicKey, KEY_BYTES)
  if (bytes === undefined || !isEd25519PublicKey(bytes)) return undefined
  const key = publicKeyOf('ed25519', bytes)
  if (verifyingKeys.size >= MOST_VERIFYING_KEYS) verifyingKeys.clear()
  verifyingKeys.set(publicKey, key)
  return key
}

/** Whether the bytes are an Ed25519 public key: a point, in its one encoding, not of low order. */
export function isEd25519PublicKey(bytes: Uint8Array): boolean {
  try {
    return !ed25519.Point.fromBytes(bytes).isSmallOrder()
  } catch {
    return false
  }
}

/** 2^255 - 19. */
const FIELD_PRIME = 2n ** 255n - 19n

/**
 * The u-coordinates of low order on Curve25519 and its twist: with any of them the shared secret is all
 * zero whatever the private key (RFC 7748 section 6.1).
 */
const LOW_ORDER: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  FIELD_PRIME - 1n,
])

/**
 * Whether the bytes are an X25519 public key in its one encoding, not of low order. RFC 7748 section 5
 * would have other encodings accepted; two texts for one key would be two participants.
 */
export function isX25519PublicKey(bytes: Uint8Array): boolean {
  if (bytes.length !== KEY_BYTES) return false
  const u = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
  return u < FIELD_PRIME && !LOW_ORDER.has(u)
}

/** A public key out of its 32 bytes. Whether it may be used is for {@link isX25519PublicKey}. */
export function x25519PublicKey(bytes: Uint8Array): KeyObject {
  return publicKeyOf('x25519', bytes)
}

// Public keys come as JWK (RFC 8037): with OpenSSL 3 a SubjectPublicKeyInfo takes ten times as long. They never go
// as JWK: Node 20 holds the key's mutex while it makes the strings of one, and what generateKeyPair() leaves behind
// waits for the same mutex when it is collected as garbage. Both at once, and the process stands still for ever.

/** The 32 bytes of the public half of an X25519 key; a fifth of the time that a SubjectPublicKeyInfo takes. */
export function x25519PublicHalf(privateKey: KeyObject): Buffer {
  return diffieHellman({ privateKey, publicKey: BASE_POINT })
}

/**
 * The same public key without ties to what made it: it may go as JWK.
 *
 * @param key - public or private.
 */
export function detachedPublicKey(key: KeyObject): KeyObject {
  const bytes = (key.type === 'private' ? createPublicKey(key) : key).export(DER)
  return createPublicKey({ key: bytes, ...DER })
}

const DER = { format: 'der', type: 'spki' } as const

const CURVES = { ed25519: 'Ed25519', x25519: 'X25519' } as const

function publicKeyOf(algorithm: Algorithm, bytes: Uint8Array): KeyObject {
  const jwk = { kty: 'OKP', crv: CURVES[algorithm], x: toBase64url(bytes) }
  return createPublicKey({ key: jwk, format: 'jwk' })
}

/** RFC 7748 section 4.1: what a private key is multiplied with makes the public one. */
const BASE_POINT = x25519PublicKey(Uint8Array.of(9, ...new Uint8Array(KEY_BYTES - 1)))

function signedBytes(purpose: string, parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([lengthPrefixed(purpose), ...parts])
}

function signatureBytes(signature: Uint8Array | string): Uint8Array | undefined {
  if (typeof signature === 'string') return fromBase64url(signature, SIGNATURE_BYTES)
  return types.isUint8Array(signature) && signature.length === SIGNATURE_BYTES
    ? signature
    : undefined
}

function seedOf(key: KeyObject, algorithm: Algorithm): Buffer {
  demand(key, algorithm)
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' })
  const seed = secretBytes(KEY_BYTES)
  pkcs8.copy(seed, 0, pkcs8.length - KEY_BYTES)
  pkcs8.fill(0)
  return seed
}

function keyOfSeed(seed: Uint8Array, algorithm: Algorithm): KeyObject {
  if (!types.isUint8Array(seed) || seed.length !== KEY_BYTES) {
    const got = types.isUint8Array(seed) ? `${seed.length}` : typeof seed
    throw invalid(`${algorithm}: expected a seed of ${KEY_BYTES} bytes, got ${got}`)
  }
  if (seed.every((byte) => byte === seed[0])) {
    throw invalid(`${algorithm}: expected a seed of random bytes, got ${KEY_BYTES} equal ones`)
  }
  const prefix = PKCS8[algorithm]
  const pkcs8 = secretBytes(prefix.length + KEY_BYTES)
  pkcs8.set(prefix)
  pkcs8.set(seed, prefix.length)
  try {
    return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  } finally {
    pkcs8.fill(0)
  }
}

function publicBytes(key: KeyObject, algorithm: Algorithm): Buffer {
  demand(key, algorithm)
  return createPublicKey(key).export(DER).subarray(-KEY_BYTES)
}

function demand(key: KeyObject, algorithm: Algorithm): void {
  if (key?.type === 'private' && key.asymmetricKeyType === algorithm) return
  const got = key?.type === undefined ? typeof key : `${key.asymmetricKeyType ?? ''} ${key.type}`
  throw invalid(`${algorithm}: expected a private key, got ${got.trim()}`)
}

function invalid(message: string): McbnError {
  return new McbnError('MCBN_KEY_INVALID', message)
}
