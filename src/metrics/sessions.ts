// What of all TLS and DTLS sockets of the process is measured, by what mcbn publishes on
// node:diagnostics_channel. Identities and addresses are in those messages, and are not told on.

import { Counter, Histogram, type Registry } from 'prom-client'
import {
  DTLS_CLIENT,
  DTLS_SERVER,
  type HandshakeErrorMessage,
  PSK_LOOKUP,
  type PskLookupMessage,
  type SessionCloseMessage,
  type SessionOpenMessage,
  TLS_CLIENT,
  TLS_SERVER,
} from '../diagnostics.js'
import { McbnError } from '../errors.js'

const SIDES = [
  [DTLS_CLIENT, { transport: 'dtls', side: 'client' }],
  [DTLS_SERVER, { transport: 'dtls', side: 'server' }],
  [TLS_CLIENT, { transport: 'tls', side: 'client' }],
  [TLS_SERVER, { transport: 'tls', side: 'server' }],
] as const

/** From a table in memory to a directory on another continent. */
const LOOKUP_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]

/** @returns ends it; the counters keep what they have. */
export function watchSessions(registry: Registry): () => void {
  const registers = [registry]
  const labelNames = ['transport', 'side'] as const
  const opened = new Counter({
    name: 'mcbn_sessions_opened_total',
    help: 'Sessions whose handshake proved the key.',
    labelNames: [...labelNames, 'protocol'],
    registers,
  })
  const closed = new Counter({
    name: 'mcbn_sessions_closed_total',
    help: 'Sessions that were open and have ended, in order or by an error.',
    labelNames: [...labelNames, 'result'],
    registers,
  })
  const failed = new Counter({
    name: 'mcbn_handshake_failures_total',
    help: 'Handshakes that failed, by the code of the error.',
    labelNames: [...labelNames, 'code'],
    registers,
  })
  const lookups = new Histogram({
    name: 'mcbn_psk_lookup_duration_seconds',
    help: 'Key lookups of servers, by what came of them.',
    labelNames: ['outcome'],
    buckets: LOOKUP_SECONDS,
    registers,
  })
  const ends: (() => void)[] = []
  const on = <Message>(
    channel: {
      subscribe(listener: (message: unknown) => void): void
      unsubscribe(listener: (message: unknown) => void): unknown
    },
    tell: (message: Message) => void,
  ): void => {
    const listener = (message: unknown): void => tell(message as Message)
    channel.subscribe(listener)
    ends.push(() => void channel.unsubscribe(listener))
  }
  for (const [channels, labels] of SIDES) {
    on<SessionOpenMessage>(channels.open, ({ protocol }) =>
      opened.inc({ ...labels, protocol: protocol ?? 'unknown' }),
    )
    on<SessionCloseMessage>(channels.close, ({ error }) =>
      closed.inc({ ...labels, result: error === undefined ? 'ok' : 'error' }),
    )
    on<HandshakeErrorMessage>(channels.handshakeError, ({ error }) =>
      failed.inc({ ...labels, code: error instanceof McbnError ? error.code : 'other' }),
    )
  }
  on<PskLookupMessage>(PSK_LOOKUP, ({ outcome, duration }) =>
    lookups.observe({ outcome }, duration / 1_000),
  )
  return () => {
    for (const end of ends) end()
  }
}
