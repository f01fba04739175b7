// One server for DTLS 1.2 and 1.3. The shares of two participants give each version its own key.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'mcbn/dtls'
import { derivePsk } from 'mcbn/psk'

const shares = { alice: randomBytes(32), bob: randomBytes(32) }
const network = { descriptorHash: randomBytes(32), network: 'example', epoch: 1 }
const keys = {
  'DTLSv1.2': derivePsk(shares, { ...network, protocol: 'dtls12' }),
  'DTLSv1.3': derivePsk(shares, { ...network, protocol: 'dtls13' }),
}

// DTLS 1.3 has to be asked for. The lookup is told which version the key is for.
const server = createServer(
  {
    maxVersion: 'DTLSv1.3',
    psk: ({ identityText, protocol }) =>
      identityText === 'Client1' && protocol in keys ? keys[protocol as keyof typeof keys] : null,
  },
  (socket) => {
    socket.on('message', (message) => socket.send(`${message}, said ${socket.getProtocol()}`))
  },
)
server.on('clientError', (error, { address }) => console.log(`${address}: ${error.message}`))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

for (const version of ['DTLSv1.3', 'DTLSv1.2'] as const) {
  const socket = connect({
    ...{ host: '127.0.0.1', port, psk: { identity: 'Client1', key: keys[version] } },
    // A client speaks one version: its key is for one.
    ...{ minVersion: version, maxVersion: version },
  })
  await socket.opened
  const answered = once(socket, 'message')
  socket.send('hello')
  console.log(`${(await answered)[0]}: ${socket.getCipher()?.name}`)
  await socket.close()
}
await server.close()
