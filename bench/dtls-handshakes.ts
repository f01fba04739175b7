// Full DTLS handshakes (stateless cookie, PSK) per second: of servers, 32 at a time, by one generator in C; and of
// clients in JavaScript, one after the other, with one server of mcbn's.

import type { Anchors } from './lib/anchors.js'
import { type Child, script } from './lib/child.js'
import { CCM8 } from './lib/credentials.js'
import type { Bar, Measurement, Sample, Subject } from './lib/measurement.js'
import { counted, each } from './lib/system-calls.js'

const AT_ONCE = 32

async function handshakes(
  anchors: Anchors,
  server: Child,
  seconds: number,
  counting: boolean,
): Promise<Sample> {
  await using serving = server
  const port = await serving.value('port')
  await using load = anchors.run('dtls_load', 'handshakes', CCM8, port, seconds, AT_ONCE)
  await load.value('started')
  const before = serving.cpuSeconds
  const counts = counted(serving, seconds, counting)
  const value = await load.value('result')
  const spent = serving.cpuSeconds - before
  return {
    value,
    costs: { server: (spent / (value * seconds)) * 1e6 },
    counts: each(await counts, value),
  }
}

async function clientHandshakes(client: (port: number) => Child): Promise<Sample> {
  await using serving = script('mcbn-peer.ts', 'serve', CCM8)
  const port = await serving.value('port')
  await using connecting = client(port)
  return { value: await connecting.value('result') }
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
          handshakes(anchors, script('mcbn-peer.ts', 'serve', CCM8), seconds, counting),
      },
      {
        name: 'C, OpenSSL, mmsg',
        run: (seconds, counting) =>
          handshakes(anchors, anchors.run('dtls_server', CCM8), seconds, counting),
      },
    )
    bars.push({ against: 'C, OpenSSL, mmsg', ratio: 1 })
    if (pion === undefined) {
      subjects.push({
        name: 'pion/dtls v2',
        run: (seconds, counting) =>
          handshakes(anchors, anchors.run('pion', 'serve', CCM8), seconds, counting),
      })
      bars.push({ against: 'pion/dtls v2', ratio: 3 })
    } else skipped.push(`pion: ${pion}`)
  } else skipped.push(`C: ${c}`)
  return [
    {
      name: 'handshakes',
      title: `full handshakes (cookie, PSK), ${AT_ONCE} at a time`,
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
        {
          name: 'mcbn',
          run: (seconds) =>
            clientHandshakes((port) => script('mcbn-peer.ts', 'handshakes', CCM8, port, seconds)),
        },
        {
          name: 'node-dtls-client',
          run: (seconds) =>
            clientHandshakes((port) =>
              script('node-dtls-client-peer.ts', 'handshakes', port, seconds),
            ),
        },
      ],
      bars: [],
      skipped: [],
    },
  ]
}
