// Full DTLS handshakes (stateless cookie, PSK) per second: of servers, 32 at a time, by one generator in C; and of
// clients in JavaScript, one after the other, with one server of mcbn's.

import type { Anchors } from './lib/anchors.js'
import { type Child, script } from './lib/child.js'
import { CCM8 } from './lib/credentials.js'
import { type Load, underLoad } from './lib/loaded-server.js'
import type { Bar, Measurement, Sample, Subject } from './lib/measurement.js'

const HANDSHAKES: Load = { what: 'handshakes', suite: CCM8, width: 32 }

/** Both sides in JavaScript, with a suite that mcbn-peer.ts knows. */
export function mcbnHandshakes(name: string, suite: string): Subject {
  return {
    name,
    run: (seconds) =>
      clientHandshakes(
        seconds,
        (port) => script('mcbn-peer.ts', 'handshakes', suite, port, seconds),
        script('mcbn-peer.ts', 'serve', suite),
      ),
  }
}

export async function clientHandshakes(
  seconds: number,
  client: (port: number) => Child,
  server: Child = script('mcbn-peer.ts', 'serve', CCM8),
): Promise<Sample> {
  await using serving = server
  const port = await serving.value('port')
  await using connecting = client(port)
  await connecting.value('started')
  const before = serving.cpuSeconds
  const value = await connecting.value('result')
  return { value, costs: { server: ((serving.cpuSeconds - before) / (value * seconds)) * 1e6 } }
}

export function handshakeMeasurements(anchors: Anchors): Measurement[] {
  const { c, pion } = anchors.missing
  const subjects: Subject[] = []
  const skipped: string[] = []
  const bars: Bar[] = []
  if (c === undefined) {
    subjects.push(
      {
        name: 'mcbn',
        run: (seconds, counting) =>
          underLoad(anchors, script('mcbn-peer.ts', 'serve', CCM8), HANDSHAKES, seconds, counting),
      },
      {
        name: 'C, OpenSSL, mmsg',
        run: (seconds, counting) =>
          underLoad(anchors, anchors.run('dtls_server', CCM8), HANDSHAKES, seconds, counting),
      },
    )
    bars.push({ against: 'C, OpenSSL, mmsg', ratio: 1 })
    if (pion === undefined) {
      subjects.push({
        name: 'pion/dtls v2',
        run: (seconds, counting) =>
          underLoad(anchors, anchors.run('pion', 'serve', CCM8), HANDSHAKES, seconds, counting),
      })
      bars.push({ against: 'pion/dtls v2', ratio: 3 })
    } else skipped.push(`pion: ${pion}`)
  } else skipped.push(`C: ${c}`)
  return [
    {
      name: 'handshakes',
      title: `full handshakes (cookie, PSK), ${HANDSHAKES.width} at a time`,
      unit: '/s',
      better: 'higher',
      subjects,
      counts: true,
      bars,
      skipped,
    },
    {
      name: 'handshakes-client',
      title: 'full handshakes of a client in JavaScript, one after the other',
      unit: '/s',
      better: 'higher',
      subjects: [
        mcbnHandshakes('mcbn', CCM8),
        {
          name: 'node-dtls-client',
          run: (seconds) =>
            clientHandshakes(seconds, (port) =>
              script('node-dtls-client-peer.ts', 'handshakes', port, seconds),
            ),
        },
      ],
      bars: [],
      skipped: [],
    },
  ]
}
