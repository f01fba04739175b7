// mcbn's two versions of DTLS beside each other, both sides in JavaScript: handshakes one after the other, and one
// session one way.

import { mcbnHandshakes } from './dtls-handshakes.js'
import { mcbnStream } from './dtls-stream.js'
import { CCM8, ECDHE, GCM, GCM13 } from './lib/credentials.js'
import type { Measurement } from './lib/measurement.js'

export function versionMeasurements(): Measurement[] {
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
      ],
      bars: [{ against: 'DTLS 1.2, ECDHE-PSK', ratio: 1.5 }],
      skipped: [],
    },
    ...[64, 1_200].map(
      (bytes): Measurement => ({
        name: `versions-stream-${bytes}`,
        title: `one session, one way, ${bytes.toLocaleString('en')} B, AES-128-GCM, DTLS 1.2 and 1.3`,
        unit: '/s',
        better: 'higher',
        subjects: [mcbnStream(GCM13, bytes, 'DTLS 1.3'), mcbnStream(GCM, bytes, 'DTLS 1.2')],
        bars: [{ against: 'DTLS 1.2', ratio: 0.9 }],
        skipped: [],
      }),
    ),
  ]
}
