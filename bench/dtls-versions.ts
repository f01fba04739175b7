// mcbn's two versions of DTLS beside each other, both sides in JavaScript, and wolfSSL's DTLS 1.3: handshakes one after
// the other, one session one way, and what an idle session of a server takes.

import { clientHandshakes, mcbnHandshakes } from './dtls-handshakes.js'
import { memoryWithClients } from './dtls-idle.js'
import { mcbnStream, stream } from './dtls-stream.js'
import type { Anchors } from './lib/anchors.js'
import { CCM8, ECDHE, GCM, GCM13 } from './lib/credentials.js'
import type { Measurement, Subject } from './lib/measurement.js'

const DHE = 'psk_dhe_ke'
const IDLE_SESSIONS = 5_000

export function versionMeasurements(anchors: Anchors): Measurement[] {
  const { wolfssl } = anchors.missing
  const skipped = wolfssl === undefined ? [] : [`wolfSSL: ${wolfssl}`]
  const beside = (...subjects: Subject[]): Subject[] => (wolfssl === undefined ? subjects : [])
  const wolfsslHandshakes = (name: string, mode: string): Subject => ({
    name,
    run: (seconds) =>
      clientHandshakes(
        seconds,
        (port) => anchors.wolfssl('handshakes', mode, port, seconds),
        anchors.wolfssl('serve', mode),
      ),
  })
  const wolfsslStream = (bytes: number): Subject => ({
    name: 'wolfSSL, DTLS 1.3',
    run: (seconds, counting) =>
      stream(seconds, counting, anchors.wolfssl('receive', DHE, seconds), (port) =>
        anchors.wolfssl('send', DHE, port, bytes),
      ),
  })
  return [
    {
      name: 'versions-handshakes',
      title: 'full handshakes (cookie), one after the other, DTLS 1.2 and 1.3',
      unit: '/s',
      better: 'higher',
      subjects: [
        mcbnHandshakes('DTLS 1.3, X25519', GCM13),
        mcbnHandshakes('DTLS 1.3, psk_ke', `${GCM13}/psk_ke`),
        mcbnHandshakes('DTLS 1.2, ECDHE-PSK', ECDHE),
        mcbnHandshakes('DTLS 1.2, PSK', CCM8),
        ...beside(
          wolfsslHandshakes('wolfSSL, X25519', DHE),
          wolfsslHandshakes('wolfSSL, psk_ke', 'psk_ke'),
        ),
      ],
      bars: [{ against: 'DTLS 1.2, ECDHE-PSK', ratio: 1.5 }],
      skipped,
    },
    ...[64, 1_200].map(
      (bytes): Measurement => ({
        name: `versions-stream-${bytes}`,
        title: `one session, one way, ${bytes.toLocaleString('en')} B, AES-128-GCM, DTLS 1.2 and 1.3`,
        unit: '/s',
        better: 'higher',
        subjects: [
          mcbnStream(GCM13, bytes, 'DTLS 1.3'),
          mcbnStream(GCM, bytes, 'DTLS 1.2'),
          ...beside(wolfsslStream(bytes)),
        ],
        bars: [{ against: 'DTLS 1.2', ratio: 0.9 }],
        skipped,
      }),
    ),
    {
      name: 'versions-memory',
      title: `resident memory of an idle session, server side, ${IDLE_SESSIONS.toLocaleString('en')} sessions`,
      unit: 'KB',
      better: 'lower',
      subjects: [
        { name: 'DTLS 1.3', run: () => memoryWithClients(GCM13, IDLE_SESSIONS) },
        { name: 'DTLS 1.2', run: () => memoryWithClients(GCM, IDLE_SESSIONS) },
      ],
      bars: [{ limit: 4 }],
      skipped: [],
    },
  ]
}
