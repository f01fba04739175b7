// What TLS and DTLS servers make of the options they share: a key table and a context that uses it.

import type { ContextSettings } from '../native/context.js'
import { createContext } from '../native/context.js'
import type { NativeContext } from '../native/contract.js'
import { loadAddon } from '../native/load.js'
import { choiceOption, stringOption } from '../options.js'
import { IDENTITY_MAX_BYTES, IDENTITY_MAX_BYTES_TLS13 } from '../psk/identity.js'
import type { PskSource } from '../psk/types.js'
import { ServerKeys } from './server-keys.js'

export interface ServerPskOptions<Peer> {
  readonly psk: PskSource<Peer>
  readonly pskIdentityHint?: string
  readonly unknownIdentity?: 'conceal' | 'alert'
}

/**
 * @param lookupTimeout - milliseconds; 0: forever.
 * @throws {McbnError} of kind `usage`; `MCBN_ADDON_UNAVAILABLE`.
 */
export function serverContext<Peer>(
  options: ServerPskOptions<Peer>,
  settings: ContextSettings,
  lookupTimeout: number,
): { readonly keys: ServerKeys<Peer>; readonly context: NativeContext } {
  // OpenSSL has room for a hint as long as an identity.
  const hint = stringOption('pskIdentityHint', options.pskIdentityHint, IDENTITY_MAX_BYTES)
  const unknown = choiceOption(
    'unknownIdentity',
    options.unknownIdentity,
    ['conceal', 'alert'],
    'conceal',
  )
  const keys = new ServerKeys<Peer>(
    new (loadAddon().KeyTable)(),
    options.psk,
    lookupTimeout,
    settings.datagram || settings.max12 ? IDENTITY_MAX_BYTES : IDENTITY_MAX_BYTES_TLS13,
    settings.dtls13 !== undefined,
  )
  const context = createContext({
    ...settings,
    server: true,
    identityHint: hint ?? '',
    keys: keys.table,
    ask: keys.asks,
    conceal: unknown === 'conceal',
  })
  return { keys, context }
}
