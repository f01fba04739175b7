// One DTLS session, one way, process to process: messages per second as the receiver's listener counts.

import type { Anchors } from './lib/anchors.js'
import { type Child, script } from './lib/child.js'
import { CCM8, GCM } from './lib/credentials.js'
import type { Measurement, Sample, Subject } from './lib/measurement.js'
import { counted } from './lib/system-calls.js'

/** The receiver decides when enough was counted; the sender is ended then. */
export async function stream(
  seconds: number,
  counting: boolean,
  receiver: Child,
  sender: (port: number) => Child,
): Promise<Sample> {
  await using receiving = receiver
  const port = await receiving.value('port')
  await using sending = sender(port)
  await receiving.value('started')
  const before = sending.cpuSeconds
  const counts = Promise.all([
    counted(receiving, seconds, counting),
    counted(sending, seconds, counting),
  ])
  const value = await receiving.value('result')
  const sent = (sending.cpuSeconds - before) / (value * seconds)
  // Of the messages that arrived: what was sent and lost is the sender's cost as well.
  const [atReceiver, atSender] = await counts
  return {
    value,
    costs: { receiver: await receiving.value('cost'), sender: sent * 1e6 },
    counts:
      atReceiver && atSender
        ? {
            'receiver calls': atReceiver.calls / (value * atReceiver.seconds),
            'sender calls': atSender.calls / (value * atSender.seconds),
          }
        : {},
  }
}

/** Both sides in JavaScript. */
export function mcbnStream(suite: string, bytes: number, name = 'mcbn'): Subject {
  return {
    name,
    run: (seconds, counting) =>
      stream(seconds, counting, script('mcbn-peer.ts', 'receive', suite, seconds), (port) =>
        script('mcbn-peer.ts', 'send', suite, port, bytes),
      ),
  }
}

/** Which of mcbn's two sides is the slower one. */
function mcbnHalves(anchors: Anchors, suite: string, bytes: number): Subject[] {
  return [
    {
      name: 'C with GSO -> mcbn',
      run: (seconds, counting) =>
        stream(seconds, counting, script('mcbn-peer.ts', 'receive', suite, seconds), (port) =>
          anchors.run('dtls_stream', 'send', 'segment', suite, port, bytes),
        ),
    },
    {
      name: 'mcbn -> C with GRO',
      run: (seconds, counting) =>
        stream(
          seconds,
          counting,
          anchors.run('dtls_stream', 'receive', 'segment', suite, seconds),
          (port) => script('mcbn-peer.ts', 'send', suite, port, bytes),
        ),
    },
  ]
}

const C_NAMES = {
  none: 'C, OpenSSL',
  mmsg: 'C, OpenSSL, mmsg',
  segment: 'C, OpenSSL, GSO+GRO',
} as const

function openssl(
  anchors: Anchors,
  batching: keyof typeof C_NAMES,
  suite: string,
  bytes: number,
): Subject {
  return {
    name: C_NAMES[batching],
    run: (seconds, counting) =>
      stream(
        seconds,
        counting,
        anchors.run('dtls_stream', 'receive', batching, suite, seconds),
        (port) => anchors.run('dtls_stream', 'send', batching, suite, port, bytes),
      ),
  }
}

function pion(anchors: Anchors, suite: string, bytes: number): Subject {
  return {
    name: 'pion/dtls v2',
    run: (seconds, counting) =>
      stream(seconds, counting, anchors.run('pion', 'receive', suite, seconds), (port) =>
        anchors.run('pion', 'send', suite, port, bytes),
      ),
  }
}

function dgram(bytes: number): Subject {
  return {
    name: 'node:dgram, plaintext',
    run: (seconds, counting) =>
      stream(seconds, counting, script('dgram-peer.ts', 'receive', seconds), (port) =>
        script('dgram-peer.ts', 'send', port, bytes),
      ),
  }
}

export function streamMeasurements(anchors: Anchors): Measurement[] {
  const { missing } = anchors
  return [
    { suite: CCM8, short: 'ccm8', bytes: 64 },
    { suite: CCM8, short: 'ccm8', bytes: 1_200 },
    { suite: GCM, short: 'gcm', bytes: 64 },
    { suite: GCM, short: 'gcm', bytes: 1_200 },
  ].map(({ suite, short, bytes }): Measurement => {
    const subjects = [mcbnStream(suite, bytes)]
    const skipped: string[] = []
    if (missing.c === undefined) {
      subjects.push(
        openssl(anchors, 'none', suite, bytes),
        openssl(anchors, 'mmsg', suite, bytes),
        openssl(anchors, 'segment', suite, bytes),
        ...mcbnHalves(anchors, suite, bytes),
      )
    } else skipped.push(`C: ${missing.c}`)
    // The ciphers differ little for these two; once is enough.
    if (suite === CCM8) {
      subjects.push(dgram(bytes))
      if (missing.pion === undefined) subjects.push(pion(anchors, suite, bytes))
      else skipped.push(`pion: ${missing.pion}`)
    }
    return {
      name: `stream-${short}-${bytes}`,
      title: `one session, one way, ${bytes.toLocaleString('en')} B, ${suite}`,
      unit: '/s',
      better: 'higher',
      subjects,
      counts: true,
      bars: [{ against: C_NAMES.segment, ratio: 1 }],
      skipped,
    }
  })
}
