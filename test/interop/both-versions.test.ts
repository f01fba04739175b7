// A client of mcbn's that speaks DTLS 1.3 and 1.2, at servers of either one alone.

import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { DtlsConnectOptions, DtlsSocket } from '../../src/dtls/index.js'
import { dial, failureOf, nextMessage } from '../dtls/support.js'
import { freeUdpPort } from '../support/ports.js'
import { waitFor } from '../support/wait.js'
import { COAP_GET, sServer } from './commands.js'
import {
  BUILDING,
  begin,
  newerPeers,
  nssServer,
  roleOf,
  SUITES,
  wolfssl,
  X25519,
} from './dtls13-peers.js'
import { OLDER_SERVERS, OLDER_SUITE, warnOfLacking } from './older-servers.js'
import { credential, FROM_MCBN, KEY, WRONG_KEY } from './support.js'

const BOTH = { minVersion: 'DTLSv1.2', maxVersion: 'DTLSv1.3' } as const
const folder = await newerPeers()

/** Also while nobody has bound the port yet. */
async function dialBoth(options: Partial<DtlsConnectOptions>): Promise<DtlsSocket> {
  return await dial({ ...BOTH, psk: credential, ...options }).opened.catch((error) =>
    error.code === 'MCBN_CONNECTION_FAILED' ? dialBoth(options) : Promise.reject(error),
  )
}

describe.each(OLDER_SERVERS)('interop/both versions: $name, of DTLS 1.2 alone', (server) => {
  warnOfLacking(server)

  it.skipIf(server.lacks)('opens in DTLS 1.2', { timeout: 60_000 }, async () => {
    const { port, heard, says } = await server.serve()
    const { suite = OLDER_SUITE, mtu, key = credential.key } = server
    const psk = { ...credential, key }
    const socket = await dialBoth({ port, psk, ciphers: suite, ...(mtu && { mtu }) })
    expect(socket.getCipher()?.version).toBe('DTLSv1.2')
    const text = `both ${randomUUID()}`
    const answer = heard ? heard(text) : nextMessage(socket)
    socket.send(says ? COAP_GET : text)
    await answer
  })

  it.skipIf(server.lacks)('names another key', { timeout: 60_000 }, async () => {
    const { port } = await server.serve()
    const { suite = OLDER_SUITE, mtu } = server
    const psk = { ...credential, key: Buffer.from(WRONG_KEY, 'hex') }
    const error = await failureOf(
      dial({ ...BOTH, port, psk, ciphers: suite, handshakeTimeout: 5_000, ...(mtu && { mtu }) }),
    )
    expect(error.code).toBe('MCBN_PSK_MISMATCH')
  })
})

describe('interop/both versions: a server that asks for no cookie', () => {
  it('openssl s_server refuses the first hello, and takes the second', async () => {
    const { port, peer } = await sServer('-psk', KEY, '-dtls1_2', '-cipher', OLDER_SUITE)
    const socket = await dialBoth({ port, ciphers: OLDER_SUITE })
    expect(socket.getProtocol()).toBe('DTLSv1.2')
    socket.send(FROM_MCBN)
    await peer.output(FROM_MCBN)
  })
})

describe.skipIf(folder === undefined)('interop/both versions: servers of DTLS 1.3 alone', () => {
  it.each(SUITES)('wolfSSL: %s', { timeout: BUILDING }, async (suite) => {
    const peer = begin(await wolfssl(folder ?? ''), [
      ...roleOf('server', suite),
      ...['psk_dhe_ke', X25519],
    ])
    const [, port] = await peer.output(/^listening on (\d+)$/m)
    const hash = suite.endsWith('SHA384') ? 'sha384' : 'sha256'
    const socket = await dialBoth({
      port: Number(port),
      ciphers: `${suite}:${OLDER_SUITE}`,
      psk: { ...credential, hash },
    })
    expect(socket.getCipher()?.name).toBe(suite)
    const answer = nextMessage(socket)
    socket.send(FROM_MCBN)
    expect((await answer).toString()).toBe(FROM_MCBN)
    await socket.close()
    expect((await peer.exited).code, peer.report()).toBe(0)
  })

  it('NSS', async () => {
    const port = await freeUdpPort()
    const server = await nssServer(folder ?? '', port, ':1301')
    const socket = await dialBoth({ port })
    expect(socket.getProtocol()).toBe('DTLSv1.3')
    socket.send(`${FROM_MCBN}\n`)
    await waitFor('the message', () => server.stdout.includes(FROM_MCBN))
  })
})
