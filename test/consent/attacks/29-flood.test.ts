// Floods, slow clients, oversized messages: they cost the flooder more than the participant, and anyone who
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
  it(`keeps nothing of ${BOGUS} bogus requests, and no one else's place`, async () => {
    const { participant, clock, audit } = setup()
    const { request } = await ask('client')
    const bogus = (): object => ({
      ...request,
      r: randomBytes(32).toString('base64url'),
      instance: randomBytes(16).toString('base64url'),
    })
    // What is compiled and cached at first use is not the flood's.
    for (let at = 0; at < 500; at += 1) participant.request(bogus())
    collect()
    const before = process.memoryUsage().heapUsed
    for (let at = 0; at < BOGUS; at += 1) challenged(participant.request(bogus()))
    collect()
    const grown = process.memoryUsage().heapUsed - before
    expect(participant.status().counters.challenges).toBe(BOGUS + 500)
    expect(grown).toBeLessThan(512 * 1024)
    released((await round({ participant, clock }, 'client')).answer)
    expect(audit.lines.map(({ type }) => type)).toEqual(['started', 'released'])
  })

  it('remembers so many that were answered badly, and those that released', async () => {
    const { participant, clock } = setup({ limits: { challenges: 64 } })
    const real = await round({ participant, clock }, 'client')
    const junk = { kind: 'local', token: 'not.a.token' }
    const first = (await ask('client')).request
    const { c } = challenged(participant.request(first))
    refused(await participant.evidence({ c, request: first, evidence: junk }))
    for (let at = 0; at < 64; at += 1) {
      const { request } = await ask('client')
      const challenge = challenged(participant.request(request))
      refused(await participant.evidence({ c: challenge.c, request, evidence: junk }))
    }
    // Forgotten early: it is judged once more, and comes to nothing once more.
    refused(await participant.evidence({ c, request: first, evidence: junk }))
    const { request, token } = real
    const again = { c: real.c, request, evidence: { kind: 'local', token } }
    await expect(participant.evidence(again)).rejects.toThrow(/open challenge/)
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
    const { request } = await ask('client')
    const { c } = challenged(participant.request(request))
    const body = JSON.stringify({
      c,
      request,
      evidence: { kind: 'local', token: 'x'.repeat(1_000_000) },
    })
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
    const large = { c, request, evidence: { kind: 'local', token: 'x'.repeat(64 * 1024 + 1) } }
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
