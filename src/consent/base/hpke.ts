// HPKE (RFC 9180) as everywhere in mcbn/1: base mode, one message for each key; who sent something is told
// by signatures. DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: `SUITE` in the messages of a release.
//
// On synchronous calls: a participant seals once for each release, and a dozen turns through the thread pool took
// longer than the cryptography. Nothing here is ours but the order of OpenSSL's primitives; tests compare it with
// RFC 9180's vectors and with two kept libraries. The addon seals in one call, in less than half of the
// time that node:crypto's objects take; where it cannot be loaded the same is done here.

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { type NativeSealHpke, nativeSealHpke } from '../../native/hpke.js'
import { secretBytes } from '../../secret-bytes.js'
import { isX25519PublicKey, KEY_BYTES, x25519PublicHalf, x25519PublicKey } from './keys.js'

/** AES-256-GCM's tag, in bytes. */
export const HPKE_TAG_BYTES = 16

/** What a message is bound to. */
export interface HpkeContext {
  /** Binds the key schedule (RFC 9180 section 5.1). */
  readonly info: Uint8Array
  /** Authenticated with the one message. @defaultValue none */
  readonly aad?: Uint8Array
  /** Exporter contexts, see {@link HpkeExported}. @defaultValue none */
  readonly exports?: readonly string[]
}

export interface HpkeSealed {
  /** The encapsulated key, 32 bytes. */
  readonly enc: Buffer
  /** As long as the plaintext and 16 bytes. */
  readonly ciphertext: Buffer
}

/** What only sender and receiver know. */
export interface HpkeExported {
  /**
   * Secrets for other uses (RFC 9180 section 5.3), 32 bytes each, in the order of `exports`: another exporter
   * context gives an independent secret. The caller owns and wipes them.
   */
  readonly exported: readonly Buffer[]
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
  context: HpkeContext,
  testing?: HpkeTesting,
): HpkeSealed & HpkeExported {
  const native = testing === undefined ? nativeSealHpke() : undefined
  return native === undefined
    ? sealHere(publicKey, plaintext, context, testing)
    : sealByAddon(native, publicKey, plaintext, context)
}

function sealByAddon(
  seal: NativeSealHpke,
  publicKey: Uint8Array,
  plaintext: Uint8Array,
  { info, aad = EMPTY, exports = [] }: HpkeContext,
): HpkeSealed & HpkeExported {
  const secrets = KEY_BYTES + plaintext.length + HPKE_TAG_BYTES
  const out = secretBytes(secrets + exports.length * HASH_BYTES)
  if (!seal(out, publicKey, plaintext, info, aad, ...exports)) {
    throw new Error('expected a public key of X25519, got other bytes')
  }
  return {
    enc: out.subarray(0, KEY_BYTES),
    ciphertext: out.subarray(KEY_BYTES, secrets),
    exported: exports.map((_, at) => {
      const from = secrets + at * HASH_BYTES
      return out.subarray(from, from + HASH_BYTES)
    }),
  }
}

/** By node:crypto. */
function sealHere(
  publicKey: Uint8Array,
  plaintext: Uint8Array,
  { info, aad = EMPTY, exports = [] }: HpkeContext,
  { ephemeral = generateKeyPairSync('x25519').privateKey, aead = AES_256_GCM }: HpkeTesting = {},
): HpkeSealed & HpkeExported {
  const enc = x25519PublicHalf(ephemeral)
  const dh = diffieHellman({ privateKey: ephemeral, publicKey: x25519PublicKey(publicKey) })
  const schedule = keySchedule(aead, dh, { enc, publicKey, info, exports })
  const cipher = createCipheriv(aead.name, schedule.key, schedule.nonce).setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  wipe(schedule.key, schedule.nonce)
  return { enc, ciphertext, exported: schedule.exported }
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
  { info, aad = EMPTY, exports = [] }: HpkeContext,
  { aead = AES_256_GCM }: Pick<HpkeTesting, 'aead'> = {},
): { readonly plaintext: Buffer } & HpkeExported {
  // Of low order, the shared secret would be all zero (RFC 9180 section 7.1.4).
  if (!isX25519PublicKey(enc) || ciphertext.length < HPKE_TAG_BYTES) throw new HpkeOpenError('enc')
  const dh = diffieHellman({ privateKey, publicKey: x25519PublicKey(enc) })
  const schedule = keySchedule(aead, dh, { enc, publicKey, info, exports })
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
    wipe(plaintext, ...schedule.exported)
    throw new HpkeOpenError('ciphertext')
  } finally {
    wipe(schedule.key, schedule.nonce)
  }
  return { plaintext, exported: schedule.exported }
}

