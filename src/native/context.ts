// Contexts: made once for a server, shared by clients with the same settings.

import type { NativeContext, NativeContextOptions } from './contract.js'
import { toError } from './failure.js'
import { loadAddon } from './load.js'

/** What is a context's own on either side. */
export type ContextSettings = Pick<
  NativeContextOptions,
  'datagram' | 'min13' | 'max12' | 'ciphers' | 'alpn' | 'dtls13'
>

/** Kinds of client contexts a process keeps; more kinds of connections than this are rare. */
const MAX_CLIENT_CONTEXTS = 32
const clientContexts = new Map<string, NativeContext>()

/** @throws {McbnError} `MCBN_CIPHERS_INVALID`, `MCBN_OPTION_RANGE`: what OpenSSL refused. */
export function createContext(options: NativeContextOptions): NativeContext {
  const context = new (loadAddon().Context)(options)
  if (context.failure) throw toError(context.failure)
  return context
}

/**
 * Making an SSL_CTX costs several handshakes' worth of time (OpenSSL 3 fetches every algorithm anew),
 * and a client's holds no key and no state: connections with the same settings share one.
 */
export function clientContext(settings: ContextSettings): NativeContext {
  const { datagram, min13, max12, ciphers, alpn, dtls13 } = settings
  const kind = JSON.stringify([datagram, min13, max12, ciphers, alpn, dtls13])
  const known = clientContexts.get(kind)
  if (known) return known
  const context = createContext({
    ...settings,
    server: false,
    identityHint: '',
    ask: false,
    conceal: true,
  })
  if (clientContexts.size >= MAX_CLIENT_CONTEXTS) clientContexts.clear()
  clientContexts.set(kind, context)
  return context
}
