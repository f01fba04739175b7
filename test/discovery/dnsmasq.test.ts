// Against a DNS server that is not ours: dnsmasq (Debian: dnsmasq-base).

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { dnsSrvResolver, orderEndpoints } from '../../src/discovery/index.js'
import { describeWithPeers } from '../support/peers.js'
import { freeUdpPort } from '../support/ports.js'
import { start } from '../support/process.js'
import { seeded } from '../support/random.js'

const NAME = '_mcbn._tcp.example.test'

describeWithPeers(['dnsmasq'], 'discovery/dns with dnsmasq', () => {
  it('reads its SRV records, many of them (over TCP) too, and its refusals', async () => {
    const port = await freeUdpPort()
    const many = Array.from(
      { length: 60 },
      (_, at) => `--srv-host=_many._tcp.example.test,host-${at}.example.test,${at + 1},0,0`,
    )
    const server = start(
      'dnsmasq',
      [
        ...['--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='],
        ...[`--port=${port}`, '--listen-address=127.0.0.1', '--bind-interfaces', '--user='],
        '--local=/example.test/',
        // name, target, port, priority, weight
        `--srv-host=${NAME},a.example.test,8081,5,10`,
        `--srv-host=${NAME},b.example.test,8082,5,90`,
        `--srv-host=${NAME},c.example.test,8083,9,0`,
        '--srv-host=_none._tcp.example.test',
        ...many,
      ],
      { foreign: true },
    )
    await server.output(/started/)
    const resolver = dnsSrvResolver({ servers: [`127.0.0.1:${port}`], cacheTime: 0 })
    await sleep(50)

    const found = await resolver.resolve(NAME)
    expect([...found].sort((a, b) => a.port - b.port)).toEqual([
      { host: 'a.example.test', port: 8081, priority: 5, weight: 10 },
      { host: 'b.example.test', port: 8082, priority: 5, weight: 90 },
      { host: 'c.example.test', port: 8083, priority: 9, weight: 0 },
    ])
    expect(orderEndpoints(found, seeded(1)).at(-1)?.port).toBe(8083)

    // Sixty records do not fit a datagram: the answer is truncated, and asked for again over TCP.
    const ports = (await resolver.resolve('_many._tcp.example.test')).map(({ port }) => port)
    expect(ports.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, at) => at + 1))

    await expect(resolver.resolve('_none._tcp.example.test')).rejects.toThrow(/does not offer/)
    await expect(resolver.resolve('_other._tcp.example.test')).rejects.toThrow(/ENOTFOUND|ENODATA/)
  })
})
