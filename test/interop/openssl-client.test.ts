// openssl s_client against mcbn servers.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { describeWithPeers } from '../support/peers.js'
import { type Child, start } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { sha384Session } from './psk-session.js'
import { expectEcho, facts, HINT, IDENTITY, KEY, serveEcho, WRONG_KEY } from './support.js'

interface Settings {
  readonly key?: string
  readonly identity?: string
  readonly config?: string
}

function client(port: number, args: readonly string[], settings: Settings = {}): Child {
  const { key = KEY, identity = IDENTITY, config } = settings
  const address = `127.0.0.1:${port}`
  const psk = ['-psk', key, '-psk_identity', identity]
  return start('openssl', ['s_client', '-connect', address, ...psk, ...args], {
    foreign: true,
    env: { OPENSSL_CONF: config },
  })
}

/** OpenSSL 3.0, which is in Node 20, does not yet answer a bad binder as RFC 8446 section 4.2.11 says. */
const BAD_BINDER = process.versions.openssl?.startsWith('3.0.')
  ? 'illegal parameter'
  : 'decrypt error'

const WITHOUT_EXTENDED_MASTER_SECRET = `
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
Options = -ExtendedMasterSecret
`

describeWithPeers(['openssl'], 'interop/openssl: s_client against an mcbn server', () => {
  describe('TLS 1.3', () => {
    it.each([
      ['the default suites', [], 'TLS_AES_128_GCM_SHA256'],
      [
        'a SHA-384 suite asked for first, which a SHA-256 key cannot use',
        ['-ciphersuites', 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256'],
        'TLS_AES_128_GCM_SHA256',
      ],
      [
        'TLS_CHACHA20_POLY1305_SHA256 alone',
        ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'],
        'TLS_CHACHA20_POLY1305_SHA256',
      ],
      ['a key share other than X25519', ['-groups', 'P-384'], 'TLS_AES_128_GCM_SHA256'],
    ])('echoes with %s', async (_what, args, cipher) => {
      const server = await serveEcho('tls')
      const peer = client(server.port, ['-tls1_3', ...args])
      await peer.output(`Reused, TLSv1.3, Cipher is ${cipher}`)
      await expectEcho(server, peer, facts('TLSv1.3', cipher))
      expect(server.keylog.map((line) => line.split(' ')[0])).toContain('SERVER_TRAFFIC_SECRET_0')
    })

    it('echoes with a key bound to SHA-384 under TLS_AES_256_GCM_SHA384 (-psk_session)', async () => {
      const bound = { key: Buffer.from(KEY, 'hex'), hash: 'sha384' } as const
      const file = sha384Session(temporaryFolder(), KEY)
      const server = await serveEcho('tls', { psk: { [IDENTITY]: bound } })
      const peer = client(server.port, ['-tls1_3', '-psk_session', file])
      await peer.output('Cipher is TLS_AES_256_GCM_SHA384')
      await expectEcho(server, peer, facts('TLSv1.3', 'TLS_AES_256_GCM_SHA384'))
    })
  })

  describe('TLS 1.2', () => {
    it.each([
      ['-cipher PSK', 'PSK', 'ECDHE-PSK-CHACHA20-POLY1305'],
      ['one suite', 'PSK-AES128-GCM-SHA256', 'PSK-AES128-GCM-SHA256'],
      ['one suite', 'PSK-AES256-GCM-SHA384', 'PSK-AES256-GCM-SHA384'],
      ['one suite', 'PSK-CHACHA20-POLY1305', 'PSK-CHACHA20-POLY1305'],
      ['one suite', 'PSK-AES128-CCM8', 'PSK-AES128-CCM8'],
      ['one suite', 'DHE-PSK-AES128-GCM-SHA256', 'DHE-PSK-AES128-GCM-SHA256'],
      ['one suite', 'DHE-PSK-AES256-GCM-SHA384', 'DHE-PSK-AES256-GCM-SHA384'],
      ['one suite', 'ECDHE-PSK-CHACHA20-POLY1305', 'ECDHE-PSK-CHACHA20-POLY1305'],
    ])('echoes with %s: %s', async (_what, list, cipher) => {
      const server = await serveEcho('tls')
      const peer = client(server.port, ['-tls1_2', '-cipher', list])
      await peer.output(`New, TLSv1.2, Cipher is ${cipher}`)
      await peer.output('Extended master secret: yes')
      await peer.output('PSK identity hint: None')
      await expectEcho(server, peer, facts('TLSv1.2', cipher))
    })

    it('echoes without extended master secret (RFC 7627 is offered, not required)', async () => {
      const server = await serveEcho('tls')
      // s_client has no switch for it; its configuration has.
      const file = join(temporaryFolder(), 'openssl.cnf')
      writeFileSync(file, WITHOUT_EXTENDED_MASTER_SECRET)
      const peer = client(server.port, ['-tls1_2', '-cipher', 'PSK'], { config: file })
      await peer.output('Extended master secret: no')
      await expectEcho(server, peer, facts('TLSv1.2', 'ECDHE-PSK-CHACHA20-POLY1305'))
    })

    it('echoes a CBC suite that the server names (RFC 5487)', async () => {
      const cipher = 'PSK-AES128-CBC-SHA256'
      const server = await serveEcho('tls', { ciphers: cipher })
      const peer = client(server.port, ['-tls1_2', '-cipher', cipher])
      await expectEcho(server, peer, facts('TLSv1.2', cipher))
    })
  })

  describe('DTLS 1.2', () => {
    it.each([
      ['PSK-AES128-CCM8', 'PSK-AES128-CCM8'],
      ['PSK', 'ECDHE-PSK-CHACHA20-POLY1305'],
      ['PSK-AES128-GCM-SHA256', 'PSK-AES128-GCM-SHA256'],
      ['PSK-CHACHA20-POLY1305', 'PSK-CHACHA20-POLY1305'],
      ['DHE-PSK-AES128-GCM-SHA256', 'DHE-PSK-AES128-GCM-SHA256'],
      ['ECDHE-PSK-CHACHA20-POLY1305', 'ECDHE-PSK-CHACHA20-POLY1305'],
    ])('echoes with -cipher %s', async (list, cipher) => {
      const server = await serveEcho('dtls')
      const peer = client(server.port, ['-dtls1_2', '-cipher', list])
      await peer.output(`Cipher is ${cipher}`)
      await expectEcho(server, peer, facts('DTLSv1.2', cipher))
    })

    it.each([
      ['a ClientHello in fragments', 'PSK'],
      ['one suite', 'PSK-AES128-CCM8'],
    ])('echoes with -mtu 300 on both sides: %s', async (_what, list) => {
      // Fragments on the way back, too: hint and key share are more than fit.
      const server = await serveEcho('dtls', { mtu: 300, pskIdentityHint: 'h'.repeat(256) })
      const peer = client(server.port, ['-dtls1_2', '-mtu', '300', '-cipher', list])
      await peer.output(`PSK identity hint: ${'h'.repeat(256)}`)
      await expectEcho(
        server,
        peer,
        facts('DTLSv1.2', list === 'PSK' ? 'ECDHE-PSK-CHACHA20-POLY1305' : list),
      )
    })
  })

  describe.each([
    ['TLS 1.2', 'tls', ['-tls1_2', '-cipher', 'PSK']],
    ['DTLS 1.2', 'dtls', ['-dtls1_2', '-cipher', 'PSK-AES128-CCM8']],
  ] as const)('%s', (_name, transport, args) => {
    it('shows the identity hint', async () => {
      const server = await serveEcho(transport, { pskIdentityHint: HINT })
      const peer = client(server.port, args)
      await peer.output(`PSK identity hint: ${HINT}`)
      peer.write('hinted\n')
      await peer.output(/^hinted$/m)
      expect((await server.accepted).identity).toBe(IDENTITY)
    })
  })

  describe.each([
    ['TLS 1.3', 'tls', ['-tls1_3'], BAD_BINDER],
    ['TLS 1.2', 'tls', ['-tls1_2', '-cipher', 'PSK'], 'bad record mac'],
    ['DTLS 1.2', 'dtls', ['-dtls1_2', '-cipher', 'PSK'], 'decrypt error'],
  ] as const)('%s', (_name, transport, args, alert) => {
    it('hands both sides the same key log (-keylogfile)', async () => {
      const file = join(temporaryFolder(), 'keylog.txt')
      const server = await serveEcho(transport)
      const peer = client(server.port, [...args, '-keylogfile', file])
      peer.write('logged\n')
      await peer.output(/^logged$/m)
      const logged = readFileSync(file, 'utf8').split('\n')
      expect(logged.filter((line) => /^[A-Z]/.test(line)).sort()).toEqual([...server.keylog].sort())
      expect(server.keylog.length).toBeGreaterThan(0)
    })

    it.each([
      ['a wrong key', { key: WRONG_KEY }, 'MCBN_PSK_MISMATCH'],
      ['an unknown identity', { identity: 'Stranger' }, 'MCBN_PSK_IDENTITY_UNKNOWN'],
    ])('refuses %s with the same alert, and names it here', async (_what, settings, code) => {
      const server = await serveEcho(transport)
      const peer = client(server.port, args, settings)
      expect((await server.failed).code).toBe(code)
      expect((await peer.exited).code).toBe(1)
      expect(peer.stderr).toContain(`alert ${alert}`)
    })

    it('sees the client go when its stdin ends', async () => {
      const server = await serveEcho(transport)
      const peer = client(server.port, args)
      peer.write('bye\n')
      await peer.output(/^bye$/m)
      peer.endInput()
      expect((await peer.exited).code).toBe(0)
      await waitFor('the end of the session', () => server.closed() === 1)
    })
  })
})
