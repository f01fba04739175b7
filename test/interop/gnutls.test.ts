// gnutls-cli and gnutls-serv, with a key file that psktool wrote and mcbn reads too.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadPskFile } from '../../src/psk/index.js'
import { temporaryFolder } from '../support/paths.js'
import { describeWithPeers } from '../support/peers.js'
import { freeTcpPort, freeUdpPort } from '../support/ports.js'
import { type Child, run, start } from '../support/process.js'
import {
  connectTo,
  expectEcho,
  expectEchoed,
  FROM_MCBN,
  facts,
  HINT,
  IDENTITY,
  KEY,
  LOOPBACK,
  refusedBy,
  serveEcho,
  type Transport,
  type Version,
  WRONG_KEY,
} from './support.js'

interface Case {
  readonly version: Version
  readonly exchange: 'PSK' | 'DHE-PSK' | 'ECDHE-PSK'
  /** GnuTLS's name of the cipher. */
  readonly with: string
  readonly cipher: string
}

function suite(version: Version, exchange: Case['exchange'], name: string, cipher: string): Case {
  return { version, exchange, with: name, cipher }
}

const TLS13 = [
  suite('TLSv1.3', 'PSK', 'AES-128-GCM', 'TLS_AES_128_GCM_SHA256'),
  suite('TLSv1.3', 'ECDHE-PSK', 'AES-128-GCM', 'TLS_AES_128_GCM_SHA256'),
  suite('TLSv1.3', 'DHE-PSK', 'AES-128-GCM', 'TLS_AES_128_GCM_SHA256'),
  suite('TLSv1.3', 'ECDHE-PSK', 'CHACHA20-POLY1305', 'TLS_CHACHA20_POLY1305_SHA256'),
]
const PLAIN12 = (['TLSv1.2', 'DTLSv1.2'] as const).flatMap((version) => [
  suite(version, 'PSK', 'AES-128-GCM', 'PSK-AES128-GCM-SHA256'),
  suite(version, 'PSK', 'AES-256-GCM', 'PSK-AES256-GCM-SHA384'),
  suite(version, 'PSK', 'CHACHA20-POLY1305', 'PSK-CHACHA20-POLY1305'),
  suite(version, 'PSK', 'AES-128-CCM-8', 'PSK-AES128-CCM8'),
])
const EPHEMERAL12 = (['TLSv1.2', 'DTLSv1.2'] as const).flatMap((version) => [
  suite(version, 'DHE-PSK', 'AES-128-GCM', 'DHE-PSK-AES128-GCM-SHA256'),
  suite(version, 'ECDHE-PSK', 'CHACHA20-POLY1305', 'ECDHE-PSK-CHACHA20-POLY1305'),
])

/** Everything of one version; PSK means psk_ke to GnuTLS in TLS 1.3, which mcbn leaves out. */
function priority({ version, exchange, with: cipher }: Case): string {
  const exchanges = version === 'TLSv1.3' ? `+ECDHE-PSK:+DHE-PSK:+${exchange}` : `+${exchange}`
  const gnutlsVersion = version.replace(/^(D?TLS)v/, '$1')
  return `NORMAL:-KX-ALL:${exchanges}:-VERS-ALL:+VERS-${gnutlsVersion}:-CIPHER-ALL:+${cipher}`
}

function transportOf({ version }: Case): Transport {
  return version === 'DTLSv1.2' ? 'dtls' : 'tls'
}

/** Line-buffered: both programs keep what they print to a pipe until they end. */
function gnutls(program: string, args: readonly string[]): Child {
  return start('stdbuf', ['-oL', program, ...args], { foreign: true })
}

function client(port: number, chosen: Case, key = KEY, identity = IDENTITY): Child {
  const udp = chosen.version === 'DTLSv1.2' ? ['--udp'] : []
  const psk = ['--pskusername', identity, '--pskkey', key]
  return gnutls('gnutls-cli', [
    ...udp,
    ...['--port', String(port), ...psk, '--priority', priority(chosen), LOOPBACK],
  ])
}

/** As somebody would: psktool makes the key. */
async function keyFile(): Promise<string> {
  const file = join(temporaryFolder(), 'keys.psk')
  const made = await run('psktool', ['-u', IDENTITY, '-p', file], { foreign: true })
  expect(made.exit.code, made.report()).toBe(0)
  return file
}

function keyOf(file: string): Buffer {
  const key = loadPskFile(file).get(IDENTITY)
  expect(key).toHaveLength(32)
  return key as Buffer
}

async function serve(
  chosen: Case,
  file: string,
  args: readonly string[] = [],
): Promise<{ readonly port: number; readonly peer: Child }> {
  const datagrams = chosen.version === 'DTLSv1.2'
  const port = await (datagrams ? freeUdpPort() : freeTcpPort())
  const peer = gnutls('gnutls-serv', [
    ...(datagrams ? ['--udp'] : []),
    ...['--echo', '--port', String(port), '--pskpasswd', file, '--priority', priority(chosen)],
    ...args,
  ])
  await peer.output(`Echo Server listening on IPv4 0.0.0.0 port ${port}...done`)
  return { port, peer }
}

