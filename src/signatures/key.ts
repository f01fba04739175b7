// Keys that sign statements, as PEM files have them: Ed25519, EC or RSA.

import type { KeyObject } from 'node:crypto'
import { McbnError } from '../errors.js'

/**
 * @param expected - in words, for the message.
 * @throws {McbnError} `MCBN_OPTION_RANGE` for what is no such key; the message never quotes it.
 */
export function signingKey(read: () => KeyObject, expected: string): KeyObject {
  try {
    const key = read()
    if (['ed25519', 'ec', 'rsa'].includes(key.asymmetricKeyType ?? '')) return key
  } catch {
    // The reason could quote the key.
  }
  throw new McbnError('MCBN_OPTION_RANGE', `key: expected ${expected}, of Ed25519, EC or RSA`)
}

/** Ed25519 hashes by itself. */
export function hashFor({ asymmetricKeyType }: KeyObject): string | null {
  return asymmetricKeyType === 'ed25519' ? null : 'sha256'
}
