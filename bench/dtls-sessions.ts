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

interface Transfer {
  readonly out: Sample
  readonly in: Sample
}

async function transferred(anchors: Anchors): Promise<Transfer> {
  await using first = await listening()
  await using second = await listening()
  await using load = anchors.run('dtls_load', 'fill', CCM8, first.address()?.port ?? 0, SESSIONS)
  const held = await load.value('held', FILL_SECONDS)
  const sealingKey = randomBytes(32)
  const sealed: Buffer[] = []
  const exporting = new Stopwatch()
  for await (const each of first.exportSessions({ sealingKey })) sealed.push(each)
  const out = exporting.sample(sealed.length)
  const importing = new Stopwatch()
  const { imported } = await second.importSessions(sealed, { sealingKey })
  if (imported !== held || imported !== sealed.length) {
    throw new Error(`${held} sessions, ${sealed.length} exported, ${imported} imported`)
  }
  const bytes = sealed.reduce((sum, { length }) => sum + length, 0)
  const facts = { 'bytes each': Math.round(bytes / imported) }
  return { out: { ...out, facts }, in: importing.sample(imported) }
}

/** Time, and processor time of all threads. */
class Stopwatch {
  readonly #began = performance.now()
  readonly #cpu = process.cpuUsage()

  sample(sessions: number): Sample {
    const { user, system } = process.cpuUsage(this.#cpu)
    return {
      value: (sessions / (performance.now() - this.#began)) * 1_000,
      costs: { server: (user + system) / sessions },
    }
  }
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
      return (await transferred(anchors)).out
    }),
    measurement('sessions-import', `sealed sessions imported, of ${count}`, async () => {
      return (await transferred(anchors)).in
    }),
  ]
}
