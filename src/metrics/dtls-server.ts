// What of a DTLS server is measured: all that it counts, named as Prometheus does.

import type { DtlsServer, DtlsServerStats } from '../dtls/index.js'
import { NO_ENDPOINT_FIGURES } from '../native/figures.js'
import type { Definition } from './table.js'

export type WatchedDtlsServer = Pick<DtlsServer, 'stats'>

type Name = Exclude<keyof typeof NO_ENDPOINT_FIGURES, 'dropped' | 'sessions'>

/** Units come last. */
const NAMES: Partial<Record<Name, string>> = {
  bytesReceived: 'received_bytes',
  bytesSent: 'sent_bytes',
}
const COUNTED = Object.keys(NO_ENDPOINT_FIGURES).filter(
  (name): name is Name => name !== 'dropped' && name !== 'sessions',
)

export const DTLS_SERVER_METRICS: readonly Definition<WatchedDtlsServer>[] = [
  // What the addon counts anew is told anew, without a line here.
  ...COUNTED.map((name) => ({
    name: `dtls_server_${NAMES[name] ?? snake(name)}_total`,
    help: `Of a DTLS server: ${name} in its stats.`,
    read: ({ stats }: WatchedDtlsServer) => stats[name],
  })),
  {
    name: 'dtls_server_dropped_total',
    help: 'What a DTLS server dropped, by reason: datagrams, records, messages.',
    labels: ['reason'],
    read: ({ stats }) =>
      Object.entries(stats.dropped).map(([reason, value]) => [{ reason: snake(reason) }, value]),
  },
  gauge('sessions', 'Sessions now, handshakes included.', ({ sessions }) => sessions),
  gauge('io_threads', 'I/O threads that run.', ({ ioThreads }) => ioThreads),
  gauge(
    'waiting_bytes',
    'Bytes of messages that wait for the event loop.',
    ({ udp }) => udp.bytesWaiting,
  ),
  gauge(
    'receive_buffer_bytes',
    "The system's buffer for received datagrams.",
    ({ udp }) => udp.recvBufferSize,
  ),
  gauge(
    'send_buffer_bytes',
    "The system's buffer for datagrams to send.",
    ({ udp }) => udp.sendBufferSize,
  ),
]

function gauge(
  name: string,
  help: string,
  of: (stats: DtlsServerStats) => number,
): Definition<WatchedDtlsServer> {
  return { name: `dtls_server_${name}`, help, read: ({ stats }) => of(stats) }
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
