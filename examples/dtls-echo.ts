// Datagrams that come back: a DTLS 1.2 server and a client, each message one UDP datagram.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'mcbn/dtls'

const key = randomBytes(32)

const server = createServer({ psk: { Client1: key } }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
// Strangers and wrong keys end here. They are no reason to stop.
server.on('clientError', (error, { address }) => console.log(`${address}: ${error.message}`))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const socket = connect({ host: '127.0.0.1', port, psk: { identity: 'Client1', key } })
await socket.opened
console.log(`open: ${socket.getProtocol()}, ${socket.getCipher()?.name}`)

// UDP may lose a datagram, also over loopback when its buffers are full: ask again, then give up.
for (const text of ['one', 'two', 'This is a UDP message']) {
  console.log(await ask(text))
}
console.log(`at most ${socket.maxDatagramSize} bytes fit one datagram here`)

await socket.close()
await server.close()

async function ask(text: string, attempts = 3): Promise<string> {
  const answered = once(socket, 'message', { signal: AbortSignal.timeout(1_000) })
  socket.send(text)
  try {
    const [message] = await answered
    return `echo: ${message}`
  } catch (error) {
    if (attempts <= 1) throw error
    return ask(text, attempts - 1)
  }
}
