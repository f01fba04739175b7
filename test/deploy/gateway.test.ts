// The fleet of examples/deploy/kubernetes, two pods of it as processes behind a balancer: one is replaced as a rolling
// update does it, and its clients notice nothing.

import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { connect } from '../../src/dtls/index.js'
import { Balancer } from '../support/balancer.js'
import { temporaryFolder } from '../support/paths.js'
import { type Child, startTypescript } from '../support/process.js'

const HOST = '127.0.0.1'
/** Nobody else's on this machine: both pods have the same port, as in a cluster. */
const addressOf = (pod: number): string => `127.93.${process.pid & 255}.${pod + 1}`

interface Pod {
  readonly child: Child
  readonly port: number
}

class Cluster {
  readonly psk = randomBytes(32)
  readonly #folder = temporaryFolder()

  constructor() {
    const secrets = { 'fleet.key': 32, 'node-id.key': 16, 'cookie.secret': 32, 'sealing.key': 32 }
    mkdirSync(this.#secrets)
    for (const [name, bytes] of Object.entries(secrets)) {
      writeFileSync(join(this.#secrets, name), randomBytes(bytes))
    }
    writeFileSync(join(this.#secrets, 'psk'), `Client1:${this.psk.toString('hex')}\n`)
  }

  async run(pod: number, port = 0): Promise<Pod> {
    const env = {
      POD_NAME: `mcbn-gateway-${pod}`,
      SECRETS: this.#secrets,
      SESSIONS: join(this.#folder, `sessions-${pod}`),
      NODES: `${addressOf(0)}:5685,${addressOf(1)}:5685`,
      FLEET_HOST: addressOf(pod),
      METRICS_HOST: addressOf(pod),
      HOST,
      PORT: `${port}`,
    }
    const child = startTypescript('examples/deploy/kubernetes/gateway.ts', [], { env })
    const [, bound] = await child.output(/^node \d+: listening on \S+ (\d+)$/m)
    return { child, port: Number(bound) }
  }

  get #secrets(): string {
    return join(this.#folder, 'secrets')
  }
}

const figure = async (pod: number, name: string): Promise<number> => {
  const text = await (await fetch(`http://${addressOf(pod)}:9464/metrics`)).text()
  return Number(new RegExp(`^${name}[^ ]* (\\S+)$`, 'm').exec(text)?.[1])
}

it('a pod that is replaced goes on with its sessions, whichever pod a client reaches', async () => {
  const cluster = new Cluster()
  const first = await cluster.run(0)
  const second = await cluster.run(1)
  const balancer = await Balancer.start([first.port, second.port])
  balancer.choose = () => 0
  const psk = { identity: 'Client1', key: cluster.psk }
  const client = connect({ host: HOST, port: balancer.port, psk, connectionId: true })
  await client.opened
  let heard = 0
  client.on('message', () => (heard += 1))
  // UDP may lose any: while the pod is replaced, it does.
  const echo = async (): Promise<void> => {
    const before = heard
    await expect
      .poll(() => client.send('still here') && heard > before, { timeout: 20_000, interval: 100 })
      .toBe(true)
  }
  await echo()
  balancer.choose = () => 1
  await balancer.move()
  await echo()
  expect(await figure(1, 'mcbn_dtls_server_forwarded_total')).toBeGreaterThan(0)

  first.child.process.kill('SIGTERM')
  expect(await first.child.exited).toEqual({ code: 0, signal: null })
  const next = await cluster.run(0, first.port)
  await next.child.output(/^node 0: goes on with 1 sessions, refused 0$/m)
  expect((await fetch(`http://${addressOf(0)}:9464/readyz`)).status).toBe(200)
  await echo()
  expect(client.readyState).toBe('open')
  expect(await figure(0, 'mcbn_dtls_server_handshakes_started_total')).toBe(0)
}, 60_000)
