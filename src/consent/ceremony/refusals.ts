// The two ways in which a ceremony refuses: what nobody can be blamed for, and what somebody signed.

import { McbnError } from '../../errors.js'
import { fromBase64url } from '../base/base64url.js'

/** Something is not what it should be. Blames nobody: the operator could have made it. */
export function invalid(message: string, cause?: unknown): McbnError {
  return new McbnError('MCBN_CEREMONY_INVALID', message, cause === undefined ? {} : { cause })
}

/** A participant has broken the ceremony: its own signature stands under what it did. */
export function cheated(participant: string, what: string): McbnError {
  return new McbnError('MCBN_CEREMONY_CHEATED', `${participant}: ${what}`, { participant })
}

/** Participants were shown, or say, different things; which of them is right cannot be told from here. */
export function disagreed(message: string): McbnError {
  return new McbnError('MCBN_CEREMONY_DISAGREED', message)
}

/** The bytes of base64url text whose length has been checked already. */
export function bytesOf(text: string, length: number): Buffer {
  const bytes = fromBase64url(text, length)
  if (bytes === undefined) throw new McbnError('MCBN_INTERNAL', 'text was not checked before')
  return bytes
}
