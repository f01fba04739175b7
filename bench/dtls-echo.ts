// Echoes: a thousand sessions on one server, and the round trip of one message at a time.

import type { Anchors } from './lib/anchors.js'
import { type Child, script } from './lib/child.js'
import { CCM8 } from './lib/credentials.js'
import { type Load, underLoad } from './lib/loaded-server.js'
import type { Measurement, Sample, Subject } from './lib/measurement.js'
import { counted, each } from './lib/system-calls.js'

const SESSIONS = 1_000

const echoes = (suite: string): Load => ({ what: 'echo', suite, width: SESSIONS })

async function roundTrip(
  seconds: number,
  counting: boolean,
  server: Child,
  client: (port: number) => Child,
): Promise<Sample> {
  await using serving = server
  const port = await serving.value('port')
  await using pinging = client(port)
  await pinging.value('started')
  const [value, calls] = await Promise.all([
    pinging.value('result'),
    counted(serving, seconds, counting),
  ])
  // One at a time: every echo is a call that sends.
  return { value, counts: each(calls, (calls?.sends ?? 0) / (calls?.seconds ?? 1)) }
}

export function echoMeasurements(anchors: Anchors): Measurement[] {
  const { c } = anchors.missing
  const many: Subject[] = []
  const one: Subject[] = [
    {
      name: 'mcbn',
      run: (seconds, counting) =>
        roundTrip(seconds, counting, script('mcbn-peer.ts', 'serve', CCM8), (port) =>
          script('mcbn-peer.ts', 'ping', CCM8, port, seconds),
        ),
    },
    {
      name: 'mcbn, busyPoll 50 us',
      run: (seconds, counting) =>
        roundTrip(seconds, counting, script('mcbn-peer.ts', 'serve', CCM8, 50), (port) =>
          script('mcbn-peer.ts', 'ping', CCM8, port, seconds, 50),
        ),
    },
    {
      name: 'node-dtls-client to mcbn',
      run: (seconds, counting) =>
        roundTrip(seconds, counting, script('mcbn-peer.ts', 'serve', CCM8), (port) =>
          script('node-dtls-client-peer.ts', 'ping', port, seconds),
        ),
    },
    {
      name: 'node:dgram, plaintext',
      run: (seconds, counting) =>
        roundTrip(seconds, counting, script('dgram-peer.ts', 'serve'), (port) =>
          script('dgram-peer.ts', 'ping', port, seconds),
        ),
    },
  ]
  if (c === undefined) {
    many.push(
      {
        name: 'mcbn',
        run: (seconds, counting) =>
          underLoad(
            anchors,
            script('mcbn-peer.ts', 'serve', CCM8),
            echoes(CCM8),
            seconds,
            counting,
          ),
      },
      {
        name: 'C UDP, mmsg, no crypto',
        run: (seconds, counting) =>
          underLoad(
            anchors,
            anchors.run('udp_echo', 'serve', 'mmsg'),
            echoes('plain'),
            seconds,
            counting,
          ),
      },
      {
        name: 'C, OpenSSL, mmsg',
        run: (seconds, counting) =>
          underLoad(anchors, anchors.run('dtls_server', CCM8), echoes(CCM8), seconds, counting),
      },
      {
        name: 'node:dgram, plaintext',
        run: (seconds, counting) =>
          underLoad(anchors, script('dgram-peer.ts', 'serve'), echoes('plain'), seconds, counting),
      },
    )
    one.push({
      name: 'C UDP, no crypto',
      run: (seconds, counting) =>
        roundTrip(seconds, counting, anchors.run('udp_echo', 'serve', 'single'), (port) =>
          anchors.run('udp_echo', 'ping', port, seconds),
        ),
    })
  }
  const skipped = c === undefined ? [] : [`C: ${c}`]
  return [
    {
      name: 'echo-1000',
      title: `${SESSIONS.toLocaleString('en')} sessions echoing 64 B, PSK-AES128-CCM8`,
      unit: '/s',
      better: 'higher',
      subjects: many,
      counts: true,
      bars: [{ against: 'C UDP, mmsg, no crypto', ratio: 0.9 }],
      skipped,
    },
    {
      name: 'round-trip',
      title: 'round trip of 64 B, two processes, median',
      unit: 'us',
      better: 'lower',
      subjects: one,
      counts: true,
      bars: [{ against: 'C UDP, no crypto', ratio: 1.3 }],
      skipped,
    },
  ]
}
