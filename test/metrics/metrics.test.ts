// What a process measures, of real participants, workloads and sockets, and how it is asked.

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { text } from 'node:stream/consumers'
import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serveParticipant } from '../../src/consent/participant/http.js'
import * as dtls from '../../src/dtls/index.js'
import {
  createMetrics,
  type Readiness,
  type ServeOperationsOptions,
  serveOperations,
} from '../../src/metrics/index.js'
import { NO_ENDPOINT_FIGURES } from '../../src/native/figures.js'
import * as tls from '../../src/tls/index.js'
import { echoDtls, echoTls, openDtls, openTls } from '../consent/workload/connections.js'
import { consentRig } from '../consent/workload/rig.js'
import { requirePeer } from '../support/peers.js'
import { waitFor } from '../support/wait.js'

async function operations(options: ServeOperationsOptions = {}) {
  const server = await serveOperations(options)
  onTestFinished(() => server.close())
  return server
}

function measured(process = false) {
  const metrics = createMetrics({ process })
  onTestFinished(() => metrics.close())
  /** The samples, by name and labels as they are written. */
  const samples = async (): Promise<Map<string, number>> => {
    const lines = (await metrics.registry.metrics()).split('\n')
    const pairs = lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(
        (line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))] as const,
      )
    return new Map(pairs)
  }
  return { metrics, samples }
}

