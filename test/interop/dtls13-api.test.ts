// DTLS 1.3 as mcbn/dtls offers it, beside wolfSSL and NSS, in both roles.

import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import type { DtlsConnectOptions, DtlsServerOptions, DtlsSocket } from '../../src/dtls/index.js'
import { dial, nextMessage, serve } from '../dtls/support.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { freeUdpPort } from '../support/ports.js'
import { waitFor } from '../support/wait.js'
import {
  BUILDING,
  begin,
  newerPeers,
  nssClient,
  nssServer,
  P256,
  type Program,
  roleOf,
  SUITES,
  wolfssl,
  X25519,
} from './dtls13-peers.js'
import { FROM_MCBN, FROM_PEER, IDENTITY, KEY } from './support.js'

const MESSAGES = 40
const EXPORTER = 'EXPORTER-mcbn-interop'
const folder = await newerPeers()
const key = Buffer.from(KEY, 'hex')

type Shared = Partial<DtlsServerOptions> & Partial<DtlsConnectOptions>

/** What both sides are told: suite or mode, to wolfSSL and to mcbn. */
const CASES: readonly [what: string, suite: string, wolf: readonly string[], ours: Shared][] = [
  ...SUITES.map(
    (suite) => [suite, suite, ['psk_dhe_ke', X25519], {}] as [string, string, string[], Shared],
  ),
  ['psk_ke', SUITES[0], ['psk_ke'], { pskModes: ['psk_ke'] }],
  ['P-256', SUITES[0], ['psk_dhe_ke', P256], { groups: ['P-256'] }],
  ['connection IDs', SUITES[0], ['psk_dhe_ke', X25519, 'id=5'], { connectionId: 8 }],
  ['updates of keys', SUITES[0], ['psk_dhe_ke', X25519, 'update'], {}],
]

function hashOf(suite: string): 'sha256' | 'sha384' {
  return suite.endsWith('SHA384') ? 'sha384' : 'sha256'
}

let wolf: Program

