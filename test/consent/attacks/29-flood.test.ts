// Floods, slow clients, oversized messages: they cost the flooder more than the participant, and whoever
// else asks is still answered. Loopback only, bounded in count and time.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../src/consent/base/clock.js'
import { serveParticipant } from '../../../src/consent/participant/http.js'
import { ask, challenged, refused, released, round, setup } from '../participant/fixture.js'

const BOGUS = 10_000

describe('attack 29: floods and slow clients', () => {
  it(`holds ${BOGUS} bogus challenges in a bounded table and bounded memory`, async () => {
    const { participant, clock, audit } = setup()
    const { request } = await ask('client')
    const bogus = (): object => ({
      ...request,
      r: randomBytes(32).toString('base64url'),
      instance: randomBytes(16).toString('base64url'),
    })
    // What is compiled and cached at first use is not the flood's.
    for (let at = 0; at < 500; at += 1) participant.request(bogus(), { source: 'warm' })
    clock.pass(60_000)
    collect()
    const before = process.memoryUsage().heapUsed
    let busy = 0
    for (let at = 0; at < BOGUS; at += 1) {
      const answer = participant.request(bogus(), { source: `flood ${at % 3}` })
      if ('code' in answer && refused(answer).code === 'busy') busy += 1
    }
    collect()
    const grown = process.memoryUsage().heapUsed - before
    expect(participant.status().counters.challenges).toBe(BOGUS + 500 - busy)
    expect(busy).toBeGreaterThan(BOGUS / 2)
    // 1,024 challenges; measured: 0.4 to 0.5 MB, whatever the number of requests.
    expect(grown).toBeLessThan(2 * 1024 * 1024)
    // And an honest workload gets through while the table is full.
    released((await round({ participant, clock }, 'client')).answer)
    clock.pass(60_000)
    expect(challenged(participant.request(request, { source: 'flood 0' })).c).toHaveLength(43)
    // One line a minute tells it, whatever the flood.
    expect(audit.lines.map(({ type }) => type)).toEqual(['started', 'released', 'counted'])
    expect(audit.of('counted')).toMatchObject([{ counts: { 'refused busy': busy } }])
  })

  it('holds the same number of challenges from ever new sources', async () => {
    const { participant } = setup({ limits: { challenges: 64 } })
    const { request } = await ask('client')
    const answers = Array.from({ length: 1_000 }, (_, at) =>
      participant.request({ ...request }, { source: `source ${at}` }),
    )
    expect(answers.filter((answer) => !('code' in answer))).toHaveLength(64)
    const busy = answers.filter((answer) => 'code' in answer).map((answer) => refused(answer))
    expect(new Set(busy.map(({ code, signature }) => `${code} ${signature}`))).toEqual(
      new Set(['busy undefined']),
    )
  })

  it('lets no client of one source hold all connections, and hangs up on who is slow', async () => {
    const { participant } = setup({ clock: systemClock })
    const server = await serveParticipant(participant, { connections: 40, requestTimeout: 500 })
    const sockets: Socket[] = []
    onTestFinished(async () => {
      for (const socket of sockets) socket.destroy()
      await server.close()
      await participant.close()
    })
    const closed: Promise<unknown>[] = []
    for (let at = 0; at < 30; at += 1) {
      const socket = connect(server.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.resume()
      sockets.push(socket)
      closed.push(once(socket, 'close'))
      await once(socket, 'connect')
      socket.write('POST /v1/evidence HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n')
    }
    // 20 beyond the quarter at once, the rest by the timeout: nobody stays.
    await Promise.all(closed)
    const status = await fetch(`${server.url}/v1/status`)
    expect(status.status).toBe(200)
  })

  it('reads no megabyte of a token', async () => {
    const { participant } = setup({ clock: systemClock })
    const server = await serveParticipant(participant)
    onTestFinished(async () => {
      await server.close()
      await participant.close()
    })
    const { c } = challenged(participant.request((await ask('client')).request))
    const body = JSON.stringify({ c, evidence: { kind: 'local', token: 'x'.repeat(1_000_000) } })
    const answer = await fetch(`${server.url}/v1/evidence`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    }).then(
      ({ status }) => status,
      // Hung up on before all was sent: as good.
      () => 413,
    )
    expect(answer).toBe(413)
    const large = { c, evidence: { kind: 'local', token: 'x'.repeat(64 * 1024 + 1) } }
    await expect(participant.evidence(large)).rejects.toThrow(/evidence\.token/)
    expect((await fetch(`${server.url}/v1/status`)).status).toBe(200)
  })
})

/** Collects garbage, so that what is measured is what is held. */
function collect(): void {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
  setFlagsFromString('--no-expose-gc')
}
