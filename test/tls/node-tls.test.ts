// node:tls with a pskCallback as the peer, both ways; more peers are in test/interop.

import { once } from 'node:events'
import { connect as connectNodeTls, createServer as createNodeTls } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  dial,
  echo,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  readAll,
  VERSIONS,
} from './support.js'

describe.each(VERSIONS)('node:tls on %s', (version) => {
  const only = { minVersion: version, maxVersion: version } as const
  // Node's own default list leaves pre-shared keys out.
  const ciphers = version === 'TLSv1.2' ? 'PSK' : 'TLS_AES_128_GCM_SHA256'

  it.each(['table', 'lookup'])('reaches our server (%s)', async (kind) => {
    const key = freshKey()
    const { port } = await echo({ psk: kind === 'table' ? { [identity]: key } : async () => key })
    const client = connectNodeTls({
      ...{ ...only, ciphers, port, host: LOOPBACK },
      pskCallback: () => ({ psk: key, identity }),
      checkServerIdentity: () => undefined,
    })
    onTestFinished(() => void client.destroy())
    await once(client, 'secureConnect')
    expect(client.getProtocol()).toBe(version)
    client.end('from node:tls')
    expect((await readAll(client)).toString()).toBe('from node:tls')
  })

  it.each(['right', 'wrong'])('is reached by our client with the %s key', async (kind) => {
    const key = freshKey()
    const server = createNodeTls(
      { ...only, ciphers, pskCallback: () => key, pskIdentityHint: 'hint' },
      (socket) => socket.on('error', () => {}).pipe(socket),
    )
    server.on('tlsClientError', () => {})
    const port = await listen(server)
    const client = dial({ port, psk: { identity, key: kind === 'right' ? key : freshKey() } })
    if (kind === 'wrong') {
      expect(await failureOf(client)).toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
      return
    }
    client.end('to node:tls')
    expect((await readAll(client)).toString()).toBe('to node:tls')
    expect(client.getProtocol()).toBe(version)
  })

  it('cannot resume a session of a key that was taken back', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const options = {
      ...{ ...only, ciphers, port, host: LOOPBACK },
      pskCallback: () => ({ psk: key, identity }),
      checkServerIdentity: () => undefined,
    }
    const first = connectNodeTls(options)
    await once(first, 'secureConnect')
    const session = first.getSession()
    first.end().resume()
    await once(first, 'close')
    server.revoke(identity)
    const second = connectNodeTls({ ...options, session })
    const [error] = await once(second, 'error').catch((thrown) => [thrown])
    expect(error).toBeInstanceOf(Error)
  })
})
