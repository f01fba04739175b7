// mcbn clients against openssl s_server.

import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as tls from '../../src/tls/index.js'
import { temporaryFolder } from '../support/paths.js'
import { describeWithPeers } from '../support/peers.js'
import { freeTcpPort, freeUdpPort } from '../support/ports.js'
import { type Child, nextEvent, start } from '../support/process.js'
import { sha384Session } from './psk-session.js'
import {
  connectTo,
  credential,
  expectConversation,
  FROM_MCBN,
  facts,
  HINT,
  IDENTITY,
  KEY,
  LOOPBACK,
  refusedBy,
  WRONG_KEY,
} from './support.js'

const only12 = { maxVersion: 'TLSv1.2' } as const

interface Server {
  readonly port: number
  readonly peer: Child
}

async function serve(args: readonly string[], key = KEY, identity = IDENTITY): Promise<Server> {
  const port = await (args.includes('-dtls1_2') ? freeUdpPort() : freeTcpPort())
  const psk = ['-nocert', '-psk', key, '-psk_identity', identity]
  // Its stdin stays open: s_server ends with it.
  const peer = start('openssl', ['s_server', '-accept', `${LOOPBACK}:${port}`, ...psk, ...args], {
    foreign: true,
  })
  await peer.output(/^ACCEPT$/m)
  return { port, peer }
}

