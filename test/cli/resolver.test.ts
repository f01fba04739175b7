// mcbn connect --resolver, against real directories on loopback.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as dtls from '../../src/dtls/index.js'
import * as tls from '../../src/tls/index.js'
import { consulServer } from '../discovery/consul-server.js'
import { dnsServer } from '../discovery/dns-server.js'
import { freeTcpPort } from '../support/ports.js'
import { expectFailure, expectSuccess, KEY, mcbn, OTHER_KEY, PSK } from './command.js'

async function greeter(text: string, key = KEY): Promise<number> {
  const psk = { Client1: Buffer.from(key, 'hex') }
  const server = tls.createServer({ psk }, (socket) => {
    socket.on('error', () => undefined)
    socket.end(`${text} ${socket.servername ?? ''}`)
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const TOKEN = 'c0ffee00-0000-4000-8000-000000000000'

describe('cli/connect --resolver', () => {
  it('dns: asks for _mcbn._tcp of the name, and goes on until a server has the key', async () => {
    const ports = [
      await freeTcpPort(),
      await greeter('other key', OTHER_KEY),
      await greeter('by DNS'),
    ]
    const dns = await dnsServer((name) =>
      name === '_mcbn._tcp.example.com'
        ? ports.map((port, priority) => ({ priority, weight: 0, port, target: 'localhost' }))
        : { rcode: 3 },
    )
    const args = ['--resolver', `dns:${dns.address}`, ...PSK, '--servername', 'a.example']
    const child = await mcbn(['connect', 'tls://example.com', ...args])
    expectSuccess(child)
    expect(child.stdout).toBe('by DNS a.example')
  })

  it('dns: asks for _udp for dtls://, and for a name with _ as it is', async () => {
    const server = dtls.createServer(
      { psk: { Client1: Buffer.from(KEY, 'hex') } },
      (socket) => void socket.on('message', (message) => socket.send(message)),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(async () => await server.close())
    const { port } = server.address() as AddressInfo
    const dns = await dnsServer(() => [{ priority: 0, weight: 0, port, target: 'localhost' }])
    const children = ['example.com', '_coaps._udp.example.com'].map((name) =>
      mcbn(['connect', `dtls://${name}`, '--resolver', `dns:${dns.address}`, ...PSK], {
        input: 'hello\n',
      }),
    )
    for (const child of await Promise.all(children)) {
      expectSuccess(child)
      expect(child.stdout).toBe('hello\n')
    }
    expect([...dns.asked].sort()).toEqual(['_coaps._udp.example.com', '_mcbn._udp.example.com'])
  })

  it('consul: takes the token from CONSUL_HTTP_TOKEN', async () => {
    const consul = await consulServer()
    consul.acl = true
    consul.tokens.add(TOKEN)
    consul.set('ledger', [{ port: await greeter('by Consul'), address: '127.0.0.1' }])
    const args = ['connect', 'tls://ledger', '--resolver', `consul:${consul.address}`, ...PSK]
    const child = await mcbn(args, { env: { CONSUL_HTTP_TOKEN: TOKEN } })
    expectSuccess(child)
    expect(child.stdout).toBe('by Consul ')
    const refused = await mcbn(args, { env: { CONSUL_HTTP_TOKEN: undefined } })
    expectFailure(
      refused,
      1,
      /"ledger" at Consul .*HTTP status 403.*MCBN_DISCOVERY_FAILED\); check/,
    )
  })

  it('names every place that was tried, in one line', async () => {
    const [dead, other] = [await freeTcpPort(), await greeter('other key', OTHER_KEY)]
    const dns = await dnsServer(() => [
      { priority: 0, weight: 0, port: dead, target: 'localhost' },
      { priority: 1, weight: 0, port: other, target: 'localhost' },
    ])
    const args = ['connect', 'tls://example.com', '--resolver', `dns:${dns.address}`, ...PSK]
    const child = await mcbn(args, { input: 'secret\n' })
    expectFailure(child, 1, new RegExp(`localhost:${dead}: .*localhost:${other}: .*PSK_MISMATCH`))
  })

  it('names a service that DNS does not know', async () => {
    const dns = await dnsServer(() => ({ rcode: 3 }))
    const args = ['connect', 'tls://example.com', '--resolver', `dns:${dns.address}`, ...PSK]
    expectFailure(await mcbn(args), 1, /_mcbn\._tcp\.example\.com: .*MCBN_DISCOVERY_FAILED/)
  })

  it.each([
    [['tls://example.com:1', '--resolver', 'dns:'], /without a port/],
    [['tls://[::1]', '--resolver', 'dns:'], /without a port/],
    [['tls://example.com', '--resolver', 'ldap:'], /--resolver: expected dns:/],
    [['tls://example.com', '--resolver', 'dns:nonsense'], /servers: expected addresses/],
    [['tls://example.com', '--resolver', 'consul:http://a:hunter2@b'], /address: expected http/],
    [['tls://example.com'], /the port is missing/],
  ])('refuses %j', async (args, why) => {
    const child = await mcbn(['connect', ...args, ...PSK])
    expectFailure(child, 2, why)
    expect(child.stderr).not.toContain('hunter2')
  })
})
