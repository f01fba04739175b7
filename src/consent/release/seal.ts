// The share on its way: HPKE (RFC 9180, base mode) to a key that only the attested workload holds. The
// operator carries the result and can do nothing with it but lose it.

import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { McbnError } from '../../errors.js'
import { lengthPrefixed, publicFields } from '../../psk/encoding.js'
import { SHARE_BYTES } from '../../psk/share.js'
import { toBase64url } from '../base/base64url.js'
import { canonicalBytes } from '../base/canonical.js'
import { HPKE_TAG_BYTES, type HpkeExported, hpkeOpen, hpkeSeal } from '../base/hpke.js'
import { isX25519PublicKey, KEY_BYTES, x25519PublicHalf } from '../base/keys.js'
import type { Role } from '../descriptor/types.js'
import { type Binary, binary } from './binary.js'
import type { Release, ReleaseHeader } from './messages.js'

const TITLE = lengthPrefixed('mcbn/1 share')

/** What a sealed share is bound to: opened with anything else it is garbage, and refused. */
export interface SealContext {
  /** Hash of the descriptor, 32 bytes. */
  readonly dh: Binary
  readonly role: Role
  /** The participant whose share it is. */
  readonly label: string
  /** The challenge of this round, 32 bytes. */
  readonly c: Binary
  /** The token that the participant accepted. */
  readonly token: string
  /** Authenticated in its canonical form. */
  readonly header: ReleaseHeader
}

/** A sealed share: base64url, as in {@link Release}. */
export type SealedShare = Pick<Release, 'enc' | 'ciphertext'>

/** What {@link sealShare} takes. */
export interface SealInput extends SealContext {
  /** 32 bytes; borrowed, never modified. */
  readonly share: Uint8Array
  /** The workload's X25519 public key, 32 bytes. */
  readonly pk: Binary
}

/** A fresh key pair of a workload, for one request. The private key cannot be exported. */
export interface Receiver {
  /** X25519, 32 bytes. */
  readonly publicKey: Buffer
  /**
   * Opens what was sealed to the public key.
   *
   * @returns the share, 32 fresh bytes outside Node's shared pool; the caller owns and wipes them.
   * @throws {McbnError} `MCBN_RELEASE_INVALID` for anything that was not sealed to exactly this.
   */
  open(sealed: SealedShare & SealContext): Promise<Buffer>
  /** As {@link open}, with what the lease has in common with the participant. */
  openLease(sealed: SealedShare & SealContext): OpenedShare
}

/** Bytes outside Node's shared pool; the caller owns and wipes them. */
export interface OpenedShare {
  /** 32 bytes. */
  readonly share: Buffer
  /** 32 bytes, see {@link leaseSecrets}. */
  readonly lease: LeaseSecrets
}

/** Makes a fresh key pair. Node keeps the private key; JavaScript never sees its bytes. */
export async function generateReceiver(): Promise<Receiver> {
  const { privateKey } = generateKeyPairSync('x25519')
  const publicKey = x25519PublicHalf(privateKey)
  const openLease = (sealed: SealedShare & SealContext) => openShare(privateKey, publicKey, sealed)
  return { publicKey, openLease, open: async (sealed) => openLease(sealed).share }
}

/** As {@link sealForLease}, without what belongs to a lease. */
export async function sealShare(input: SealInput): Promise<SealedShare> {
  const { enc, ciphertext } = sealForLease({ ...input, tokenHash: tokenHash(input.token) })
  return { enc, ciphertext }
}

/** What {@link sealForLease} takes: a token is hashed once for all that is made of it. */
export interface LeaseSealInput extends Omit<SealInput, 'token'> {
  /** See {@link tokenHash}. */
  readonly tokenHash: Buffer
}

/**
 * Seals a share to a workload's key.
 *
 * @throws {McbnError} `MCBN_RELEASE_INVALID` for a key that is not 32 bytes, not canonical or of low order;
 * `MCBN_SHARE_INVALID` with `participant` for a share that is not 32 bytes.
 */
export function sealForLease(
  input: LeaseSealInput,
): SealedShare & { readonly lease: LeaseSecrets } {
  const { share, label, header } = input
  if (share.length !== SHARE_BYTES) {
    throw new McbnError(
      'MCBN_SHARE_INVALID',
      `share of ${label}: expected ${SHARE_BYTES} bytes, got ${share.length}`,
      { participant: label },
    )
  }
  const pk = publicKeyBytes(input.pk, 'pk')
  const context = { info: sealInfo(input), aad: canonicalBytes(header), exports: LEASE_EXPORTS }
  const sealed = hpkeSeal(pk, share, context)
  return {
    enc: toBase64url(sealed.enc),
    ciphertext: toBase64url(sealed.ciphertext),
    lease: leaseSecrets(sealed),
  }
}

/**
 * What the workload and the participant have in common about one lease, and nobody else: out of HPKE's exporter, so
 * that no message carries them. Each is told to the participant to prove that a message is the workload's; the
 * participant keeps their hashes only.
 */
export interface LeaseSecrets {
  /** Tells that a request renews a lease. 32 bytes. */
  readonly renewal: Buffer
  /** Gives the lease back. 32 bytes. */
  readonly giveBack: Buffer
}

const LEASE_EXPORTS = ['mcbn/1 lease renewal', 'mcbn/1 lease return'] as const

function leaseSecrets({ exported }: HpkeExported): LeaseSecrets {
  const [renewal, giveBack] = exported as readonly [Buffer, Buffer]
  return { renewal, giveBack }
}

/** SHA-256 of a token as UTF-8, 32 bytes. */
export function tokenHash(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest()
}

function openShare(
  privateKey: KeyObject,
  publicKey: Buffer,
  sealed: SealedShare & SealContext,
): OpenedShare {
  const enc = publicKeyBytes(sealed.enc, 'enc')
  const ciphertext = binary(sealed.ciphertext, SHARE_BYTES + HPKE_TAG_BYTES, 'ciphertext')
  const aad = canonicalBytes(sealed.header)
  const info = sealInfo({ ...sealed, tokenHash: tokenHash(sealed.token) })
  const context = { info, aad, exports: LEASE_EXPORTS }
  try {
    const opened = hpkeOpen(privateKey, publicKey, { enc, ciphertext }, context)
    return { share: opened.plaintext, lease: leaseSecrets(opened) }
  } catch {
    // Nothing here must invite anybody to tell reasons apart.
    throw new McbnError(
      'MCBN_RELEASE_INVALID',
      `release of ${sealed.label}: expected a share sealed to this request, got something else`,
    )
  }
}

/** lp("mcbn/1 share") || dh || lp(role) || lp(label) || lp(c) || SHA-256(token) */
function sealInfo({
  dh,
  role,
  label,
  c,
  tokenHash,
}: Pick<LeaseSealInput, 'dh' | 'role' | 'label' | 'c' | 'tokenHash'>): Buffer {
  const fields = publicFields(role, label, binary(c, 32, 'c'))
  return Buffer.concat([TITLE, binary(dh, 32, 'dh'), fields, tokenHash])
}

function publicKeyBytes(value: Binary, name: string): Buffer {
  const bytes = binary(value, KEY_BYTES, name)
  if (isX25519PublicKey(bytes)) return bytes
  throw new McbnError(
    'MCBN_RELEASE_INVALID',
    `${name}: expected a canonical X25519 public key not of low order, got other bytes`,
  )
}
