// What a client that speaks DTLS 1.3 and 1.2 has in its session store: docs/SESSIONS.md.

import { describe, expect, it } from 'vitest'
import { crashed, hears, served, stored } from './stored-clients.js'
import { BOTH, dialOpen, NEWER, roundTrip } from './support.js'

describe('dtls/session store of clients of both versions', () => {
  it.each([
    { server: 'both', version: 'DTLSv1.3', options: BOTH },
    { server: 'DTLS 1.2 alone', version: 'DTLSv1.2', options: { maxVersion: 'DTLSv1.2' } },
    { server: 'DTLS 1.3 alone', version: 'DTLSv1.3', options: NEWER },
  ] as const)(
    'keeps the one session that opened, and goes on with it: a server of $server',
    async ({ version, options }) => {
      const { server, to } = await served('DTLSv1.2', options)
      const left = await crashed({ ...to, ...BOTH })
      expect(left.names).toHaveLength(1)
      const client = await dialOpen({ ...to, ...BOTH, ...stored(left) })
      expect(client.isSessionReused()).toBe(true)
      expect(client.getProtocol()).toBe(version)
      await hears(client)
      expect(server.stats).toMatchObject({ handshakesStarted: 1, sessions: 1 })
    },
  )

  it.each([
    { kept: 'DTLSv1.3', wanted: 'DTLSv1.2' },
    { kept: 'DTLSv1.2', wanted: 'DTLSv1.3' },
  ] as const)(
    'makes a handshake where only $kept was kept, and only $wanted is wanted',
    async ({ kept, wanted }) => {
      const { server, to } = await served()
      const left = await crashed({ ...to, minVersion: kept, maxVersion: kept })
      const [old] = left.names as [string]
      const only = { minVersion: wanted, maxVersion: wanted }
      const client = await dialOpen({ ...to, ...only, ...stored(left) })
      expect(client.isSessionReused()).toBe(false)
      expect(client.getProtocol()).toBe(wanted)
      await roundTrip(client)
      expect(server.stats.handshakesStarted).toBe(2)
      await expect.poll(() => left.disk.has(old), { timeout: 10_000 }).toBe(false)
    },
  )
})
