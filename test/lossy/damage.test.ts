// Records that somebody in the middle repeats, delays, cuts, joins, changes and invents, in an open session
// between two mcbn sockets: counted, never delivered, never fatal (RFC 6347 section 4.1.2.7).

import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { dial, dialOpen, echo, freshKey, identity, serve } from '../dtls/support.js'
import { AEAD_SUITES } from '../interop/peers.js'
import { DamagingProxy } from '../support/damaging-proxy.js'
import { expectUndamaged } from './account.js'

describe.each(AEAD_SUITES)('lossy/damage with %s', (ciphers) => {
  it.each(['mcbn', 'openssl'] as const)(
    'a server delivers what is whole, once (records %s)',
    async (records) => {
      const key = freshKey()
      const { server, port, failures } = await serve({ psk: { [identity]: key }, ciphers, records })
      const accepted = once(server, 'secureConnection')
      const proxy = await DamagingProxy.start(port, 'to server', 11)
      const client = dial({ port: proxy.port, ciphers, psk: { identity, key } })
      client.on('message', (message) => client.send(message))
      const [socket] = (await accepted) as [DtlsSocket]
      await client.opened
      await expectUndamaged(socket, proxy)
      expect(failures).toEqual([])
      // OpenSSL does not tell what it drops.
      if (records === 'openssl') return
      expect(server.stats.dropped).toMatchObject(proxy.drops)
      expect(socket.stats.recordsDropped).toBe(proxy.dropped)
    },
  )

  it.each(['mcbn', 'openssl'] as const)(
    'a client delivers what is whole, once (records %s)',
    async (records) => {
      const key = freshKey()
      const { port } = await echo({ psk: { [identity]: key }, ciphers })
      const proxy = await DamagingProxy.start(port, 'to client', 12)
      const socket = await dialOpen({ port: proxy.port, ciphers, records, psk: { identity, key } })
      await expectUndamaged(socket, proxy)
      if (records === 'mcbn') expect(socket.stats.recordsDropped).toBe(proxy.dropped)
    },
  )
})
