// What sessions cost that do nothing: resident memory, on either side, and processor time.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Anchors } from './lib/anchors.js'
import { type Child, script } from './lib/child.js'
import { CCM8 } from './lib/credentials.js'
import type { Measurement, Sample, Subject } from './lib/measurement.js'

const SESSIONS = 10_000
const MANY_SESSIONS = 100_000
/** Seconds that their handshakes may take. */
const MANY_SECONDS = 130
/** For what the handshakes left behind: timers, the last flights, a collection of garbage. */
const SETTLE_MS = 2_000

async function settledServer(anchors: Anchors, server: Child, idleSeconds: number) {
  await using serving = server
  const port = await serving.value('port')
  await sleep(500)
  const before = serving.residentBytes
  await using load = anchors.run('dtls_load', 'hold', CCM8, port, SESSIONS)
  await load.value('held')
  await sleep(SETTLE_MS)
  const bytes = (serving.residentBytes - before) / SESSIONS
  const cpuBefore = serving.cpuSeconds
  const started = performance.now()
  await sleep(idleSeconds * 1_000)
  const percent = ((serving.cpuSeconds - cpuBefore) / ((performance.now() - started) / 1_000)) * 100
  return { bytes, percent }
}

/** As many as a server takes by default: from several addresses, since one has not so many ports. */
async function manySessions(anchors: Anchors): Promise<Sample> {
  await using serving = script('mcbn-peer.ts', 'serve', CCM8)
  const port = await serving.value('port')
  await sleep(500)
  const before = serving.residentBytes
  await using load = anchors.run('dtls_load', 'fill', CCM8, port, MANY_SESSIONS)
  const held = await load.value('held', MANY_SECONDS)
  await sleep(SETTLE_MS)
  const cpuBefore = serving.cpuSeconds
  await sleep(2_000)
  const permille = Math.round((serving.cpuSeconds - cpuBefore) * 500)
  const bytes = serving.residentBytes - before
  return {
    value: bytes / held / 1024,
    facts: { sessions: held, 'all MB': Math.round(bytes / 1e6), 'thousandths of a core': permille },
  }
}

async function serverMemory(anchors: Anchors, server: Child): Promise<Sample> {
  return { value: (await settledServer(anchors, server, 0)).bytes / 1024 }
}

/** KB a session that a server with a suite of mcbn-peer.ts takes; mcbn's clients are in another process. */
export async function memoryWithClients(suite: string, sessions: number): Promise<Sample> {
  await using serving = script('mcbn-peer.ts', 'serve', suite)
  const port = await serving.value('port')
  await sleep(500)
  const before = serving.residentBytes
  await using clients = script('mcbn-peer.ts', 'hold', suite, port, sessions)
  const held = await clients.value('held')
  await sleep(SETTLE_MS)
  return { value: (serving.residentBytes - before) / held / 1024 }
}

async function clientMemory(anchors: Anchors): Promise<Sample> {
  await using serving = anchors.run('dtls_server', CCM8)
  const port = await serving.value('port')
  await using clients = script('mcbn-peer.ts', 'hold', CCM8, port, SESSIONS)
  await clients.value('ready')
  const before = clients.residentBytes
  const held = await clients.value('held')
  await sleep(SETTLE_MS)
  return { value: (clients.residentBytes - before) / held / 1024 }
}

export function idleMeasurements(anchors: Anchors): Measurement[] {
  const { c } = anchors.missing
  const skipped = c === undefined ? [] : [`C: ${c}`]
  const when = (subjects: Subject[]): Subject[] => (c === undefined ? subjects : [])
  const count = SESSIONS.toLocaleString('en')
  const mcbnServer = (): Child => script('mcbn-peer.ts', 'serve', CCM8)
  return [
    {
      name: 'memory-server',
      title: `resident memory of an idle session, server side, ${count} sessions`,
      unit: 'KB',
      better: 'lower',
      subjects: when([
        { name: 'mcbn', run: () => serverMemory(anchors, mcbnServer()) },
        {
          name: 'C, OpenSSL, mmsg',
          run: () => serverMemory(anchors, anchors.run('dtls_server', CCM8)),
        },
      ]),
      bars: [{ limit: 4 }],
      skipped,
    },
    {
      name: 'memory-server-100k',
      title: `the same with ${MANY_SESSIONS.toLocaleString('en')} sessions`,
      unit: 'KB',
      better: 'lower',
      mostRounds: 1,
      subjects: when([{ name: 'mcbn', run: () => manySessions(anchors) }]),
      bars: [{ limit: 4 }],
      skipped,
    },
    {
      name: 'memory-client',
      title: `resident memory of an idle session, client side, ${count} sockets`,
      unit: 'KB',
      better: 'lower',
      subjects: when([{ name: 'mcbn', run: () => clientMemory(anchors) }]),
      bars: [{ limit: 8 }],
      skipped,
    },
    {
      name: 'idle-cpu',
      title: `processor time of an idle endpoint with ${count} sessions`,
      unit: '% of a core',
      better: 'lower',
      subjects: when([
        {
          name: 'mcbn',
          run: async (seconds) => {
            const { percent } = await settledServer(anchors, mcbnServer(), Math.max(seconds, 3))
            return { value: percent }
          },
        },
      ]),
      bars: [{ limit: 1 }],
      skipped,
    },
  ]
}
