// The damage of lossy/damage.test.ts done to records of other libraries: one suite for each kind of AEAD, mcbn
// in both roles. Counted, never delivered, never fatal.

import { once } from 'node:events'
import { beforeAll, describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { dialOpen, serve } from '../dtls/support.js'
import { expectUndamaged } from '../lossy/account.js'
import { DamagingProxy } from '../support/damaging-proxy.js'
import {
  canCompile,
  compilePeer,
  PEER_LIBRARIES,
  peerCloses,
  startClient,
  startServer,
} from './peers.js'
import { credential, IDENTITY } from './support.js'

/** GCM, CCM, CCM8 and ChaCha20-Poly1305; of each what the library has. */
const KINDS = [/AES128-GCM/, /AES256-CCM$/, /AES128-CCM8/, /CHACHA20/]

describe.each(PEER_LIBRARIES)('interop/damaged records: $name', (library) => {
  describe.skipIf(!canCompile(library))(`on ${library.package}`, () => {
    const settings = library.mtu === undefined ? {} : { mtu: library.mtu }
    const suites = KINDS.flatMap((kind) => library.suites.find((suite) => kind.test(suite)) ?? [])
    let program = ''
    beforeAll(async () => {
      program = await compilePeer(library)
    }, 180_000)

    it.each(suites)('of a client with %s', async (suite) => {
      const psk = { [IDENTITY]: credential.key }
      const { server, port, failures } = await serve({ ...settings, psk })
      const accepted = once(server, 'secureConnection')
      const proxy = await DamagingProxy.start(port, 'to server', 21)
      const peer = startClient(program, proxy.port, suite)
      const [socket] = (await accepted) as [DtlsSocket]
      await expectUndamaged(socket, proxy)
      expect(failures).toEqual([])
      expect(server.stats.dropped).toMatchObject(proxy.drops)
      expect(socket.stats.recordsDropped).toBe(proxy.dropped)
      await socket.close()
      await peer.child.output('closed by peer')
    })

    it.each(suites)('of a server with %s', async (suite) => {
      const peer = await startServer(program, suite)
      const proxy = await DamagingProxy.start(peer.port, 'to client', 22)
      const socket = await dialOpen({ ...settings, port: proxy.port, psk: credential })
      await expectUndamaged(socket, proxy)
      expect(socket.stats.recordsDropped).toBe(proxy.dropped)
      await peerCloses(peer, socket, library)
      await peer.child.output('echoed ')
    })
  })
})
