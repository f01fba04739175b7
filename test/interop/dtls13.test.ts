// DTLS 1.3 with a pre-shared key beside other libraries: every suite and mode that both have, in both roles.

import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { freeUdpPort } from '../support/ports.js'
import {
  BUILDING,
  begin,
  mcbn,
  meet,
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
import { FROM_PEER, IDENTITY, KEY, WRONG_KEY } from './support.js'

const folder = await newerPeers()

/** As those of the peers' options. */
const X25519MLKEM768 = 'group=4588'

const PAIRS = [
  ['wolfssl', 'wolfssl'],
  ['mcbn', 'wolfssl'],
  ['wolfssl', 'mcbn'],
  ['mcbn', 'mcbn'],
] as const

/** Both sides' options. */
const CASES: readonly [what: string, server: readonly string[], client: readonly string[]][] = [
  ['psk_ke', ['psk_ke'], ['psk_ke']],
  ['P-256', ['psk_dhe_ke', P256], ['psk_dhe_ke', P256]],
  ['an update of keys, by the server', ['psk_dhe_ke', X25519], ['psk_dhe_ke', X25519, 'update']],
]

let programs: Readonly<Record<'mcbn' | 'wolfssl' | 'newer', Program>>

describe.skipIf(folder === undefined)('interop/DTLS 1.3', () => {
  beforeAll(async () => {
    const from = folder ?? ''
    const own = await mcbn()
    if (own === undefined) return
    // The same program on a release of OpenSSL that has X25519MLKEM768.
    programs = { mcbn: own, newer: [join(from, 'run'), ...own], wolfssl: await wolfssl(from) }
  }, BUILDING)

  describe.each(PAIRS)('%s as server, %s as client', (server, client) => {
    const meeting = (suite: string) => ({
      ...{ server: programs[server], client: programs[client] },
      suite,
    })

    it.each(SUITES)('%s', async (suite) => {
      const met = await meet({
        ...meeting(suite),
        ...{ serverOptions: [X25519], clientOptions: ['psk_dhe_ke', X25519] },
      })
      expect(met.ids).toEqual({ server: false, client: false })
    })

    it.each(CASES)('%s', async (_what, serverOptions, clientOptions) => {
      await meet({ ...meeting(SUITES[0]), serverOptions, clientOptions })
    })

    it.each([
      [4, 7],
      [1, 10],
      [0, 5],
      [5, 0],
    ])('connection IDs of %i and %i bytes (RFC 9147 section 9)', async (ours, theirs) => {
      const met = await meet({
        ...meeting(SUITES[0]),
        serverOptions: ['psk_dhe_ke', X25519, `id=${ours}`],
        clientOptions: ['psk_dhe_ke', X25519, `id=${theirs}`, 'update'],
      })
      expect(met.ids).toEqual({ server: true, client: true })
    })

    it('connection IDs that only the client wants', async () => {
      const met = await meet({
        ...meeting(SUITES[0]),
        serverOptions: ['psk_dhe_ke', X25519],
        clientOptions: ['psk_dhe_ke', X25519, 'id=6'],
      })
      expect(met.ids.client).toBe(met.ids.server)
    })
  })

  describe.each([
    ['mcbn', 'wolfssl'],
    ['wolfssl', 'mcbn'],
  ] as const)('%s as server, %s as client', (server, client) => {
    it.each([
      ['another key', WRONG_KEY, IDENTITY],
      ['an unknown identity', KEY, 'Client2'],
    ])('%s: the client ends and nobody is open', async (_what, key, identity) => {
      const waiting = begin(programs[server], [...roleOf('server', SUITES[0]), X25519])
      const [, port = ''] = await waiting.output(/^listening on (\d+)$/m)
      const wrong = begin(programs[client], [
        ...['client', port, key, identity, SUITES[0], 'psk_dhe_ke', X25519],
      ])
      expect((await wrong.exited).code, wrong.report()).toBe(1)
      expect(`${wrong.stdout}${waiting.stdout}`).not.toMatch(/^open$/m)
      if (client === 'mcbn') expect(wrong.stderr).toMatch(/^MCBN_(HANDSHAKE|PSK)_/m)
    })
  })

  it('mcbn as server: a wolfSSL hello without a key share', async () => {
    await meet({
      ...{ server: programs.mcbn, client: programs.wolfssl, suite: SUITES[0] },
      ...{ serverOptions: ['psk_dhe_ke', X25519], clientOptions: ['psk_dhe_ke'] },
    })
  })

  it('mcbn as client: a wolfSSL server with another group (RFC 8446 section 4.1.4)', async () => {
    await meet({
      ...{ server: programs.wolfssl, client: programs.mcbn, suite: SUITES[0] },
      ...{ serverOptions: ['psk_dhe_ke', P256], clientOptions: ['psk_dhe_ke'] },
    })
  })

  it.each([
    ['newer', 'wolfssl'],
    ['newer', 'newer'],
    ['wolfssl', 'newer'],
  ] as const)(
    'X25519MLKEM768, a hello in fragments: %s as server, %s as client',
    async (server, client) => {
      await meet({
        ...{ server: programs[server], client: programs[client], suite: SUITES[0] },
        serverOptions: ['psk_dhe_ke', X25519MLKEM768, 'fragments'],
        clientOptions: ['psk_dhe_ke', X25519MLKEM768],
      })
    },
  )

  // NSS has keys for SHA-256 alone, and no CCM in TLS 1.3.
  const NSS_SUITES = [
    ['TLS_AES_128_GCM_SHA256', ':1301'],
    ['TLS_CHACHA20_POLY1305_SHA256', ':1303'],
  ] as const

  it.each(NSS_SUITES)('NSS as client: %s', async (suite, cipher) => {
    const server = begin(programs.mcbn, roleOf('server', suite))
    const [, port] = await server.output(/^listening on (\d+)$/m)
    const client = nssClient(folder ?? '', Number(port), cipher)
    client.write(`${FROM_PEER}\n`)
    await client.output(FROM_PEER)
    expect(server.stdout).toContain('open')
  })

  it.each(NSS_SUITES)('NSS as server: %s', async (suite, cipher) => {
    const port = await freeUdpPort()
    const server = await nssServer(folder ?? '', port, cipher)
    const client = begin(programs.mcbn, [...roleOf(port, suite), 'psk_dhe_ke'])
    await client.output(/^open$/m)
    server.write(`${FROM_PEER}\n`)
    await server.output(FROM_PEER)
  })

  it('NSS as client: X25519MLKEM768 first, in fragments', async () => {
    for (const program of [programs.mcbn, programs.newer]) {
      const server = begin(program, [...roleOf('server', SUITES[0]), 'psk_dhe_ke'])
      const [, port] = await server.output(/^listening on (\d+)$/m)
      const client = nssClient(folder ?? '', Number(port), ':1301', [])
      client.write(`${FROM_PEER}\n`)
      await client.output(FROM_PEER)
    }
  })
})
