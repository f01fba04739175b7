// The server of a soak: echoes over TLS and DTLS, and every second takes one client's key away and gives back
// that of the second before.
//
//   <minutes>     prints tls, dtls (ports), ready, heap-mb, revocations, address-changes

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as dtls from '../../src/dtls/index.js'
import * as tls from '../../src/tls/index.js'
import { endAfter, HOST, IDENTITIES, identityOf, keyOf, say } from './common.js'

endAfter(Number(process.argv[2]))
const keys = (): Record<string, Buffer> =>
  Object.fromEntries(Array.from({ length: IDENTITIES }, (_, at) => [identityOf(at), keyOf(at)]))

const tlsServer = tls.createServer({ psk: keys() }, (socket) => {
  socket.on('error', () => {})
  socket.pipe(socket)
})
tlsServer.on('tlsClientError', () => {})
await once(tlsServer.listen(0, HOST), 'listening')

let addressChanges = 0
const dtlsServer = dtls.createServer(
  { psk: keys(), connectionId: true, idleTimeout: 20_000, handshakeTimeout: 5_000 },
  (socket) => {
    socket.on('error', () => {})
    socket.on('message', (message) => socket.send(message))
    socket.on('addressChange', () => {
      addressChanges += 1
    })
  },
)
dtlsServer.on('clientError', () => {})
dtlsServer.listen(0, HOST)
await once(dtlsServer, 'listening')

let revocations = 0
setInterval(() => {
  const back = identityOf(revocations)
  tlsServer.setPsk(back, keyOf(revocations))
  dtlsServer.setPsk(back, keyOf(revocations))
  revocations += 1
  tlsServer.revoke(identityOf(revocations))
  dtlsServer.revoke(identityOf(revocations))
}, 1_000)
setInterval(() => {
  say('heap-mb', Math.round(process.memoryUsage().heapUsed / 1e5) / 10)
  say('revocations', revocations)
  say('address-changes', addressChanges)
}, 2_000)

say('tls', (tlsServer.address() as AddressInfo).port)
say('dtls', dtlsServer.address()?.port ?? 0)
say('ready', 1)