describe.skipIf(folder === undefined)('interop/DTLS 1.3 through mcbn/dtls', () => {
  beforeAll(async () => {
    wolf = await wolfssl(folder ?? '')
  }, BUILDING)

  it.each(CASES)('wolfSSL as client: %s', async (_what, suite, options, ours) => {
    const open: DtlsSocket[] = []
    const { port } = await serve(
      {
        ...ours,
        ...{ maxVersion: 'DTLSv1.3', ciphers: `${suite}:PSK-AES128-GCM-SHA256` },
        psk: { [IDENTITY]: { key, hash: hashOf(suite) } },
      },
      (socket) => {
        open.push(socket)
        socket.on('message', (message) => socket.send(message))
      },
    )
    const peer = begin(wolf, [...roleOf(port, suite), `say=${MESSAGES}`, ...options])
    await peer.output(`heard ${MESSAGES}`)
    const [socket] = open as [DtlsSocket]
    expect(socket.getProtocol()).toBe('DTLSv1.3')
    expect(socket.getCipher()?.name).toBe(suite)
    expect(socket.connectionId !== undefined).toBe('connectionId' in ours)
    const [, exported] = await peer.output(/^exporter (\w+)$/m)
    expect(socket.exportKeyingMaterial(32, EXPORTER).toString('hex')).toBe(exported?.toLowerCase())
    peer.endInput()
    await socket.closed
    expect(socket.closeReason).toBe('peer')
    expect((await peer.exited).code, peer.report()).toBe(0)
  })

  it.each(CASES)('wolfSSL as server: %s', async (_what, suite, options, ours) => {
    const peer = begin(wolf, [...roleOf('server', suite), ...options])
    const [, port] = await peer.output(/^listening on (\d+)$/m)
    const socket = dial({
      ...ours,
      ...{ minVersion: 'DTLSv1.3', ciphers: suite, port: Number(port) },
      psk: { identity: IDENTITY, key, hash: hashOf(suite) },
    })
    await socket.opened
    const [, exported] = await peer.output(/^exporter (\w+)$/m)
    expect(socket.exportKeyingMaterial(32, EXPORTER).toString('hex')).toBe(exported?.toLowerCase())
    for (let index = 0; index < MESSAGES; index += 1) {
      const answer = nextMessage(socket)
      // Both directions, acknowledged by wolfSSL (RFC 9147 section 8).
      if (index % 10 === 5) socket.updateKeys()
      socket.send(`message ${index}`)
      expect((await answer).toString()).toBe(`message ${index}`)
    }
    expect(socket.stats.keyUpdatesSent).toBeGreaterThanOrEqual(4)
    expect(socket.stats.keyUpdatesReceived).toBeGreaterThanOrEqual(4)
    await socket.close()
    await peer.output('closed by peer')
    expect((await peer.exited).code, peer.report()).toBe(0)
  })

  it.each(CASES)('wolfSSL as client, its session exported and imported: %s', async (...given) => {
    const [, suite, options, ours] = given
    const sealingKey = randomBytes(32)
    let heard = 0
    let moves = 0
    const { server, port } = await serve(
      {
        ...ours,
        ...{ maxVersion: 'DTLSv1.3', ciphers: suite },
        psk: { [IDENTITY]: { key, hash: hashOf(suite) } },
      },
      (socket) => socket.on('message', (message) => void answer(socket, message)),
    )
    // The client waits for each answer, so nothing is on its way when the session moves.
    const answer = async (socket: DtlsSocket, message: Buffer): Promise<void> => {
      heard += 1
      if (heard % 10 === 7) {
        // With a KeyUpdate under way.
        if (moves % 2 === 1) socket.updateKeys()
        const sealed = socket.exportSession({ sealingKey })
        moves += (await server.importSessions([sealed], { sealingKey })).imported
      }
      const [current] = server.sessions
      current?.send(message)
    }
    const peer = begin(wolf, [...roleOf(port, suite), `say=${MESSAGES}`, ...options])
    await peer.output(`heard ${MESSAGES}`)
    expect(moves).toBe(4)
    expect(server.stats.handshakesStarted).toBe(1)
    peer.endInput()
    expect((await peer.exited).code, peer.report()).toBe(0)
  })

  it.each(CASES)('wolfSSL as server, our session exported and imported: %s', async (...given) => {
    const [, suite, options, ours] = given
    const sealingKey = randomBytes(32)
    const peer = begin(wolf, [...roleOf('server', suite), ...options])
    const [, port] = await peer.output(/^listening on (\d+)$/m)
    // While the session moves nobody has its port, and wolfSSL ends when the system tells it so. A relay stays.
    const relay = await LossyProxy.start(Number(port))
    const common: DtlsConnectOptions = {
      ...ours,
      minVersion: 'DTLSv1.3',
      ciphers: suite,
      port: relay.port,
      psk: { identity: IDENTITY, key, hash: hashOf(suite) },
    }
    let socket = dial(common)
    await socket.opened
    for (let index = 0; index < MESSAGES; index += 1) {
      const answer = nextMessage(socket)
      socket.send(`message ${index}`)
      expect((await answer).toString()).toBe(`message ${index}`)
      if (index % 10 !== 7) continue
      if (index > 10) socket.updateKeys()
      const localPort = socket.localPort as number
      const sealed = socket.exportSession({ sealingKey })
      await socket.closed
      socket = dial({ ...common, localPort, session: { sealed, sealingKey } })
      await socket.opened
      expect(socket.isSessionReused()).toBe(true)
    }
    await socket.close()
    await peer.output('closed by peer')
    expect((await peer.exited).code, peer.report()).toBe(0)
  })

  it.each([
    ['TLS_AES_128_GCM_SHA256', ':1301'],
    ['TLS_CHACHA20_POLY1305_SHA256', ':1303'],
  ] as const)('NSS as client: %s', async (ciphers, number) => {
    const open: DtlsSocket[] = []
    const { port } = await serve(
      { maxVersion: 'DTLSv1.3', ciphers, psk: { [IDENTITY]: key } },
      (socket) => {
        open.push(socket)
        socket.on('message', (message) => socket.send(message))
      },
    )
    const client = nssClient(folder ?? '', port, number)
    client.write(`${FROM_PEER}\n`)
    await client.output(FROM_PEER)
    expect(open.map((socket) => socket.getCipher()?.name)).toEqual([ciphers])
  })

  it('NSS as client: X25519MLKEM768 first, in fragments', async () => {
    const { server, port } = await serve(
      { maxVersion: 'DTLSv1.3', psk: { [IDENTITY]: key } },
      (socket) => {
        socket.on('message', (message) => socket.send(message))
      },
    )
    const client = nssClient(folder ?? '', port, ':1301', [])
    client.write(`${FROM_PEER}\n`)
    await client.output(FROM_PEER)
    expect([...server.sessions].map((socket) => socket.getProtocol())).toEqual(['DTLSv1.3'])
  })

  it('NSS as server', async () => {
    const port = await freeUdpPort()
    const server = await nssServer(folder ?? '', port, ':1301')
    const tried = (): Promise<DtlsSocket> =>
      dial({ minVersion: 'DTLSv1.3', port, psk: { identity: IDENTITY, key } }).opened.catch(
        // It says that it begins before its port is bound.
        (error) => (error.code === 'MCBN_CONNECTION_FAILED' ? tried() : Promise.reject(error)),
      )
    const socket = await tried()
    socket.send(`${FROM_MCBN}\n`)
    await waitFor('the message', () => server.stdout.includes(FROM_MCBN))
    const answer = nextMessage(socket)
    server.write(`${FROM_PEER}\n`)
    expect((await answer).toString()).toContain(FROM_PEER)
  })
})
