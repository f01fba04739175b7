// Open sessions out of a server and into another: all of it, sockets and events of JavaScript included.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { dtls } from '../src/index.js'
import type { Anchors } from './lib/anchors.js'
import { CCM8, HOST, IDENTITY, KEY } from './lib/credentials.js'
import type { Measurement, Sample } from './lib/measurement.js'

const SESSIONS = 100_000
/** Seconds that their handshakes may take. */
const FILL_SECONDS = 130

async function listening(): Promise<dtls.DtlsServer> {
  const server = dtls.createServer({
    psk: { [IDENTITY]: KEY },
    ciphers: CCM8,
    maxSessions: 200_000,
  })
  server.on('clientError', () => {})
  server.listen(0, HOST)
  await once(server, 'listening')
  return server
}

async function transferred(anchors: Anchors): Promise<{ out: number; in: number; bytes: number }> {
  await using first = await listening()
  await using second = await listening()
  await using load = anchors.run('dtls_load', 'fill', CCM8, first.address()?.port ?? 0, SESSIONS)
  const held = await load.value('held', FILL_SECONDS)
  const sealingKey = randomBytes(32)
  const sealed: Buffer[] = []
  const began = performance.now()
  for await (const each of first.exportSessions({ sealingKey })) sealed.push(each)
  const between = performance.now()
  const { imported } = await second.importSessions(sealed, { sealingKey })
  const ended = performance.now()
  if (imported !== held || imported !== sealed.length) {
    throw new Error(`${held} sessions, ${sealed.length} exported, ${imported} imported`)
  }
  const bytes = sealed.reduce((sum, { length }) => sum + length, 0)
  const each = (milliseconds: number): number => (imported / milliseconds) * 1_000
  return { out: each(between - began), in: each(ended - between), bytes: bytes / imported }
}

export function sessionMeasurements(anchors: Anchors): Measurement[] {
  const { c } = anchors.missing
  const skipped = c === undefined ? [] : [`C: ${c}`]
  const count = SESSIONS.toLocaleString('en')
  const measurement = (name: string, title: string, run: () => Promise<Sample>): Measurement => ({
    name,
    title,
    unit: '/s',
    better: 'higher',
    mostRounds: 1,
    subjects: c === undefined ? [{ name: 'mcbn', run }] : [],
    bars: [{ limit: SESSIONS }],
    skipped,
  })
  return [
    measurement('sessions-export', `open sessions exported, of ${count}`, async () => {
      const { out, bytes } = await transferred(anchors)
      return { value: out, facts: { 'bytes each': Math.round(bytes) } }
    }),
    measurement('sessions-import', `sealed sessions imported, of ${count}`, async () => {
      return { value: (await transferred(anchors)).in }
    }),
  ]
}
