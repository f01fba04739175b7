// A client that speaks DTLS 1.3 and 1.2 (RFC 7507) as a user has it. What strangers and relays can do is in
// test/native/dtls13_versions_test.cc.

import { describe, expect, it } from 'vitest'
import type { McbnError } from '../../src/errors.js'
import { alert, MESSAGE, recordsOf, verifyRequest } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import {
  BOTH,
  collect,
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  NEWER,
  rawSocket,
  roundTrip,
  silentPort,
} from './support.js'

const key = freshKey()
const psk = { identity, key }
const keys = { [identity]: key }
const HANDSHAKE_FAILURE = 40

describe('dtls13/both versions', () => {
  it.each([
    ['both', BOTH, 'DTLSv1.3'],
    ['1.3 alone', NEWER, 'DTLSv1.3'],
    ['1.2 alone', {}, 'DTLSv1.2'],
  ] as const)('a server of %s opens in its newest', async (_, server, version) => {
    const {
      server: listener,
      port,
      failures,
    } = await echo({ ...server, psk: keys, connectionId: 8 })
    const socket = await dialOpen({ ...BOTH, port, psk, connectionId: 0 })
    expect(socket.getProtocol()).toBe(version)
    expect(socket.getCipher()?.version).toBe(version)
    expect(socket.pskIdentity?.toString()).toBe(identity)
    await roundTrip(socket)
    expect(listener.stats).toMatchObject({ handshakesStarted: 1, handshakesCompleted: 1 })
    await socket.close()
    expect(failures).toEqual([])
  })

  it.each([
    ['a HelloVerifyRequest', verifyRequest(0)],
    ['an alert', alert(2, HANDSHAKE_FAILURE)],
  ])('%s of a stranger keeps nobody from DTLS 1.3', async (_, forged) => {
    const { server, port } = await echo({ ...BOTH, psk: keys })
    const proxy = await LossyProxy.start(port)
    proxy.pass = (_datagram, direction) => {
      if (direction === 'to client') proxy.inject(forged, 'to client')
      return true
    }
    const socket = await dialOpen({ ...BOTH, port: proxy.port, psk })
    expect(socket.getProtocol()).toBe('DTLSv1.3')
    await roundTrip(socket)
    expect(server.stats.handshakesStarted).toBe(1)
  })

  it('a relay that lets only DTLS 1.2 pass ends in an error, not in DTLS 1.2', async () => {
    const { server, port } = await echo({ ...BOTH, psk: keys })
    const proxy = await LossyProxy.start(port)
    // Hellos of DTLS 1.3 are numbered from 0 on, those of the fallback from 65,536 on.
    proxy.pass = (datagram, direction) =>
      direction === 'to client' ||
      recordsOf(datagram)[0]?.fragment[0] !== MESSAGE.clientHello ||
      datagram[8] === 1
    const error = await failureOf(
      dial({ ...BOTH, port: proxy.port, psk, retransmitTimeout: 100, handshakeTimeout: 3_000 }),
    )
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', alert: 'inappropriate_fallback' })
    expect(server.stats).toMatchObject({ handshakesStarted: 0, sessions: 0 })
  })

  it('a server that nobody hears is one error', async () => {
    const options = { ...BOTH, psk, retransmitTimeout: 100, handshakeTimeout: 1_000 }
    const error = await failureOf(dial({ ...options, port: await silentPort() }))
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_TIMEOUT' })
  })

  it.each([
    ['both', BOTH, ['DTLSv1.3']],
    ['1.2 alone', {}, ['DTLSv1.3', 'DTLSv1.2']],
  ] as const)(
    'a lookup is asked for each version that is tried, once: %s',
    async (_, server, expected) => {
      const keyOf = { 'DTLSv1.2': freshKey(), 'DTLSv1.3': freshKey() } as const
      const { port } = await echo({
        ...server,
        psk: ({ protocol }) => keyOf[protocol as keyof typeof keyOf],
      })
      const asked: string[] = []
      const socket = await dialOpen({
        ...BOTH,
        port,
        psk: async (_hint, { protocol }) => {
          asked.push(protocol)
          return { identity, key: keyOf[protocol as keyof typeof keyOf] }
        },
      })
      await roundTrip(socket)
      expect(asked).toEqual(expected)
    },
  )

  it('a lookup that fails for DTLS 1.2 is the error', async () => {
    const { port } = await echo({ psk: keys })
    const mistake = new Error('none for that')
    const socket = dial({
      ...BOTH,
      port,
      psk: (_hint, { protocol }) => {
        if (protocol === 'DTLSv1.2') throw mistake
        return psk
      },
    })
    expect(await failureOf(socket)).toMatchObject({ code: 'MCBN_LOOKUP_FAILED', cause: mistake })
  })

  it('a lookup that failed for DTLS 1.2 is not why DTLS 1.3 fails later', async () => {
    const newer = await echo({ ...NEWER, psk: { [identity]: freshKey() } })
    const older = await echo({ psk: keys })
    const proxy = await LossyProxy.start(newer.port)
    // Somebody answers the attempt at DTLS 1.2, once the server has been heard in 1.3.
    const stranger = await rawSocket()
    stranger.on('message', (datagram) => proxy.inject(datagram, 'to client'))
    let heard = false
    let failed = false
    proxy.pass = (datagram, direction) => {
      if (direction === 'to client') {
        if (!heard) proxy.inject(verifyRequest(0), 'to client')
        heard = true
        return true
      }
      if (datagram[8] === 0) return !heard || failed
      stranger.send(datagram, older.port, '127.0.0.1')
      return false
    }
    const socket = dial({
      ...BOTH,
      port: proxy.port,
      retransmitTimeout: 100,
      psk: (_hint, { protocol }) => {
        if (protocol === 'DTLSv1.3') return psk
        failed = true
        throw new Error('none for that')
      },
    })
    expect(await failureOf(socket)).toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
    expect(failed).toBe(true)
  })

  it.each([
    ['both', BOTH],
    ['1.2 alone', {}],
  ] as const)('another key is named: a server of %s', async (_, server) => {
    const { port } = await echo({ ...server, psk: keys })
    const error = await failureOf(dial({ ...BOTH, port, psk: { identity, key: freshKey() } }))
    expect(error.code).toBe('MCBN_PSK_MISMATCH')
  })

  it.each([
    ['both', BOTH, 'CLIENT_TRAFFIC_SECRET_0'],
    ['1.2 alone', {}, 'CLIENT_RANDOM'],
  ] as const)('the key log has the version that opened: %s', async (_, server, label) => {
    const { port } = await echo({ ...server, psk: keys })
    const socket = dial({ ...BOTH, port, psk })
    const lines: string[] = []
    socket.on('keylog', (line) => lines.push(line.toString()))
    await socket.opened
    await roundTrip(socket)
    expect(lines.filter((line) => line.startsWith(label))).toHaveLength(1)
  })

  it('closes while both are under way', async () => {
    const socket = dial({ ...BOTH, port: await silentPort(), psk, retransmitTimeout: 50 })
    const messages = collect(socket)
    await expect.poll(() => socket.stats.retransmits).toBeGreaterThanOrEqual(3)
    const ended = socket.opened.catch((error) => error as McbnError)
    socket.destroy()
    await ended
    await socket.closed
    expect(messages).toEqual([])
  })

  it.each([
    ['psk', { psk: [psk, { identity: 'other', key }] }, 'MCBN_OPTION_CONFLICT'],
    ['psk.imported', { psk: { ...psk, imported: true } }, 'MCBN_OPTION_CONFLICT'],
    ['identity', { psk: { identity: Buffer.from('a\0b'), key } }, 'MCBN_IDENTITY_INVALID'],
    ['records', { psk, records: 'openssl' }, 'MCBN_OPTION_CONFLICT'],
  ] as const)('%s: refuses what only one of the versions has', (name, options, code) => {
    expect(() => dial({ ...BOTH, port: 9, ...options })).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(`^${name}: `) }),
    )
  })
})
