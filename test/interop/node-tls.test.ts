// node:tls with a pskCallback, as server and as client.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as nodeTls from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { nextEvent } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import {
  connectTo,
  credential,
  expectEchoed,
  FROM_PEER,
  facts,
  HINT,
  IDENTITY,
  LOOPBACK,
  refusedBy,
  serveEcho,
  type Version,
  WRONG_KEY,
} from './support.js'

const key = Buffer.from(credential.key)
/** node:tls has no PSK suite in its default list. */
const PSK_SUITES = 'ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES128-GCM-SHA256:PSK-AES128-GCM-SHA256'

const CASES: readonly (readonly [Version & nodeTls.SecureVersion, string, string | undefined])[] = [
  ['TLSv1.3', 'TLS_AES_128_GCM_SHA256', undefined],
  ['TLSv1.3', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'],
  ['TLSv1.2', 'ECDHE-PSK-CHACHA20-POLY1305', PSK_SUITES],
  ['TLSv1.2', 'DHE-PSK-AES128-GCM-SHA256', 'DHE-PSK-AES128-GCM-SHA256'],
  ['TLSv1.2', 'PSK-AES256-GCM-SHA384', 'PSK-AES256-GCM-SHA384'],
]

async function connectNode(
  port: number,
  options: nodeTls.ConnectionOptions,
): Promise<{ readonly socket: nodeTls.TLSSocket; received(): string }> {
  const socket = nodeTls.connect({
    host: LOOPBACK,
    port,
    pskCallback: () => ({ psk: key, identity: IDENTITY }),
    // There is no certificate whose name could be compared; the key is the proof.
    checkServerIdentity: () => undefined,
    ...options,
  })
  onTestFinished(() => void socket.destroy())
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  await nextEvent(socket, 'secureConnect')
  return { socket, received: () => Buffer.concat(chunks).toString() }
}

async function serveNode(options: nodeTls.TlsOptions): Promise<{
  readonly port: number
  readonly identities: string[]
}> {
  const identities: string[] = []
  const open = new Set<nodeTls.TLSSocket>()
  const server = nodeTls.createServer(
    {
      pskCallback: (_socket, identity) => {
        identities.push(identity)
        return identity === IDENTITY ? key : null
      },
      ...options,
    },
    (socket) => {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.pipe(socket)
    },
  )
  server.on('tlsClientError', () => undefined)
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of open) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return { port: (server.address() as AddressInfo).port, identities }
}

/** `ciphers` absent means node:tls's default, which has the TLS 1.3 suites. */
function settings(version: nodeTls.SecureVersion, ciphers: string | undefined) {
  return { minVersion: version, maxVersion: version, ...(ciphers !== undefined && { ciphers }) }
}

describe('interop/node:tls: a client with pskCallback against an mcbn server', () => {
  it.each(CASES)('%s: echoes under %s', async (version, cipher, ciphers) => {
    const server = await serveEcho('tls')
    const { socket, received } = await connectNode(server.port, settings(version, ciphers))
    expect(socket.getProtocol()).toBe(version)
    expect(socket.getCipher().name).toBe(cipher)
    socket.write(FROM_PEER)
    await waitFor('the echo', () => received() === FROM_PEER)
    expect(server.received()).toBe(FROM_PEER)
    expect(await server.accepted).toEqual(facts(version, cipher))
    // RFC 5705, RFC 8446 section 7.5: a value that both ends can only have from the same secrets.
    expect(socket.exportKeyingMaterial(32, 'EXPERIMENTAL mcbn', Buffer.of(7))).toHaveLength(32)
  })

  it('TLSv1.2: gets the identity hint', async () => {
    const server = await serveEcho('tls', { pskIdentityHint: HINT })
    const hints: (string | null)[] = []
    await connectNode(server.port, {
      ...settings('TLSv1.2', PSK_SUITES),
      pskCallback: (hint) => {
        hints.push(hint)
        return { psk: key, identity: IDENTITY }
      },
    })
    expect(hints).toEqual([HINT])
    expect((await server.accepted).identity).toBe(IDENTITY)
  })

  it.each([
    ['TLSv1.3', undefined],
    ['TLSv1.2', PSK_SUITES],
  ] as const)('%s: is refused with a wrong key', async (version, ciphers) => {
    const server = await serveEcho('tls')
    const psk = Buffer.from(WRONG_KEY, 'hex')
    const pskCallback = () => ({ psk, identity: IDENTITY })
    await expect(
      connectNode(server.port, { ...settings(version, ciphers), pskCallback }),
    ).rejects.toMatchObject({ code: /^ERR_SSL_/ })
    expect((await server.failed).code).toBe('MCBN_PSK_MISMATCH')
  })
})

describe('interop/node:tls: an mcbn client against a server with pskCallback', () => {
  // A node:tls server follows its own list, where ChaCha20 is the first suite with SHA-256.
  it.each([
    ['TLSv1.3', 'TLS_CHACHA20_POLY1305_SHA256', undefined],
    ['TLSv1.3', 'TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
    ...CASES.slice(2),
  ] as const)('%s: echoes under %s', async (version, cipher, ciphers) => {
    // Without parameters OpenSSL leaves the DHE suites out; 'auto' is a group of 1,024 bits at Node 20's
    // own level 1. The client takes it: with plain PSK there would be none at all.
    const server = await serveNode({ ...settings(version, ciphers), dhparam: 'auto' })
    const client = await connectTo('tls', server.port)
    await expectEchoed(client, facts(version, cipher))
    expect(server.identities).toEqual([IDENTITY])
    await client.close()
  })

  it('TLSv1.2: gets the identity hint', async () => {
    const server = await serveNode({ ...settings('TLSv1.2', PSK_SUITES), pskIdentityHint: HINT })
    const hints: (string | undefined)[] = []
    const psk = (hint: string | undefined) => {
      hints.push(hint)
      return credential
    }
    const client = await connectTo('tls', server.port, { psk, maxVersion: 'TLSv1.2' })
    await expectEchoed(client, facts('TLSv1.2', 'ECDHE-PSK-CHACHA20-POLY1305'))
    expect(hints).toEqual([HINT])
  })

  it.each([
    ['TLSv1.3', undefined],
    ['TLSv1.2', PSK_SUITES],
  ] as const)('%s: names a wrong key', async (version, ciphers) => {
    const server = await serveNode(settings(version, ciphers))
    const psk = { identity: IDENTITY, key: Buffer.from(WRONG_KEY, 'hex') }
    expect((await refusedBy('tls', server.port, { psk })).code).toBe('MCBN_PSK_MISMATCH')
    expect(server.identities).toEqual([IDENTITY])
  })

  it('TLSv1.2: names an unknown identity (RFC 4279 section 2)', async () => {
    const server = await serveNode(settings('TLSv1.2', PSK_SUITES))
    const psk = { ...credential, identity: 'Stranger' }
    expect(await refusedBy('tls', server.port, { psk })).toMatchObject({
      code: 'MCBN_PSK_IDENTITY_UNKNOWN',
      alert: 'unknown_psk_identity',
    })
    expect(server.identities).toEqual(['Stranger'])
  })
})
