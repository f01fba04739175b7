// Somebody on the path has kept a client's hellos with their cookies, and sends them again in its name: a cookie is good for
// minutes, and devices keep their ports.

import { describe, expect, it } from 'vitest'
import { dial, dialOpen, echo, freshKey, identity, NEWER, roundTrip } from '../dtls/support.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { freeUdpPort } from '../support/ports.js'
import { waitFor } from '../support/wait.js'

const key = freshKey()
const psk = { identity, key }
const PROTOCOLS = [
  ['DTLS 1.2', {}],
  ['DTLS 1.3', NEWER],
] as const

describe.each(PROTOCOLS)('hostile/replayed hellos on %s', (_name, versions) => {
  it('of sessions that there were do not disturb the next handshake from their port', async () => {
    const { server, port } = await echo({ ...versions, psk: { [identity]: key } })
    const proxy = await LossyProxy.start(port)
    const localPort = await freeUdpPort()
    const from = { ...versions, port: proxy.port, localPort, psk }
    const kept: Buffer[] = []
    for (let count = 0; count < 3; count += 1) {
      const hellos: Buffer[] = []
      proxy.pass = (datagram, direction) => {
        if (direction === 'to server' && hellos.length < 2) hellos.push(Buffer.from(datagram))
        return true
      }
      const client = await dialOpen(from)
      await roundTrip(client)
      await client.close()
      await waitFor('its end', () => server.stats.sessions === 0)
      kept.push(hellos[1] as Buffer)
    }
    let sent = 0
    proxy.pass = (_datagram, direction) => {
      // Before each datagram of the client's and behind it.
      if (direction === 'to server') {
        sent += 1
        proxy.inject(kept[sent % kept.length] as Buffer, 'to server')
        setImmediate(() => proxy.inject(kept[(sent + 1) % kept.length] as Buffer, 'to server'))
      }
      return true
    }
    const began = server.stats.handshakesStarted
    const client = dial(from)
    await client.opened
    await roundTrip(client)
    expect(server.stats.handshakesStarted).toBe(began + 1)
    expect(sent).toBeGreaterThan(2)
  })
})
