// pion/dtls v2 (Go), in both directions, with required extended master secret (RFC 7627).

import { beforeAll, describe, expect, it } from 'vitest'
import { type Child, start } from '../support/process.js'
import { canCompile, compilePeer, peerLibrary } from './peers.js'
import {
  connectTo,
  expectEcho,
  expectEchoed,
  facts,
  HINT,
  IDENTITY,
  KEY,
  refusedBy,
  serveEcho,
  WRONG_KEY,
} from './support.js'

const SUITES = ['PSK-AES128-GCM-SHA256', 'PSK-AES128-CCM8', 'PSK-AES128-CCM'] as const

const library = peerLibrary('pion')

describe.skipIf(!canCompile(library))('interop/pion', () => {
  let program = ''

  beforeAll(async () => {
    program = await compilePeer(library)
  }, 180_000)

  function pion(...args: readonly string[]): Child {
    return start(program, args, { foreign: true })
  }

  function client(port: number, suite: string, key = KEY, identity = IDENTITY): Child {
    return pion('client', String(port), key, identity, suite)
  }

  async function serve(suite: string, key = KEY): Promise<{ port: number; peer: Child }> {
    const peer = pion('server', key, HINT, suite)
    const [, port] = await peer.output(/^listening on (\d+)$/m)
    return { port: Number(port), peer }
  }

  describe('a client against an mcbn server', () => {
    it.each(SUITES)('DTLS 1.2: echoes under %s', async (suite) => {
      const server = await serveEcho('dtls')
      await expectEcho(server, client(server.port, suite), facts('DTLSv1.2', suite))
    })

    it.each(SUITES)('DTLS 1.2: gets the identity hint under %s', async (suite) => {
      const server = await serveEcho('dtls', { pskIdentityHint: HINT })
      const peer = client(server.port, suite)
      await peer.output(`peer says "${HINT}"`)
      await expectEcho(server, peer, facts('DTLSv1.2', suite))
    })

    it('DTLS 1.2: puts a fragmented handshake together (mtu 256)', async () => {
      const hint = 'h'.repeat(250)
      const server = await serveEcho('dtls', { pskIdentityHint: hint, mtu: 256 })
      const peer = client(server.port, 'PSK-AES128-GCM-SHA256')
      await peer.output(`peer says "${hint}"`)
      await expectEcho(server, peer, facts('DTLSv1.2', 'PSK-AES128-GCM-SHA256'))
    })

    it.each([
      ['a wrong key', WRONG_KEY, IDENTITY, 'MCBN_PSK_MISMATCH'],
      ['an unknown identity', KEY, 'Stranger', 'MCBN_PSK_IDENTITY_UNKNOWN'],
    ])('DTLS 1.2: is told by alert of %s', async (_what, key, identity, code) => {
      const server = await serveEcho('dtls')
      const peer = client(server.port, 'PSK-AES128-CCM8', key, identity)
      expect((await server.failed).code).toBe(code)
      expect((await peer.exited).code).toBe(1)
      expect(peer.stderr).toContain('DecryptError')
    })
  })

  describe('an mcbn client against a server', () => {
    it.each(SUITES)('DTLS 1.2: echoes under %s', async (suite) => {
      const { port, peer } = await serve(suite)
      const connection = await connectTo('dtls', port)
      await expectEchoed(connection, facts('DTLSv1.2', suite))
      await peer.output(`accepted ${IDENTITY}`)
      await connection.close()
      await peer.output(/^closed: /m)
    })

    it('DTLS 1.2: gives its psk function the identity hint', async () => {
      const { port } = await serve('PSK-AES128-GCM-SHA256')
      const hints: (string | undefined)[] = []
      const psk = (hint: string | undefined) => {
        hints.push(hint)
        return { identity: IDENTITY, key: Buffer.from(KEY, 'hex') }
      }
      const connection = await connectTo('dtls', port, { psk })
      await expectEchoed(connection, facts('DTLSv1.2', 'PSK-AES128-GCM-SHA256'))
      expect(hints).toEqual([HINT])
    })

    it('DTLS 1.2: names a wrong key before its deadline', async () => {
      const { port, peer } = await serve('PSK-AES128-CCM8', WRONG_KEY)
      expect((await refusedBy('dtls', port)).code).toBe('MCBN_PSK_MISMATCH')
      expect(peer.stdout).not.toContain('accepted')
    })
  })
})
