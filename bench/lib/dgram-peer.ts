// node:dgram in plaintext, in its own process: what Node does without any cryptography.
//
//   receive <seconds>          prints port, started, cost (us), result ('message' events per second)
//   send <port> <bytes>        sends until it is ended
//   serve                      prints port, echoes until it is ended
//   ping <port> <seconds>      result: median round trip of 64 B in microseconds

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { Counter, Pinger, say } from './counting.js'
import { BUFFER_BYTES, HOST } from './credentials.js'

const [role, first, second] = process.argv.slice(2)
/** As many as libuv sends by one sendmmsg. */
const IN_FLIGHT = 20

const socket = createSocket({
  type: 'udp4',
  recvBufferSize: BUFFER_BYTES,
  sendBufferSize: BUFFER_BYTES,
})
socket.bind(0, HOST)
await once(socket, 'listening')

if (role === 'receive') {
  const counter = new Counter(Number(first))
  socket.on('message', () => counter.arrived())
  say('port', socket.address().port)
} else if (role === 'serve') {
  socket.on('message', (message, { port, address }) => socket.send(message, port, address))
  say('port', socket.address().port)
} else {
  socket.connect(Number(first), HOST)
  await once(socket, 'connect')
  if (role === 'send') {
    const message = Buffer.alloc(Number(second), 'm')
    const next = (error: Error | null): void => {
      if (error) process.exit(0)
      socket.send(message, next)
    }
    for (let i = 0; i < IN_FLIGHT; i++) socket.send(message, next)
  } else {
    const message = Buffer.alloc(64, 'm')
    const pinger = new Pinger(Number(second), () => socket.send(message))
    socket.on('message', () => pinger.answered())
    pinger.ping()
  }
}
