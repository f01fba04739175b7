// DKG round 2: a sub-share for one receiver. Signed first, then sealed: the receiver of a wrong one can
// show it to the others, and the signature says whose it is.

import { lengthPrefixed } from '../../psk/encoding.js'
import { secretBytes } from '../../secret-bytes.js'
import { toBase64url } from '../base/base64url.js'
import { HPKE_TAG_BYTES, HpkeOpenError, hpkeOpen, hpkeSeal } from '../base/hpke.js'
import { type ParticipantKeys, sign, verifySignature } from '../base/keys.js'
import type { SealBody } from './messages.js'
import type { CheckedPlan } from './plan.js'
import { bytesOf } from './refusals.js'

const PURPOSE = 'mcbn/1 sign sub-share'
const SHARE_BYTES = 32

/** A sub-share out of its envelope. */
export interface OpenedSubShare {
  /** 32 bytes; the caller wipes them. */
  readonly share: Buffer
  /** The sender's, 64 bytes. */
  readonly signature: Buffer
}

/** From whom to whom, in which ceremony. */
export interface SubShareWay {
  readonly plan: CheckedPlan
  readonly from: string
  readonly to: string
}

/** Signs and seals. @param share - 32 bytes; borrowed. */
export function sealSubShare(way: SubShareWay, keys: ParticipantKeys, share: Uint8Array): SealBody {
  const plaintext = new Uint8Array(SHARE_BYTES + 64)
  plaintext.set(share)
  plaintext.set(sign(keys.ed25519, PURPOSE, ...signedParts(way, share)), SHARE_BYTES)
  const receiver = bytesOf(way.plan.participant(way.to).x25519, 32)
  try {
    const { enc, ciphertext } = hpkeSeal(receiver, plaintext, { info: info(way) })
    return { enc: toBase64url(enc), ciphertext: toBase64url(ciphertext) }
  } finally {
    plaintext.fill(0)
  }
}

/**
 * Opens and checks the signature inside; not yet the share.
 *
 * @returns undefined when it was not sealed for this receiver, plan and sender, or not signed.
 */
export function openSubShare(
  way: SubShareWay,
  keys: ParticipantKeys,
  { enc, ciphertext }: SealBody,
): OpenedSubShare | undefined {
  let plaintext: Buffer | undefined
  try {
    const own = bytesOf(way.plan.participant(way.to).x25519, 32)
    const sealed = {
      enc: bytesOf(enc, 32),
      ciphertext: bytesOf(ciphertext, SHARE_BYTES + 64 + HPKE_TAG_BYTES),
    }
    plaintext = hpkeOpen(keys.x25519, own, sealed, { info: info(way) }).plaintext
    const share = secretBytes(SHARE_BYTES)
    share.set(plaintext.subarray(0, SHARE_BYTES))
    const signature = Buffer.from(plaintext.subarray(SHARE_BYTES))
    return isSignedSubShare(way, share, signature) ? { share, signature } : undefined
  } catch (error) {
    // A wrong tag, an encapsulated key of low order: the sender's doing. Anything else is a defect here,
    // and must not become somebody's fault.
    if (error instanceof HpkeOpenError) return undefined
    throw error
  } finally {
    plaintext?.fill(0)
  }
}

/** Whether the sender has signed just this sub-share for just this receiver. */
export function isSignedSubShare(
  way: SubShareWay,
  share: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { ed25519 } = way.plan.participant(way.from)
  return verifySignature(ed25519, PURPOSE, signedParts(way, share), signature)
}

function signedParts({ plan, from, to }: SubShareWay, share: Uint8Array): Uint8Array[] {
  return [plan.hash, lengthPrefixed(from), lengthPrefixed(to), share]
}

/** lp("mcbn/1 ceremony sub-share") || plan hash || lp(from) || lp(to). */
function info({ plan, from, to }: SubShareWay): Buffer {
  return Buffer.concat([
    lengthPrefixed('mcbn/1 ceremony sub-share'),
    plan.hash,
    lengthPrefixed(from),
    lengthPrefixed(to),
  ])
}
