// What is sealed, as bytes rather than as JSON: strings cannot be wiped.
//
//   lp("mcbn/1 secrets") || lp(Ed25519 seed) || lp(X25519 seed) [ || lp(dh) || lp(share) ]

import { joinAndWipe, lengthPrefixed } from '../../psk/encoding.js'
import { secretCopy } from '../../secret-bytes.js'
import { exportPrivate, importPrivate, type ParticipantKeys } from '../base/keys.js'
import { invalid } from './files.js'

const TITLE = 'mcbn/1 secrets'
const FIELD_BYTES = 32

/** A share and the descriptor that it belongs to. */
export interface StoredShare {
  /** 32 bytes. */
  readonly descriptorHash: Buffer
  /** 32 bytes; the holder wipes them. */
  readonly share: Buffer
}

export interface StoredSecrets {
  readonly keys: ParticipantKeys
  readonly stored: StoredShare | undefined
}

/** @returns fresh bytes; the caller wipes them. */
export function encodeSecrets({ keys, stored }: StoredSecrets): Buffer {
  const seeds = exportPrivate(keys)
  const pieces = [
    lengthPrefixed(TITLE),
    lengthPrefixed(seeds.ed25519),
    lengthPrefixed(seeds.x25519),
    ...(stored ? [lengthPrefixed(stored.descriptorHash), lengthPrefixed(stored.share)] : []),
  ]
  seeds.ed25519.fill(0)
  seeds.x25519.fill(0)
  return joinAndWipe(pieces)
}

/** @param bytes - from {@link encodeSecrets}; wiped. */
export function decodeSecrets(bytes: Buffer): StoredSecrets {
  try {
    const fields: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const length = at + 2 <= bytes.length ? bytes.readUInt16BE(at) : Number.POSITIVE_INFINITY
      if (at + 2 + length > bytes.length) throw unreadable()
      fields.push(bytes.subarray(at + 2, at + 2 + length))
      at += 2 + length
    }
    const [title, ed25519, x25519, hash, share, more] = fields
    const sized = fields.slice(1).every((field) => field.length === FIELD_BYTES)
    const paired = (hash === undefined) === (share === undefined)
    if (title?.toString() !== TITLE || !sized || !paired || more || !ed25519 || !x25519) {
      throw unreadable()
    }
    const stored = hash && share && { descriptorHash: copy(hash), share: copy(share) }
    return { keys: importPrivate({ ed25519, x25519 }), stored }
  } finally {
    bytes.fill(0)
  }
}

function copy(bytes: Uint8Array): Buffer {
  return secretCopy(bytes)
}

function unreadable(): Error {
  return invalid('secrets: expected the keys and share of a participant, got something else')
}
