// A client's `psk` option at work: one credential, or a function of the server's hint.

import { McbnError } from '../errors.js'
import { refuseUnknown } from '../option-names.js'
import { typeName } from '../options.js'
import { IDENTITY_MAX_BYTES_TLS13, identityBytes } from '../psk/identity.js'
import { copyPskKey } from '../psk/key.js'
import {
  PSK_CREDENTIAL_FIELDS,
  type PskClientLookup,
  type PskClientSource,
  type PskHash,
  type PskProtocol,
} from '../psk/types.js'
import { hashOf, importedOf, isThenable } from './server-keys.js'

/** A credential of ours: wipe `key` once the addon has it. */
export interface ClientKey {
  readonly identity: Buffer
  readonly key: Buffer
  readonly hash: PskHash
  readonly imported: boolean
}

export type ClientAnswer = ClientKey | { readonly error: McbnError }

/** Whether the option is a function that has to be asked. */
export function isClientLookup(source: PskClientSource): source is PskClientLookup {
  return typeof source === 'function'
}

/**
 * @param imports - whether the version spoken can use imported keys.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_CONFLICT`, `MCBN_IDENTITY_INVALID`, `MCBN_KEY_INVALID`.
 */
export function clientKey(value: unknown, imports: boolean, name = 'psk'): ClientKey {
  const odd = Array.isArray(value) || ArrayBuffer.isView(value)
  if (value === null || typeof value !== 'object' || odd) {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `${name}: expected { identity, key } or a function of the hint, got ${typeName(value)}`,
    )
  }
  refuseUnknown(name, value, PSK_CREDENTIAL_FIELDS)
  const { identity, key, hash, imported } = value as Record<string, unknown>
  const bytes = identityBytes(
    identity as string | Uint8Array,
    `${name}.identity`,
    IDENTITY_MAX_BYTES_TLS13,
  )
  return {
    identity: bytes,
    hash: hashOf(hash, name),
    imported: importedOf(imported, imports, name),
    key: copyPskKey(key as Uint8Array, `${name}.key`),
  }
}

/**
 * Asks a client's function for the credential that suits the hint. `done` is called exactly once,
 * at once where the function answers at once, unless cancelled. Does not throw.
 *
 * @param protocol - the version that the key is for, which the function is told.
 */
export function askClientKey(
  lookup: PskClientLookup,
  hint: string | undefined,
  lookupTimeout: number,
  protocol: PskProtocol,
  done: (answer: ClientAnswer) => void,
): () => void {
  let open = true
  let timer: NodeJS.Timeout | undefined
  const settle = (answer: ClientAnswer): void => {
    if (!open) {
      if ('key' in answer) answer.key.fill(0)
      return
    }
    open = false
    clearTimeout(timer)
    done(answer)
  }
  const accept = (value: unknown): void => {
    try {
      if (value === null || value === undefined) {
        const shown = hint === undefined ? 'no hint' : `hint ${JSON.stringify(hint)}`
        throw new McbnError('MCBN_LOOKUP_FAILED', `the psk function has no credential for ${shown}`)
      }
      settle(clientKey(value, protocol === 'DTLSv1.3', 'the psk function’s answer'))
    } catch (error) {
      fail(error)
    }
  }
  const fail = (cause: unknown): void => {
    const already = cause instanceof McbnError && cause.code === 'MCBN_LOOKUP_FAILED'
    settle({
      error: already
        ? cause
        : new McbnError('MCBN_LOOKUP_FAILED', 'the psk function failed', { cause }),
    })
  }
  try {
    const value = lookup(hint, { protocol })
    if (isThenable(value)) {
      value.then(accept, fail)
      if (lookupTimeout > 0) {
        const message = `the psk function took longer than lookupTimeout (${lookupTimeout} ms)`
        timer = setTimeout(
          () => settle({ error: new McbnError('MCBN_LOOKUP_TIMEOUT', message) }),
          lookupTimeout,
        )
      }
    } else {
      accept(value)
    }
  } catch (error) {
    fail(error)
  }
  return () => {
    open = false
    clearTimeout(timer)
  }
}
