// HPKE (RFC 9180) as everywhere in mcbn/1: base mode, one message for each key; who sent something is told
// by signatures. DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: `SUITE` in the messages of a release.
//
// On node:crypto's synchronous calls: a participant seals once for each release, and a dozen turns through
// the thread pool took longer than the cryptography. Nothing here is ours but the order of OpenSSL's
// primitives; tests compare it with RFC 9180's vectors and with two kept libraries.

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { secretBytes } from '../../secret-bytes.js'
import { isX25519PublicKey, rawPublicKey, x25519PublicKey } from './keys.js'

/** AES-256-GCM's tag, in bytes. */
export const HPKE_TAG_BYTES = 16

/** What a message is bound to. */
export interface HpkeContext {
  /** Binds the key schedule (RFC 9180 section 5.1). */
  readonly info: Uint8Array
  /** Authenticated with the one message. @defaultValue none */
  readonly aad?: Uint8Array
}

export interface HpkeSealed {
  /** The encapsulated key, 32 bytes. */
  readonly enc: Buffer
  /** As long as the plaintext and 16 bytes. */
  readonly ciphertext: Buffer
}

/** What only sender and receiver know, see {@link HpkeExporter.export}. */
export interface HpkeExporter {
  /**
   * A secret for another use (RFC 9180 section 5.3), 32 bytes; the caller owns and wipes it.
   *
   * @param purpose - the exporter context: another one gives an independent secret.
   */
  export(purpose: string): Buffer
}

interface Aead {
  readonly name: 'aes-128-gcm' | 'aes-256-gcm'
  /** RFC 9180 section 7.3. */
  readonly id: number
  readonly keyBytes: number
}

/** What RFC 9180's vectors need: nothing else may give these. */
export interface HpkeTesting {
  /** The sender's key pair (skE). @defaultValue a fresh one */
  readonly ephemeral?: KeyObject
  /** @defaultValue AES-256-GCM, mcbn/1's one */
  readonly aead?: Aead
}

const AES_256_GCM: Aead = { name: 'aes-256-gcm', id: 2, keyBytes: 32 }

/** The message, or its key, is not what the sender made for this receiver and context. */
export class HpkeOpenError extends Error {
  override readonly name = 'HpkeOpenError'
}

/**
 * Seals one message.
 *
 * @param publicKey - the receiver's, 32 bytes; checked by the caller, see `isX25519PublicKey`.
 * @param plaintext - borrowed, never modified.
 */
export function hpkeSeal(
  publicKey: Uint8Array,
  plaintext: Uint8Array,
  { info, aad = EMPTY }: HpkeContext,
  { ephemeral = generateKeyPairSync('x25519').privateKey, aead = AES_256_GCM }: HpkeTesting = {},
): HpkeSealed & HpkeExporter {
  const enc = rawPublicKey(createPublicKey(ephemeral))
  const dh = diffieHellman({ privateKey: ephemeral, publicKey: x25519PublicKey(publicKey) })
  const schedule = keySchedule(aead, dh, enc, publicKey, info)
  const cipher = createCipheriv(aead.name, schedule.key, schedule.nonce).setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  wipe(schedule.key, schedule.nonce)
  return { enc, ciphertext, export: schedule.export }
}

/**
 * Opens one message.
 *
 * @param privateKey - the receiver's X25519 key.
 * @param publicKey - its public half, 32 bytes.
 * @returns fresh bytes outside Node's shared pool; the caller owns and wipes them.
 * @throws {HpkeOpenError} for anything that was not sealed to exactly this. All else is a defect here.
 */