describe('metrics', () => {
  it('measures consent, and names nobody: no label, identity, instance, image or hash', async () => {
    const rig = await consentRig({ t: 2, labels: ['alice', 'bob', 'carol'] })
    const { metrics, samples } = measured()
    const [alice, carol] = [rig.participants.get('alice'), rig.participants.get('carol')]
    if (alice === undefined || carol === undefined) throw new Error('expected the rig to have them')
    const extra = await serveParticipant(alice, { requestsPerSecond: 1 })
    onTestFinished(() => extra.close())
    metrics.watchParticipant({ participant: alice, server: extra })
    const join = { onProgress: metrics.onProgress }
    const [server, client] = await Promise.all([rig.join('server', join), rig.join('client', join)])
    const end = metrics.watchNetwork(server, { name: 'as-server' })
    metrics.watchNetwork(client, { name: 'as-client' })
    await waitFor('all leases', () => server.redundancy.have === 3 && client.redundancy.have === 3)
    const [stream, datagrams] = [await echoTls(server), await echoDtls(server)]
    await openTls(client, stream.port)
    await openDtls(client, datagrams.port)
    await carol.withdraw()
    for (let at = 0; at < 5; at += 1) await fetch(`${extra.url}/v1/status`)
    await fetch(`${extra.url}/v1/request`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"stranger": "\\n mcbn_evil 1"}',
    })

    const found = await samples()
    expect(Object.fromEntries(found)).toMatchObject({
      'mcbn_participant_releases_total{kind="first"}': 2,
      'mcbn_participant_leases{role="client"}': 1,
      'mcbn_participant_leases{role="server"}': 1,
      mcbn_participant_malformed_messages_total: 1,
      'mcbn_participant_throttled_requests_total{budget="status"}': 3,
      mcbn_participant_withdrawn: 0,
      mcbn_participant_audit_failures_total: 0,
      'mcbn_workload_consents{name="as-server"}': 3,
      'mcbn_workload_consents_needed{name="as-client"}': 2,
      'mcbn_workload_participants{name="as-client"}': 3,
      'mcbn_workload_connections{name="as-client"}': 2,
      'mcbn_workload_up{name="as-server"}': 1,
      'mcbn_workload_steps_total{state="released",code=""}': 6,
      'mcbn_sessions_opened_total{transport="tls",side="client",protocol="TLSv1.3"}': 1,
      'mcbn_sessions_opened_total{transport="dtls",side="server",protocol="DTLSv1.2"}': 1,
    })
    const left = found.get('mcbn_workload_consent_remaining_seconds{name="as-server"}') ?? 0
    expect(left).toBeGreaterThan(0)
    await server.close()
    expect((await samples()).get('mcbn_workload_up{name="as-server"}')).toBe(0)
    end()
    expect([...(await samples()).keys()].join()).not.toContain('as-server')

    const written = await metrics.registry.metrics()
    const { verified, descriptor } = rig.network
    const names = [...rig.participants.keys(), verified.hashHex, verified.identity]
    const others = [descriptor.network, '1001', '2002', 'sha256:', '127.0.0.1', 'evil']
    for (const name of [...names, ...others]) expect(written).not.toContain(name)
  })

  it.skipIf(!requirePeer('promtool'))(
    'follows the conventions of Prometheus: promtool has nothing to say',
    async () => {
      const { metrics } = measured(true)
      const server = dtls.createServer({ psk: {} })
      server.listen({ port: 0, host: '127.0.0.1' })
      await once(server, 'listening')
      onTestFinished(() => server.close())
      metrics.watchDtlsServer(server)
      const { url } = await operations({ metrics })
      const answer = await fetch(`${url}/metrics`)
      expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      const ours = (await answer.text())
        .split('\n')
        .filter((line) => /^(# \w+ )?mcbn_/.test(line))
        .join('\n')
      expect(ours).toMatch(/^# HELP mcbn_psk_lookup_duration_seconds /m)
      const check = (input: string) =>
        execFileSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8', stdio: 'pipe' })
      expect(check(`${ours}\n`)).toBe('')
      // It would say something.
      expect(() => check('# HELP x y\n# TYPE x counter\nx 1\n')).toThrow(/_total/)
    },
  )

  it('has all that a DTLS server counts, whatever is added to it', async () => {
    const { metrics, samples } = measured()
    const key = Buffer.alloc(32, 7)
    const server = dtls.createServer({ psk: { a: key } }, (socket) =>
      socket.on('message', (m) => void socket.send(m)),
    )
    server.listen({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    onTestFinished(() => server.close())
    metrics.watchDtlsServer(server, { name: 'coap' })
    const client = dtls.connect({
      port: server.address()?.port ?? 0,
      host: '127.0.0.1',
      psk: { identity: 'a', key },
    })
    await client.opened
    client.send(Buffer.from('hello'))
    await once(client, 'message')
    const found = await samples()
    const { dropped, ...counted } = NO_ENDPOINT_FIGURES
    const keys = [...found.keys()].filter((name) => name.startsWith('mcbn_dtls_server_'))
    const dropKeys = keys.filter((name) => name.startsWith('mcbn_dtls_server_dropped_total{'))
    expect(dropKeys).toHaveLength(Object.keys(dropped).length)
    // Besides: threads, what waits, two buffers.
    expect(keys).toHaveLength(Object.keys(counted).length + dropKeys.length + 4)
    expect(found.get('mcbn_dtls_server_handshakes_completed_total{name="coap"}')).toBe(1)
    expect(found.get('mcbn_dtls_server_sessions{name="coap"}')).toBe(1)
    expect(found.get('mcbn_dtls_server_received_bytes_total{name="coap"}')).toBeGreaterThan(100)
    await client.close()
  })

  it('counts key lookups by what came of them, and handshakes by why they failed', async () => {
    const { samples } = measured()
    const key = Buffer.alloc(32, 7)
    const psk = ({ identityText = '' }: { identityText?: string | undefined }) => {
      if (identityText === 'throws') throw new Error('the directory is down')
      if (identityText === 'hangs') return new Promise<null>(() => undefined)
      return identityText === 'known' ? key : null
    }
    const server = tls.createServer({ psk, lookupTimeout: 100 })
    server.on('tlsClientError', () => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    for (const identity of ['known', 'throws', 'hangs', 'nobody']) {
      const socket = tls.connect({ port, host: '127.0.0.1', psk: { identity, key } })
      socket.on('error', () => undefined)
      await once(socket, 'secureConnect').catch(() => undefined)
      socket.destroy()
    }
    const lookups = (outcome: string) =>
      `mcbn_psk_lookup_duration_seconds_count{outcome="${outcome}"}`
    await waitFor('the server to have noticed', async () => {
      const found = await samples()
      const failures = [...found].filter(([name]) =>
        /^mcbn_handshake_failures.*"server"/.test(name),
      )
      return failures.reduce((sum, [, count]) => sum + count, 0) >= 3
    })
    const found = await samples()
    for (const outcome of ['found', 'failed', 'timeout', 'unknown']) {
      expect(found.get(lookups(outcome)), outcome).toBe(1)
    }
    expect([...found.keys()].join()).toMatch(/handshake_failures_total{[^}]*"MCBN_LOOKUP_FAILED"/)
    expect([...found.keys()].join()).not.toMatch(/throws|hangs|nobody/)
  })

  it('does not grow by what strangers say', async () => {
    const { metrics, samples } = measured()
    for (let at = 0; at < 1_000; at += 1) {
      metrics.onProgress({ state: 'refused', code: `code-${at}` as never })
    }
    const steps = [...(await samples())].filter(([name]) => name.includes('steps_total'))
    expect(steps).toHaveLength(65)
    expect(new Map(steps).get('mcbn_workload_steps_total{state="refused",code="other"}')).toBe(936)
  })

  it('tells wrong options by name, and shares a registry with the program', () => {
    const wrong = { code: 'MCBN_OPTION_UNKNOWN' }
    expect(() => createMetrics({ regstry: 1 } as object)).toThrow(expect.objectContaining(wrong))
    const registry = new Registry()
    const metrics = createMetrics({ registry })
    onTestFinished(() => metrics.close())
    expect(metrics.registry).toBe(registry)
    for (const name of ['', 'a b', 'x'.repeat(65), 7]) {
      expect(() => metrics.watchDtlsServer({} as never, { name } as never)).toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
      )
    }
  })
})

describe('metrics/server', () => {
  it('is healthy while it runs, ready when told so, and says why not', async () => {
    let readiness: () => Readiness | Promise<Readiness> = () => ({ notReady: 'joining' })
    const { url } = await operations({ ready: () => readiness() })
    const ask = async (path: string) => {
      const answer = await fetch(url + path)
      return [answer.status, await answer.json()]
    }
    expect(await ask('/readyz')).toEqual([503, { ready: false, reason: 'joining' }])
    expect(await ask('/healthz?verbose')).toEqual([200, { ok: true }])
    readiness = () => Promise.resolve(true)
    expect(await ask('/readyz')).toEqual([200, { ready: true }])
    readiness = () => Promise.reject(new Error('password'))
    expect(await ask('/readyz')).toEqual([503, { ready: false, reason: 'cannot be told' }])
    expect((await ask('/metrics'))[0]).toBe(404)
  })

  it('takes nothing, and answers all that is no question the same way', async () => {
    const { metrics } = measured()
    const { url, port } = await operations({ metrics })
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      expect((await fetch(`${url}/metrics`, { method })).status).toBe(405)
    }
    for (const path of ['/', '/metrics/', '/../etc/passwd', '/v1/status']) {
      expect((await fetch(url + path)).status).toBe(404)
    }
    const long = connectTcp(port, '127.0.0.1')
    long.write(`GET /${'x'.repeat(10_000)} HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(await text(long)).toMatch(/^HTTP\/1\.1 431 /)
    // Many at once are one reading.
    let readings = 0
    const read = metrics.registry.metrics.bind(metrics.registry)
    metrics.registry.metrics = async () => {
      readings += 1
      await new Promise((resolve) => setTimeout(resolve, 50))
      return await read()
    }
    const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(`${url}/metrics`)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(readings).toBeLessThan(40)
  })
})