const EMPTY = Buffer.alloc(0)
/** RFC 9180 sections 4.1 and 5.1: "KEM" || 0x0020, and "HPKE" || 0x0020 || 0x0001 || the AEAD's. */
const KEM_SUITE = Buffer.from('4b454d0020', 'hex')
const HPKE_SUITE = Buffer.from('48504b4500200001', 'hex')
const BASE_MODE = Buffer.from([0])
const NONCE_BYTES = 12
const HASH_BYTES = 32
/** The number of HKDF-Expand's first block; here there is no second. */
const FIRST_BLOCK = Buffer.from([1])

const KEM = labelsOf(KEM_SUITE, ['eae_prk', 'shared_secret'])
const SUITE_LABELS = [
  'psk_id_hash',
  'info_hash',
  'secret',
  'key',
  'base_nonce',
  'exp',
  'sec',
] as const

/** The same for every message of a suite. */
interface Suite extends Readonly<Record<(typeof SUITE_LABELS)[number], Buffer>> {
  /** Of the empty psk_id. */
  readonly noPskId: Buffer
}

const suites = new Map<number, Suite>()

function suiteOf({ id }: Aead): Suite {
  const known = suites.get(id)
  if (known !== undefined) return known
  const labels = labelsOf(Buffer.concat([HPKE_SUITE, Buffer.from([0, id])]), SUITE_LABELS)
  const suite = { ...labels, noPskId: labeledExtract(EMPTY, labels.psk_id_hash, EMPTY) }
  suites.set(id, suite)
  return suite
}

/** "HPKE-v1" || suite_id || label: what stands before all that RFC 9180 section 4 hashes. */
function labelsOf<const Name extends string>(
  suite: Buffer,
  names: readonly Name[],
): Readonly<Record<Name, Buffer>> {
  const made = names.map((name) => [
    name,
    Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(name)]),
  ])
  return Object.fromEntries(made) as Record<Name, Buffer>
}

interface ScheduleInput extends Required<Pick<HpkeContext, 'info' | 'exports'>> {
  readonly enc: Uint8Array
  readonly publicKey: Uint8Array
}

/** @param dh - the secret of the exchange; wiped. */
function keySchedule(aead: Aead, dh: Buffer, { enc, publicKey, info, exports }: ScheduleInput) {
  const suite = suiteOf(aead)
  const prk = labeledExtract(EMPTY, KEM.eae_prk, dh)
  const kemContext = Buffer.concat([enc, publicKey])
  const shared = labeledExpand(prk, KEM.shared_secret, kemContext, HASH_BYTES)
  const infoHash = labeledExtract(EMPTY, suite.info_hash, info)
  const context = Buffer.concat([BASE_MODE, suite.noPskId, infoHash])
  const secret = labeledExtract(shared, suite.secret, EMPTY)
  const key = labeledExpand(secret, suite.key, context, aead.keyBytes)
  const nonce = labeledExpand(secret, suite.base_nonce, context, NONCE_BYTES)
  const exporter = labeledExpand(secret, suite.exp, context, HASH_BYTES)
  const exported = exports.map((purpose) =>
    labeledExpand(exporter, suite.sec, Buffer.from(purpose, 'utf8'), HASH_BYTES),
  )
  wipe(dh, prk, shared, secret, exporter)
  return { key, nonce, exported }
}

/** RFC 9180 section 4, on HKDF-Extract (RFC 5869 section 2.2). @param label - of {@link labelsOf}. */
function labeledExtract(salt: Uint8Array, label: Buffer, ikm: Uint8Array): Buffer {
  return createHmac('sha256', salt).update(label).update(ikm).digest()
}

/**
 * RFC 9180 section 4, on HKDF-Expand (RFC 5869 section 2.3).
 *
 * @param label - of {@link labelsOf}.
 * @param length - at most 32: one block.
 */
function labeledExpand(prk: Uint8Array, label: Buffer, info: Uint8Array, length: number): Buffer {
  const about = Buffer.concat([Buffer.from([0, length]), label, info, FIRST_BLOCK])
  const block = createHmac('sha256', prk).update(about).digest()
  const out = secretBytes(length)
  out.set(block.subarray(0, length))
  wipe(block)
  return out
}

function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0)
}
