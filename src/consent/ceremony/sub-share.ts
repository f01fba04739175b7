// DKG round 2: a sub-share for one receiver. Signed first, then sealed: whoever opens a wrong one can
// show it to the others, and the signature says whose it is.

import { DecapError, OpenError } from 'hpke'
import { lengthPrefixed } from '../../psk/encoding.js'
import { toBase64url } from '../base/base64url.js'
import { hpkeSuite } from '../base/hpke.js'
import { exportPrivate, type ParticipantKeys, sign, verifySignature } from '../base/keys.js'
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
export async function sealSubShare(
  way: SubShareWay,
  keys: ParticipantKeys,
  share: Uint8Array,
): Promise<SealBody> {
  const plaintext = new Uint8Array(SHARE_BYTES + 64)
  plaintext.set(share)
  plaintext.set(sign(keys.ed25519, PURPOSE, ...signedParts(way, share)), SHARE_BYTES)
  const receiver = bytesOf(way.plan.participant(way.to).x25519, 32)
  try {
    const sealed = await hpkeSuite.Seal(
      await hpkeSuite.DeserializePublicKey(Uint8Array.from(receiver)),
      plaintext,
      { info: info(way) },
    )
    return {
      enc: toBase64url(sealed.encapsulatedSecret),
      ciphertext: toBase64url(sealed.ciphertext),
    }
  } finally {
    plaintext.fill(0)
  }
}

/**
 * Opens and checks the signature inside; not yet the share.
 *
 * @returns undefined when it was not sealed for this receiver, plan and sender, or not signed.
 */
export async function openSubShare(
  way: SubShareWay,
  keys: ParticipantKeys,
  { enc, ciphertext }: SealBody,
): Promise<OpenedSubShare | undefined> {
  const seeds = exportPrivate(keys)
  const seed = Uint8Array.from(seeds.x25519)
  let plaintext: Uint8Array | undefined
  try {
    // Both halves: a private key that cannot be exported does not tell its public one.
    const { x25519 } = way.plan.participant(way.to)
    const pair = {
      privateKey: await hpkeSuite.DeserializePrivateKey(seed, false),
      publicKey: await hpkeSuite.DeserializePublicKey(Uint8Array.from(bytesOf(x25519, 32))),
    }
    plaintext = await hpkeSuite.Open(
      pair,
      Uint8Array.from(bytesOf(enc, 32)),
      Uint8Array.from(bytesOf(ciphertext, SHARE_BYTES + 64 + 16)),
      { info: info(way) },
    )
    const share = Buffer.alloc(SHARE_BYTES)
    share.set(plaintext.subarray(0, SHARE_BYTES))
    const signature = Buffer.from(plaintext.subarray(SHARE_BYTES))
    return isSignedSubShare(way, share, signature) ? { share, signature } : undefined
  } catch (error) {
    // A wrong tag, an encapsulated key of low order: the sender's doing. Anything else is a defect here,
    // and must not become somebody's fault.
    if (error instanceof OpenError || error instanceof DecapError) return undefined
    throw error
  } finally {
    for (const secret of [seeds.ed25519, seeds.x25519, seed, plaintext]) secret?.fill(0)
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
function info({ plan, from, to }: SubShareWay): Uint8Array {
  return Uint8Array.from(
    Buffer.concat([
      lengthPrefixed('mcbn/1 ceremony sub-share'),
      plan.hash,
      lengthPrefixed(from),
      lengthPrefixed(to),
    ]),
  )
}
