// A server with one known identity, whose lookup may take longer for it.
//
//   <protocol> <microseconds more for a known identity>     prints port

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as dtls from '../../src/dtls/index.js'
import * as tls from '../../src/tls/index.js'
import { say } from '../lib/counting.js'
import { HOST, IDENTITY } from '../lib/credentials.js'
import { FULL_KEY } from './key.js'

const [protocol, planted = '0'] = process.argv.slice(2)
const plantedMs = Number(planted) / 1_000

/** Takes as long for both, except for what is planted. */
function psk({ identityText }: { identityText: string | undefined }) {
  const known = identityText === IDENTITY
  const until = performance.now() + (known ? plantedMs : 0)
  while (performance.now() < until);
  return known ? FULL_KEY : null
}

if (protocol === 'DTLSv1.3' || protocol === 'DTLSv1.2') {
  const server = dtls.createServer({ psk, minVersion: protocol, maxVersion: protocol })
  server.on('clientError', () => {})
  server.listen(0, HOST)
  await once(server, 'listening')
  say('port', server.address()?.port ?? 0)
} else {
  const server = tls.createServer({ psk })
  server.on('tlsClientError', () => {})
  await once(server.listen(0, HOST), 'listening')
  say('port', (server.address() as AddressInfo).port)
}
