// Your own resolver: endpoints from an xDS control plane, by EDS over REST-JSON. Takes the control
// plane's address as argument; without one it brings its own small control plane.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json, text } from 'node:stream/consumers'
import { connect, parseEndpoint, type Resolver } from 'mcbn/discovery'
import * as tls from 'mcbn/tls'

const TYPE = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment'

/** The fields of envoy.config.endpoint.v3.ClusterLoadAssignment that say where a cluster is. */
interface Assignment {
  cluster_name: string
  endpoints: { priority?: number; lb_endpoints: LbEndpoint[] }[]
}
interface LbEndpoint {
  endpoint: { address: { socket_address: { address: string; port_value: number } } }
  load_balancing_weight?: number
}

/** Asks for one cluster. The answer is a stranger's: each endpoint is checked, and none is believed. */
function edsResolver(controlPlane: string): Resolver {
  return {
    async resolve(service, { signal } = {}) {
      const response = await fetch(`${controlPlane}/v3/discovery:endpoints`, {
        method: 'POST',
        body: JSON.stringify({ node: { id: 'x' }, resource_names: [service], type_url: TYPE }),
        redirect: 'error',
        signal: signal ?? null,
      })
      const { resources } = (await response.json()) as { resources: Assignment[] }
      return resources
        .filter(({ cluster_name }) => cluster_name === service)
        .flatMap(({ endpoints }) => endpoints)
        .flatMap(({ priority = 0, lb_endpoints }) =>
          lb_endpoints.map(({ endpoint, load_balancing_weight: weight = 1 }) => {
            const { address: host, port_value: port } = endpoint.address.socket_address
            return parseEndpoint({ host, port, priority, weight: Math.min(weight, 65_535) })
          }),
        )
        .filter((endpoint) => typeof endpoint !== 'string')
    },
  }
}

const psk = { identity: 'Client1', key: randomBytes(32) }
const server = tls.createServer({ psk: { Client1: psk.key } }, (socket) => socket.end('hello'))
const trap = createServer() // has no key
const controlPlane = createServer(async (request, response) => {
  const { resource_names } = (await json(request)) as { resource_names: string[] }
  const endpoints = [trap, server].map((at, priority) => {
    const socket_address = { address: '127.0.0.1', port_value: portOf(at) }
    return { priority, lb_endpoints: [{ endpoint: { address: { socket_address } } }] }
  })
  const resources = resource_names.map((cluster_name) => ({
    '@type': TYPE,
    cluster_name,
    endpoints,
  }))
  response.end(JSON.stringify({ version_info: '1', type_url: TYPE, resources }))
})
for (const each of [server, trap, controlPlane])
  await once(each.listen(0, '127.0.0.1'), 'listening')

const address = process.argv[2] ?? `http://127.0.0.1:${portOf(controlPlane)}`
const socket = await connect(edsResolver(address), 'ledger', (endpoint) => {
  console.log(`trying ${endpoint.port === portOf(trap) ? 'the trap' : 'a server'}`)
  return tls.connect({ ...endpoint, psk })
})
console.log(`${socket.getProtocol()}: ${await text(socket)}`)
for (const each of [server, trap, controlPlane]) each.close()

function portOf(listening: { address(): unknown }): number {
  return (listening.address() as AddressInfo).port
}
