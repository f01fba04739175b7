// HTTP over TLS with a pre-shared key: an Express app, and node:http as its client.
//
// Express and node:http know nothing of the key. They get sockets whose peer has proved it already.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer as createHttpServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { connect, createServer, type TlsSocket } from 'mcbn/tls'

const key = randomBytes(32)

const app = express()
app.get('/', (request, response) => {
  const socket = request.socket as unknown as TlsSocket
  response.json({ hello: `${socket.pskIdentity}`, protocol: socket.getProtocol() })
})

// The HTTP server never listens itself: it is handed the connections of the TLS server.
const http = createHttpServer(app)
const server = createServer({ psk: { Client1: key } }, (socket) => http.emit('connection', socket))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

/** An agent whose connections are ours. It keeps them open and uses them again. */
class PskAgent extends Agent {
  override createConnection(): TlsSocket {
    return connect({ host: '127.0.0.1', port, psk: { identity: 'Client1', key } })
  }
}

const agent = new PskAgent({ keepAlive: true })
for (const path of ['/', '/missing']) {
  const [response] = (await once(get({ agent, path }), 'response')) as [IncomingMessage]
  const body = (await response.toArray()).join('')
  console.log(`GET ${path}: ${response.statusCode} ${response.statusCode === 200 ? body : ''}`)
}
agent.destroy()
server.close()