const title = '$version $exchange $with'

describeWithPeers(['gnutls-cli', 'psktool'], 'interop/gnutls: gnutls-cli against mcbn', () => {
  it.each([...TLS13, ...PLAIN12])(`echoes with ${title}`, async (chosen) => {
    const server = await serveEcho(transportOf(chosen))
    const peer = client(server.port, chosen)
    await peer.output(`PSK authentication. Connected as '${IDENTITY}'`)
    await expectEcho(server, peer, facts(chosen.version, chosen.cipher))
    peer.endInput()
    expect((await peer.exited).code, peer.report()).toBe(0)
  })

  // gnutls-cli 3.7 crashes after such a handshake, with every server (gnutls_psk_server_get_username
  // has no hint to show); that the server accepts it proves that the client's Finished was right.
  it.each(EPHEMERAL12)(`completes the handshake of ${title}`, async (chosen) => {
    const server = await serveEcho(transportOf(chosen))
    client(server.port, chosen)
    expect(await server.accepted).toEqual(facts(chosen.version, chosen.cipher))
  })

  it.each([PLAIN12[0], PLAIN12[4]] as Case[])(
    'shows the identity hint: $version',
    async (chosen) => {
      const server = await serveEcho(transportOf(chosen), { pskIdentityHint: HINT })
      const peer = client(server.port, chosen)
      await peer.output(`PSK authentication. PSK hint '${HINT}'`)
      await expectEcho(server, peer, facts(chosen.version, chosen.cipher))
    },
  )

  it.each([TLS13[1], PLAIN12[0], PLAIN12[4]] as Case[])(
    'serves the key of psktool: $version',
    async (chosen) => {
      const file = await keyFile()
      const server = await serveEcho(transportOf(chosen), { psk: loadPskFile(file) })
      const peer = client(server.port, chosen, keyOf(file).toString('hex'))
      await expectEcho(server, peer, facts(chosen.version, chosen.cipher))
    },
  )

  describe.each([TLS13[1], PLAIN12[0], PLAIN12[4]] as Case[])('$version', (chosen) => {
    it.each([
      ['a wrong key', WRONG_KEY, IDENTITY, 'MCBN_PSK_MISMATCH'],
      ['an unknown identity', KEY, 'Stranger', 'MCBN_PSK_IDENTITY_UNKNOWN'],
    ])('refuses %s by alert', async (_what, key, identity, code) => {
      const server = await serveEcho(transportOf(chosen))
      const peer = client(server.port, chosen, key, identity)
      expect((await server.failed).code).toBe(code)
      expect((await peer.exited).code).toBe(1)
      expect(peer.stdout + peer.stderr).toMatch(
        /Received alert \[(20|47|51)\]: (Bad record MAC|Illegal parameter|Decrypt error)/i,
      )
    })
  })
})

describeWithPeers(['gnutls-serv', 'psktool'], 'interop/gnutls: mcbn against gnutls-serv', () => {
  it.each([...TLS13, ...PLAIN12, ...EPHEMERAL12])(`echoes with ${title}`, async (chosen) => {
    const file = await keyFile()
    const { port, peer } = await serve(chosen, file)
    const psk = { identity: IDENTITY, key: keyOf(file) }
    const connection = await connectTo(transportOf(chosen), port, { psk })
    await expectEchoed(connection, facts(chosen.version, chosen.cipher))
    // With --udp gnutls-serv does not tell who it is.
    const told = chosen.version === 'DTLSv1.2' ? `]: ${FROM_MCBN}` : `Connected as '${IDENTITY}'`
    await peer.output(told)
    await connection.close()
  })

  it.each([PLAIN12[0], PLAIN12[4], EPHEMERAL12[0], EPHEMERAL12[2]] as Case[])(
    'gives its psk function the identity hint: $version $exchange',
    async (chosen) => {
      const file = await keyFile()
      const { port } = await serve(chosen, file, ['--pskhint', HINT])
      const hints: (string | undefined)[] = []
      const psk = (hint: string | undefined) => {
        hints.push(hint)
        return { identity: IDENTITY, key: keyOf(file) }
      }
      const version = chosen.version === 'TLSv1.2' ? { maxVersion: chosen.version } : {}
      const connection = await connectTo(transportOf(chosen), port, { psk, ...version })
      await expectEchoed(connection, facts(chosen.version, chosen.cipher))
      expect(hints).toEqual([HINT])
    },
  )

  it.each([TLS13[1], PLAIN12[0], PLAIN12[4]] as Case[])(
    'names a wrong key: $version',
    async (chosen) => {
      const { port } = await serve(chosen, await keyFile())
      const psk = { identity: IDENTITY, key: Buffer.from(WRONG_KEY, 'hex') }
      const error = await refusedBy(transportOf(chosen), port, { psk })
      expect(error.code).toBe('MCBN_PSK_MISMATCH')
    },
  )
})
