// HTTP/2 over TLS with a pre-shared key, agreed by ALPN (RFC 7301): server and client are node:http2.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'mcbn/tls'

const key = randomBytes(32)

// Without TLS itself: the connections that it is handed are encrypted already.
const http2 = createHttp2Server((request, response) => {
  response.end(`${request.method} ${request.url} over HTTP/${request.httpVersion}`)
})
const server = createServer({ psk: { Client1: key }, ALPNProtocols: ['h2'] }, (socket) => {
  console.log(`${socket.pskIdentity} speaks ${socket.alpnProtocol} over ${socket.getProtocol()}`)
  http2.emit('connection', socket)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const session = connectHttp2('http://localhost', {
  createConnection: () =>
    connect({
      host: '127.0.0.1',
      port,
      psk: { identity: 'Client1', key },
      ALPNProtocols: ['h2'],
    }),
})

// Three requests at a time on one connection.
const answers = ['/alice', '/bob', '/carol'].map(async (path) => {
  const stream = session.request({ ':path': path })
  return (await stream.toArray()).join('')
})
for (const answer of await Promise.all(answers)) console.log(answer)

session.close()
server.close()