export function hpkeOpen(
  privateKey: KeyObject,
  publicKey: Uint8Array,
  { enc, ciphertext }: { readonly enc: Uint8Array; readonly ciphertext: Uint8Array },
  { info, aad = EMPTY }: HpkeContext,
  { aead = AES_256_GCM }: Pick<HpkeTesting, 'aead'> = {},
): { readonly plaintext: Buffer } & HpkeExporter {
  // Of low order, the shared secret would be all zero (RFC 9180 section 7.1.4).
  if (!isX25519PublicKey(enc) || ciphertext.length < HPKE_TAG_BYTES) throw new HpkeOpenError('enc')
  const dh = diffieHellman({ privateKey, publicKey: x25519PublicKey(enc) })
  const schedule = keySchedule(aead, dh, enc, publicKey, info)
  const end = ciphertext.length - HPKE_TAG_BYTES
  const plaintext = secretBytes(end)
  try {
    const decipher = createDecipheriv(aead.name, schedule.key, schedule.nonce, {
      authTagLength: HPKE_TAG_BYTES,
    })
      .setAAD(aad)
      .setAuthTag(ciphertext.subarray(end))
    const opened = decipher.update(ciphertext.subarray(0, end))
    plaintext.set(opened)
    wipe(opened)
    decipher.final()
  } catch {
    wipe(plaintext)
    throw new HpkeOpenError('ciphertext')
  } finally {
    wipe(schedule.key, schedule.nonce)
  }
  return { plaintext, export: schedule.export }
}

const EMPTY = Buffer.alloc(0)
const VERSION = Buffer.from('HPKE-v1')
/** RFC 9180 sections 4.1 and 5.1: "KEM" || 0x0020, and "HPKE" || 0x0020 || 0x0001 || the AEAD's. */
const KEM_SUITE = Buffer.from('4b454d0020', 'hex')
const HPKE_SUITE = Buffer.from('48504b4500200001', 'hex')
const BASE_MODE = Buffer.from([0])
const NONCE_BYTES = 12
const HASH_BYTES = 32

/** @param dh - the secret of the exchange; wiped. */
function keySchedule(
  aead: Aead,
  dh: Buffer,
  enc: Uint8Array,
  publicKey: Uint8Array,
  info: Uint8Array,
) {
  const suite = Buffer.concat([HPKE_SUITE, Buffer.from([0, aead.id])])
  const prk = labeledExtract(KEM_SUITE, EMPTY, 'eae_prk', dh)
  const kemContext = Buffer.concat([enc, publicKey])
  const shared = labeledExpand(KEM_SUITE, prk, 'shared_secret', kemContext, HASH_BYTES)
  const infoHash = labeledExtract(suite, EMPTY, 'info_hash', info)
  const noPskId = noPskIdOf(suite)
  const context = Buffer.concat([BASE_MODE, noPskId, infoHash])
  const secret = labeledExtract(suite, shared, 'secret', EMPTY)
  const key = labeledExpand(suite, secret, 'key', context, aead.keyBytes)
  const nonce = labeledExpand(suite, secret, 'base_nonce', context, NONCE_BYTES)
  const exporter = labeledExpand(suite, secret, 'exp', context, HASH_BYTES)
  wipe(dh, prk, shared, secret)
  return {
    key,
    nonce,
    export: (purpose: string) =>
      labeledExpand(suite, exporter, 'sec', Buffer.from(purpose, 'utf8'), HASH_BYTES),
  }
}

/** The same for every message of a suite. */
const noPskIds = new Map<string, Buffer>()

function noPskIdOf(suite: Buffer): Buffer {
  const name = suite.toString('hex')
  const hash = noPskIds.get(name) ?? labeledExtract(suite, EMPTY, 'psk_id_hash', EMPTY)
  noPskIds.set(name, hash)
  return hash
}

/** RFC 9180 section 4, on HKDF-Extract (RFC 5869 section 2.2). */
function labeledExtract(suite: Buffer, salt: Uint8Array, label: string, ikm: Uint8Array): Buffer {
  return createHmac('sha256', salt).update(VERSION).update(suite).update(label).update(ikm).digest()
}

/** RFC 9180 section 4, on HKDF-Expand (RFC 5869 section 2.3). @param length - at most 32: one block. */
function labeledExpand(
  suite: Buffer,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Buffer {
  const block = createHmac('sha256', prk)
    .update(Buffer.from([0, length]))
    .update(VERSION)
    .update(suite)
    .update(label)
    .update(info)
    .update(Buffer.from([1]))
    .digest()
  const out = secretBytes(length)
  out.set(block.subarray(0, length))
  wipe(block)
  return out
}

function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0)
}