describeWithPeers(['openssl'], 'interop/openssl: an mcbn client against s_server', () => {
  describe('TLS 1.3', () => {
    it.each([
      ['the default suites', [], 'TLS_AES_128_GCM_SHA256'],
      [
        'a server that prefers a SHA-384 suite, which a SHA-256 key cannot use',
        ['-serverpref', '-ciphersuites', 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256'],
        'TLS_AES_128_GCM_SHA256',
      ],
      [
        'TLS_CHACHA20_POLY1305_SHA256 alone',
        ['-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'],
        'TLS_CHACHA20_POLY1305_SHA256',
      ],
      ['a HelloRetryRequest for P-521', ['-groups', 'P-521'], 'TLS_AES_128_GCM_SHA256'],
    ])('talks with %s', async (_what, args, cipher) => {
      const { port, peer } = await serve(['-tls1_3', ...args])
      const client = await connectTo('tls', port)
      await expectConversation(client, peer, facts('TLSv1.3', cipher))
      expect(peer.stdout).toContain(`CIPHER is ${cipher}`)
    })

    it('talks with a key bound to SHA-384 under TLS_AES_256_GCM_SHA384 (-psk_session)', async () => {
      const file = sha384Session(temporaryFolder(), KEY)
      const { port, peer } = await serve(['-tls1_3', '-psk_session', file])
      const client = await connectTo('tls', port, { psk: { ...credential, hash: 'sha384' } })
      await expectConversation(client, peer, facts('TLSv1.3', 'TLS_AES_256_GCM_SHA384'))
    })

    it('refuses a server that passes over the key and shows a certificate', async () => {
      const folder = temporaryFolder()
      const [keyFile, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
      const made = start(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-nodes',
          '-days',
        ].concat(['1', '-subj', '/CN=localhost', '-keyout', keyFile, '-out', certificate]),
        { foreign: true },
      )
      expect((await made.exited).code, made.report()).toBe(0)
      const port = await freeTcpPort()
      const files = ['-cert', certificate, '-key', keyFile]
      const peer = start('openssl', ['s_server', '-accept', `${port}`, '-tls1_3', ...files], {
        foreign: true,
      })
      await peer.output(/^ACCEPT$/m)
      expect(await refusedBy('tls', port)).toMatchObject({ code: 'MCBN_PSK_NOT_USED' })
      expect(peer.stdout).not.toContain(FROM_MCBN)
    })
  })

  describe('TLS 1.2', () => {
    it.each([
      'PSK-AES128-GCM-SHA256',
      'PSK-AES256-GCM-SHA384',
      'PSK-CHACHA20-POLY1305',
      'PSK-AES128-CCM8',
      'DHE-PSK-AES128-GCM-SHA256',
      'DHE-PSK-AES256-GCM-SHA384',
      'ECDHE-PSK-CHACHA20-POLY1305',
    ])('talks with a server that has only %s', async (cipher) => {
      const { port, peer } = await serve(['-tls1_2', '-cipher', cipher])
      const client = await connectTo('tls', port)
      await expectConversation(client, peer, facts('TLSv1.2', cipher))
      expect(peer.stdout).toContain(`CIPHER is ${cipher}`)
    })

    it('talks with -cipher PSK, forward-secret by default', async () => {
      const { port, peer } = await serve(['-tls1_2', '-cipher', 'PSK', '-serverpref'])
      const client = await connectTo('tls', port, { ciphers: '' })
      await expectConversation(client, peer, facts('TLSv1.2', 'DHE-PSK-AES256-GCM-SHA384'))
    })
  })

  describe('DTLS 1.2', () => {
    it.each([
      'PSK-AES128-CCM8',
      'PSK-AES128-GCM-SHA256',
      'PSK-CHACHA20-POLY1305',
      'DHE-PSK-AES128-GCM-SHA256',
      'ECDHE-PSK-CHACHA20-POLY1305',
    ])('talks with a server that has only %s', async (cipher) => {
      const { port, peer } = await serve(['-dtls1_2', '-cipher', cipher])
      const client = await connectTo('dtls', port)
      await expectConversation(client, peer, facts('DTLSv1.2', cipher))
      expect(peer.stdout).toContain(`CIPHER is ${cipher}`)
    })

    it('talks after a cookie exchange (-listen, RFC 6347 section 4.2.1)', async () => {
      const { port, peer } = await serve(['-dtls1_2', '-listen', '-cipher', 'PSK-AES128-CCM8'])
      const client = await connectTo('dtls', port)
      await expectConversation(client, peer, facts('DTLSv1.2', 'PSK-AES128-CCM8'))
    })

    it('puts fragments of both sides together (-mtu 300, RFC 6347 section 4.2.3)', async () => {
      const identity = 'i'.repeat(256)
      const hint = 'h'.repeat(120)
      const { port, peer } = await serve(
        ['-dtls1_2', '-mtu', '300', '-psk_hint', hint, '-cipher', 'DHE-PSK-AES128-GCM-SHA256'],
        KEY,
        identity,
      )
      const psk = { ...credential, identity }
      const client = await connectTo('dtls', port, { mtu: 300, psk })
      const expected = facts('DTLSv1.2', 'DHE-PSK-AES128-GCM-SHA256', identity)
      await expectConversation(client, peer, expected)
    })
  })

  describe.each([
    ['TLS 1.2', 'tls', ['-tls1_2', '-cipher', 'PSK']],
    ['DTLS 1.2', 'dtls', ['-dtls1_2', '-cipher', 'PSK-AES128-CCM8']],
  ] as const)('%s', (_name, transport, args) => {
    it.each([
      ['a hint', ['-psk_hint', HINT], HINT],
      ['no hint', [], undefined],
    ])('gives its psk function %s', async (_what, hinted, hint) => {
      const { port, peer } = await serve([...args, ...hinted])
      const hints: (string | undefined)[] = []
      const psk = async (given: string | undefined) => {
        hints.push(given)
        return credential
      }
      // A client that may also speak TLS 1.3 asks once before its ClientHello: TLS 1.3 has no hints.
      const client = await connectTo(transport, port, { psk, ...(transport === 'tls' && only12) })
      client.send(`${FROM_MCBN}\n`)
      await peer.output(FROM_MCBN)
      expect(hints).toEqual([hint])
      expect(client.facts.identity).toBe(IDENTITY)
    })
  })

  describe.each([
    ['TLS 1.3', 'tls', ['-tls1_3']],
    ['TLS 1.2', 'tls', ['-tls1_2', '-cipher', 'PSK']],
    ['DTLS 1.2', 'dtls', ['-dtls1_2', '-cipher', 'PSK']],
  ] as const)('%s', (_name, transport, args) => {
    it('has the same key log (-keylogfile)', async () => {
      const file = join(temporaryFolder(), 'keylog.txt')
      const { port, peer } = await serve([...args, '-keylogfile', file])
      const client = await connectTo(transport, port)
      client.send(`${FROM_MCBN}\n`)
      await peer.output(FROM_MCBN)
      const logged = readFileSync(file, 'utf8').split('\n')
      expect(logged.filter((line) => /^[A-Z]/.test(line)).sort()).toEqual([...client.keylog].sort())
      expect(client.keylog.length).toBeGreaterThan(0)
    })

    it('names a wrong key', async () => {
      const { port } = await serve(args, WRONG_KEY)
      // DTLS gets no answer at all. At its deadline of ten seconds the code would be another.
      expect(await refusedBy(transport, port)).toMatchObject({ code: 'MCBN_PSK_MISMATCH' })
    })

    it('says goodbye with close_notify', async () => {
      const { port, peer } = await serve(args)
      const client = await connectTo(transport, port)
      await client.close()
      await peer.output(/^(DONE|shutting down SSL|CONNECTION CLOSED)$/m)
    })
  })

  it.each([
    ['TLS 1.3', ['-tls1_3']],
    ['TLS 1.2', ['-tls1_2', '-cipher', 'PSK']],
  ])('%s: gets its lines back in reverse (-rev)', async (_name, args) => {
    const { port } = await serve([...args, '-rev'])
    const client = await connectTo('tls', port)
    client.send('forwards\n')
    await client.receives('sdrawrof\n')
    expect(client.received()).toBe('sdrawrof\n')
  })

  it('TLS 1.3: is refused under an identity that s_server does not have', async () => {
    const { port } = await serve(['-tls1_3'], KEY, 'Somebody')
    const error = await refusedBy('tls', port)
    expect(error).toMatchObject({ code: 'MCBN_HANDSHAKE_FAILED', alert: 'handshake_failure' })
  })

  it.each(['TLSv1.3', 'TLSv1.2'] as const)('carries node:http to -www over %s', async (version) => {
    const { port } = await serve(['-www', '-cipher', 'PSK'])
    const socket = tls.connect({ host: LOOPBACK, port, psk: credential, maxVersion: version })
    onTestFinished(() => void socket.destroy())
    const request = get({ host: 'localhost', path: '/', createConnection: () => socket })
    const [response] = (await nextEvent(request, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(200)
    const page = await text(response)
    expect(page).toContain(version)
    expect(page).toContain(socket.getCipher()?.name)
  })
})
