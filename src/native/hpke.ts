// HPKE's sealing (RFC 9180) in one call, see native/hpke/seal.h.

import { loadAddon } from './load.js'

/**
 * Seals one message.
 *
 * @param out - filled: the encapsulated key, the ciphertext with its tag, 32 bytes for each of `exports`.
 * @param exports - exporter contexts.
 * @returns false when it was not, and `out` is zero: the key is of low order, or `out` has another size.
 */
export type NativeSealHpke = (
  out: Uint8Array,
  publicKey: Uint8Array,
  plaintext: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  ...exports: readonly string[]
) => boolean

let found: NativeSealHpke | 'none' | undefined

/** @returns `undefined` where this process cannot load the addon; asked once. */
export function nativeSealHpke(): NativeSealHpke | undefined {
  found ??= find()
  return found === 'none' ? undefined : found
}

function find(): NativeSealHpke | 'none' {
  try {
    return loadAddon().sealHpke
  } catch {
    return 'none'
  }
}
