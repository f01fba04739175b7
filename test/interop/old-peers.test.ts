// What public bug reports say of peers in the field: servers without renegotiation_info, clients whose last
// group does not work. docs/INTEROP.md lists the reports.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { describeWithPeers } from '../support/peers.js'
import { freeTcpPort, freeUdpPort } from '../support/ports.js'
import { start } from '../support/process.js'
import {
  connectTo,
  expectEcho,
  expectEchoed,
  facts,
  IDENTITY,
  KEY,
  LOOPBACK,
  serveEcho,
} from './support.js'

const SUITE = 'ECDHE-PSK-CHACHA20-POLY1305'

describeWithPeers(['gnutls-serv'], 'interop/old peers: servers without RFC 5746', () => {
  // As tinydtls was until July 2023 and Californium until 3.8. There is no renegotiation to protect
  // (RFC 7925 section 17).
  it.each([
    ['TLSv1.2', 'tls', 'TLS1.2'],
    ['DTLSv1.2', 'dtls', 'DTLS1.2'],
  ] as const)('%s: connects without renegotiation_info', async (version, transport, name) => {
    const file = join(temporaryFolder(), 'keys')
    writeFileSync(file, `${IDENTITY}:${KEY}\n`)
    const port = await (transport === 'tls' ? freeTcpPort() : freeUdpPort())
    const priority = `NORMAL:-KX-ALL:+PSK:-VERS-ALL:+VERS-${name}:-CIPHER-ALL:+AES-128-GCM:%DISABLE_SAFE_RENEGOTIATION`
    const udp = transport === 'dtls' ? ['--udp'] : []
    const server = start(
      'stdbuf',
      ['-oL', 'gnutls-serv', ...udp, '--echo', '--port', String(port), '--pskpasswd', file].concat([
        '--priority',
        priority,
      ]),
      { foreign: true },
    )
    await server.output(/listening on IPv4 .*\.\.\.done/)
    const client = await connectTo(
      transport,
      port,
      transport === 'tls' ? { maxVersion: 'TLSv1.2' } : {},
    )
    await expectEchoed(client, facts(version, 'PSK-AES128-GCM-SHA256'))
    await client.close()
  })
})

describeWithPeers(['openssl'], 'interop/old peers: the client’s order of groups', () => {
  // RFC 8422 section 5.1.1: favourite first. A client can name last what it cannot compute.
  it.each([
    ['TLSv1.2', 'tls', '-tls1_2', 'P-521:P-256:X25519', 'ECDH, secp521r1, 521 bits'],
    ['TLSv1.2', 'tls', '-tls1_2', 'P-256:X25519', 'ECDH, prime256v1, 256 bits'],
    ['TLSv1.2', 'tls', '-tls1_2', 'X25519:P-256', 'X25519, 253 bits'],
    ['DTLSv1.2', 'dtls', '-dtls1_2', 'P-384:X25519', 'ECDH, secp384r1, 384 bits'],
    ['DTLSv1.2', 'dtls', '-dtls1_2', 'X25519:P-384', 'X25519, 253 bits'],
  ] as const)('%s: %s %s %s gives %s', async (version, transport, flag, groups, chosen) => {
    const server = await serveEcho(transport)
    const peer = start(
      'openssl',
      ['s_client', '-connect', `${LOOPBACK}:${server.port}`, flag, '-groups', groups].concat([
        ...['-psk', KEY, '-psk_identity', IDENTITY],
        // The suites stay the server's choice: of these its favourite is the last.
        ...['-cipher', `PSK-AES128-GCM-SHA256:${SUITE}`],
      ]),
      { foreign: true },
    )
    await peer.output(`Server Temp Key: ${chosen}`)
    await expectEcho(server, peer, facts(version, SUITE))
  })
})
